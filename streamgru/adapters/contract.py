"""What a source and a sink promise.

The life of an adapter: it is *constructed* from the rest of its URI and its options, which checks
them and opens nothing. It is *opened*, again and again with back-off while that raises
:class:`~streamgru.errors.NotConnected`. It *reads* or *writes* until it raises NotConnected (open
again) or :class:`~streamgru.errors.EndOfStream` (finished). It is *closed*, any number of times,
also while another task is waiting in ``read``, which then ends with EndOfStream.

All methods run on one event loop and must not block it; ``queues`` has the bridges to libraries
that block or call back from threads of their own.
"""

from __future__ import annotations

import abc
import enum
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

from streamgru.adapters.options import Options

OptionsT = TypeVar("OptionsT", bound=Options)


class Token(NamedTuple):
    """Where a batch came from, as the transport counts: what is acknowledged."""

    partition: str = ""
    position: int = 0


class Outcome(enum.Enum):
    """What became of a batch."""

    DONE = "done"  # stepped, and its predictions are flushed
    SKIPPED = "skipped"  # left out on purpose
    REFUSED = "refused"  # it could not be taken
    DROPPED = "dropped"  # lost to a full queue


class Batch(NamedTuple):
    """What one ``read`` gives: bytes of one origin.

    An *origin* is a connection, a file, a topic: whatever its bytes follow each other on, and
    whatever a record without an id belongs to. With stream framing *data* is any piece of the
    origin's bytes, with message framing it is one whole message. *end* tells that the origin ends
    here: ``clean`` if nothing can be missing, ``cut`` if the last record may be torn.
    """

    origin: str
    data: bytes
    token: Token = Token()
    end: Literal["", "clean", "cut"] = ""


class Item(NamedTuple):
    """Encoded predictions for one origin; with message framing exactly one, of the stream *id*."""

    origin: str
    id: str | int
    data: bytes


class Adapter(abc.ABC, Generic[OptionsT]):
    """Base of sources and sinks.

    Parameters
    ----------
    rest : str
        The URI between ``scheme:`` and ``?``, percent-decoded.
    options : Options
        Already converted to the class that *options_type* names.

    Raises
    ------
    OptionError
        If they cannot be right. Nothing is opened by constructing.
    """

    options_type: ClassVar[type[Options]] = Options
    framing: Literal["stream", "message"] = "stream"
    announcement: str = ""  # what to tell people once it is open, such as the port that was chosen

    def __init__(self, rest: str, options: OptionsT) -> None:
        self.rest = rest
        self.options = options

    @abc.abstractmethod
    async def open(self) -> None:
        """Connect, listen, open. NotConnected: try again later; any other error ends the run."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Give back everything; idempotent, and wakes a task that waits in ``read``."""


class Source(Adapter[OptionsT]):
    """Something that data comes from.

    *replays* tells whether what was not acknowledged comes again after a crash; a source that does
    not (stdin, a socket, a sensor) is best-effort. *answers* tells that :meth:`reply` works. *on_error*
    is what a bad record does by default: end the run, or be reported while everything else goes on.
    """

    replays: bool = False
    dropped: int = 0  # batches that were lost to a full queue of the adapter's own
    answers: ClassVar[bool] = False
    listens: ClassVar[bool] = False  # others connect to it: answering them is the default
    codec: ClassVar[str] = "ndjson"
    on_error: ClassVar[Literal["fail", "report"]] = "report"

    @abc.abstractmethod
    async def read(self) -> Batch:
        """Wait for the next batch. Cancelling it loses nothing.

        Raises
        ------
        NotConnected
            The other end went away: open again.
        EndOfStream
            There will be no more, or the source was closed.
        """

    async def ack(self, token: Token, outcome: Outcome) -> None:
        """A batch is dealt with: its predictions are flushed, or it was skipped, refused or dropped."""

    async def reply(self, origin: str, data: bytes) -> None:
        """Send bytes back to where *origin* came from; silently nowhere if it has gone."""
        raise NotImplementedError(f"{type(self).__name__} cannot answer")

    def default_codec(self) -> str:
        """The codec of this source where the user names none."""
        return self.codec


class Sink(Adapter[OptionsT]):
    """Something that predictions go to.

    *per_origin* tells that what comes from different origins goes to different places.
    """

    per_origin: ClassVar[bool] = False

    def default_codec(self) -> str:
        """The codec of this sink where the user names none; empty: that of the source."""
        return ""

    def bind(self, source: Source[Any]) -> None:
        """Told once, before open, which source the predictions come from."""

    @abc.abstractmethod
    async def write(self, items: list[Item]) -> dict[int, str] | None:
        """Send, in order.

        Returns
        -------
        dict of int to str, or None
            Items that can never be sent, by their index, each with the reason; the others are.

        Raises
        ------
        NotConnected
            The other end went away. The pipeline opens again, and repeats what was not flushed.
        """

    @abc.abstractmethod
    async def flush(self) -> None:
        """Return when everything written has left this process (or is known by the broker).

        NotConnected as in :meth:`write`: everything since the last flush is then repeated.
        """
