"""Every error that streamgru raises on purpose.

::

    StreamgruError
    ├── LoadError             a model that cannot be taken
    │   ├── FormatError       the bytes are not a file of a known format
    │   ├── SpecError         the spec is wrong, or does not fit the tensors
    │   └── UnsupportedError  understood, but not something this version can run
    ├── InputError            values that a step refuses; the state stays as it was
    │   ├── ShapeError        wrong shape, dtype or memory layout
    │   ├── NonFiniteError    NaN or infinity, also after rounding to the model's dtype
    │   └── TokenError        not a token of the vocabulary
    ├── StateError            something that a stream's state does not allow
    │   ├── StreamBusy        a second thread came while a step was under way
    │   ├── SnapshotError     damaged, or of another model or layout
    │   ├── PoolFull          no free slot; nothing was evicted
    │   └── UnknownStream     no stream of that id or handle is open
    └── AdapterError          something about a source, a sink or a codec
        ├── OptionError       a URI or an option that cannot be right (exit code 2)
        ├── RecordError       one bad record; the others go on
        ├── NotConnected      the other end is away: open again
        └── EndOfStream       nothing will ever come again
"""


class StreamgruError(Exception):
    """Base of all errors raised on purpose."""


class LoadError(StreamgruError):
    """A model that cannot be taken."""


class FormatError(LoadError):
    """The bytes are not a well-formed file of a known format."""


class SpecError(LoadError):
    """The spec is wrong in itself or does not fit the tensors."""


class UnsupportedError(LoadError):
    """Understood, but not something this version can run."""


class InputError(StreamgruError, ValueError):
    """Values that a step refuses; the state stays as it was."""


class ShapeError(InputError):
    """Wrong shape, dtype or memory layout."""


class NonFiniteError(InputError):
    """NaN or infinity, also one that appears when rounding to the model's dtype."""


class TokenError(InputError):
    """Not a token of the vocabulary."""


class StateError(StreamgruError):
    """Something that the state of a stream does not allow."""


class StreamBusy(StateError):
    """A second thread used a stream while a step was under way."""


class SnapshotError(StateError):
    """A snapshot that is damaged, or of another model or layout."""


class PoolFull(StateError):
    """Every slot of the pool is taken; nothing was evicted."""


class UnknownStream(StateError):
    """No stream of that id or handle is open."""


class AdapterError(StreamgruError):
    """Something about a source, a sink or a codec."""


class OptionError(AdapterError):
    """A URI, an option or a variable of the environment that cannot be right."""


class RecordError(AdapterError):
    """One record that cannot be taken; the others go on."""


class NotConnected(AdapterError):
    """The other end is away; opening again may help."""


class EndOfStream(AdapterError):
    """The source is exhausted: nothing will ever come again."""
