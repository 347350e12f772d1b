"""What a network is: plain data, the same in Python, in JSON and in TOML.

A :class:`Spec` holds named programs; a plain network has one, called ``main``. A program has named
inputs, layers in order, and named outputs, which are slices of its last layer's output. Tensors
are kept beside the spec, under ``<layer>.<tensor>``; each layer's docstring lists its own.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Union, get_args

import msgspec

from streamgru.errors import SpecError, UnsupportedError
from streamgru.model.functions import AnyFunction

FORMAT = 1

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-]{0,199}\Z")]
Size = Annotated[int, msgspec.Meta(ge=1, le=65_536)]
Rows = Annotated[int, msgspec.Meta(ge=0, le=65_536)]
Token = Annotated[int, msgspec.Meta(ge=0)]


class _Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of everything in a spec: immutable, and strict about what it reads."""


class Input(_Data, frozen=True, kw_only=True):
    """One named input; all inputs together, in order, are the ``x`` of a step.

    A ``float`` input is *size* numbers, a ``token`` input one integer below *vocab*. *features*
    names the numbers, *per* tells whether it is given at each step or once per stream.

    *labels* names the tokens, so that text can be given and is given back: *split* into single ``characters`` or, at
    spaces, into ``words``. *unknown* is the token of what has no label, *end* the one that follows the last of a text.
    """

    name: Name
    size: Size = 1
    kind: Literal["float", "token"] = "float"
    vocab: Size | None = None
    per: Literal["step", "stream"] = "step"
    features: tuple[str, ...] | None = None
    unit: str | None = None
    labels: tuple[str, ...] | None = None
    split: Literal["characters", "words"] = "characters"
    unknown: Token | None = None
    end: Token | None = None


class Output(_Data, frozen=True, kw_only=True):
    """One named output: ``y[start:stop]`` (to the end without *stop*).

    *labels* names its elements, and makes the largest of them the answer; *factor* and *offset*
    bring it back to *unit*: ``value = y * factor + offset``.
    """

    name: Name
    start: Annotated[int, msgspec.Meta(ge=0)] = 0
    stop: Annotated[int, msgspec.Meta(ge=1)] | None = None
    unit: str | None = None
    factor: float = 1.0
    offset: float = 0.0
    labels: tuple[str, ...] | None = None


class Layer(_Data, frozen=True, kw_only=True, tag_field="kind"):
    """Base of the layers. *inputs* names layers or program inputs; none means the one before."""

    name: Name
    inputs: tuple[Name, ...] = ()


class Gru(Layer, frozen=True, tag="gru", kw_only=True):
    """Gated recurrent unit; see ``streamgru.layers.gru`` for the equations of both variants.

    *variant* tells whether the reset gate acts after or before the recurrent product, *gate* and
    *candidate* are the activations, *clip* bounds what enters them, *initial* is ``learned``
    when the tensor ``h0`` is the state that a stream starts from. A layer whose *direction* is
    ``reverse`` reads a sequence from its end, and answers at each step with what it knows there. One that
    *returns* its ``last`` state answers for the whole sequence: in a stream, with what it knows so far.

    Tensors, rows r | z | n: ``weight_ih`` (3*n_hid, n_in), ``weight_hh`` (3*n_hid, n_hid) and, if
    it has them, ``bias_ih`` (3*n_hid,), ``bias_hh`` (3*n_hid,), ``h0`` (n_hid,).
    """

    n_hid: Size
    variant: Literal["after", "before"] = "after"
    gate: AnyFunction = "sigmoid"
    candidate: AnyFunction = "tanh"
    clip: Annotated[float, msgspec.Meta(gt=0)] | None = None
    initial: Literal["zero", "learned"] = "zero"
    direction: Literal["forward", "reverse"] = "forward"
    returns: Literal["each", "last"] = "each"


class Dense(Layer, frozen=True, tag="dense", kw_only=True):
    """``function(W x + b)``. Tensors: ``weight`` (n_out, n_in), optional ``bias`` (n_out,)."""

    n_out: Size
    function: AnyFunction = "linear"


class Conv1d(Layer, frozen=True, tag="conv1d", kw_only=True):
    """Convolution over time, ``function(sum_j W_j x[t * stride - before + j * dilation] + b)``, j from 0 to size - 1.

    *before* and *after* count the zeros that a sequence is padded with at its start and its end. What has
    fewer zeros before than ``(size - 1) * dilation`` looks ahead, and answers that many steps late; more it
    cannot have.

    Tensors: ``weight`` (n_out, size*n_in), the columns of the oldest step first, optional ``bias`` (n_out,).
    """

    n_out: Size
    size: Size
    stride: Size = 1
    dilation: Size = 1
    before: Rows = 0
    after: Rows = 0
    function: AnyFunction = "linear"


class AveragePool1d(Layer, frozen=True, tag="average_pool1d", kw_only=True):
    """The mean of *size* steps, as :class:`Conv1d` takes them; the padding counts as zeros, or not at all."""

    size: Size
    stride: Size = 1
    before: Rows = 0
    after: Rows = 0
    padding: Literal["counted", "left_out"] = "left_out"


class MaxPool1d(Layer, frozen=True, tag="max_pool1d", kw_only=True):
    """The largest of *size* steps, as :class:`Conv1d` takes them, without the padding."""

    size: Size
    stride: Size = 1
    before: Rows = 0
    after: Rows = 0


class Embedding(Layer, frozen=True, tag="embedding", kw_only=True):
    """A row of a table, chosen by a token. Tensor: ``weight`` (vocab, n_out)."""

    n_out: Size


class Scale(Layer, frozen=True, tag="scale", kw_only=True):
    """``x * weight + bias``. Tensors, both optional: ``weight`` (n_in,), ``bias`` (n_in,)."""


class BatchNorm(Layer, frozen=True, tag="batchnorm", kw_only=True):
    """``(x - mean) / sqrt(var + eps) * weight + bias`` with the statistics of the training.

    Tensors (n_in,): ``mean``, ``var``, optional ``weight``, ``bias``.
    """

    eps: Annotated[float, msgspec.Meta(gt=0)] = 1e-5


class LayerNorm(Layer, frozen=True, tag="layernorm", kw_only=True):
    """``(x - mean(x)) / sqrt(var(x) + eps) * weight + bias``. Tensors (n_in,), optional: ``weight``, ``bias``."""

    eps: Annotated[float, msgspec.Meta(gt=0)] = 1e-5


class Activation(Layer, frozen=True, tag="activation", kw_only=True):
    """``function(x)``."""

    function: AnyFunction


class Softmax(Layer, frozen=True, tag="softmax", kw_only=True):
    """``exp(x) / sum(exp(x))``, or with *log* its logarithm."""

    log: bool = False


class Normalize(Layer, frozen=True, tag="normalize", kw_only=True):
    """Unit length, ``x / sqrt(max(sum(x**2), eps))``, or unit sum, ``x / max(sum(|x|), eps)``."""

    to: Literal["length", "sum"] = "length"
    eps: Annotated[float, msgspec.Meta(gt=0)] = 1e-12


class Concat(Layer, frozen=True, tag="concat", kw_only=True):
    """All inputs, one behind the other."""


class Slice(Layer, frozen=True, tag="slice", kw_only=True):
    """``x[start:stop]``."""

    start: Annotated[int, msgspec.Meta(ge=0)]
    stop: Size


class Add(Layer, frozen=True, tag="add", kw_only=True):
    """``a + b`` of two inputs of one size."""


class Mul(Layer, frozen=True, tag="mul", kw_only=True):
    """``a * b``, elementwise, of two inputs of one size."""


class Div(Layer, frozen=True, tag="div", kw_only=True):
    """``a / b``, elementwise, of two inputs of one size."""


AnyLayer = Union[
    Gru, Dense, Conv1d, AveragePool1d, MaxPool1d, Embedding, Scale, BatchNorm, LayerNorm,
    Activation, Softmax, Normalize, Concat, Slice, Add, Mul, Div,
]  # fmt: skip
LAYER_KINDS = {cls.__struct_config__.tag: cls for cls in get_args(AnyLayer)}


class Feedback(_Data, frozen=True, kw_only=True):
    """A program's answer is its input at the next step.

    *input* is given what *output* (without it, all of ``y``) answered: the index of its largest number
    (``argmax``), one drawn from it as logits (``sample``), or its numbers themselves (``value``). *start* is the first
    input; the token *stop* ends it, and so do *limit* steps.
    """

    input: Name
    output: Name | None = None
    choose: Literal["argmax", "sample", "value"] = "argmax"
    start: int | tuple[float, ...] | None = None
    stop: Token | None = None
    limit: Size = 1000


class Program(_Data, frozen=True, kw_only=True):
    """Inputs, layers, outputs, and what of these is fed back."""

    inputs: tuple[Input, ...]
    layers: tuple[AnyLayer, ...]
    outputs: tuple[Output, ...] = ()
    feedback: Feedback | None = None


class Handoff(_Data, frozen=True, kw_only=True):
    """The final state of a layer of one program becomes the initial state of a layer of another."""

    source: Name
    source_layer: Name
    target: Name
    target_layer: Name


class Spec(_Data, frozen=True, kw_only=True, omit_defaults=False):
    """A whole network. *title* and *origin* are for people; *format* is the version of this schema."""

    programs: Annotated[dict[str, Program], msgspec.Meta(max_length=16)]
    format: int = FORMAT
    title: str = ""
    origin: str = ""
    handoffs: Annotated[tuple[Handoff, ...], msgspec.Meta(max_length=256)] = ()

    @property
    def main(self) -> Program:
        """The program that a stream runs.

        Raises
        ------
        UnsupportedError
            If there are others as well.
        """
        if set(self.programs) != {"main"}:
            raise UnsupportedError(several(self))
        return self.programs["main"]


def several(spec: Spec) -> str:
    """What to do with a network that is not one program called main, for an error."""
    return (
        f"expected a network with one program, called main, got {', '.join(sorted(spec.programs)) or 'none'}; "
        "take one of them, model.programs[name], or run all together with model.generate(X)"
    )


def sequential(*layers: AnyLayer, inputs: tuple[Input, ...], outputs: tuple[Output, ...] = (), title: str = "") -> Spec:
    """Make the spec of a plain network: one program, layers in a row."""
    return Spec(programs={"main": Program(inputs=inputs, layers=layers, outputs=outputs)}, title=title)


def from_json(text: str | bytes) -> Spec:
    """Read a spec from JSON.

    Raises
    ------
    SpecError
        If it is malformed, or holds a key, a layer or a format that this version does not know.
    """
    return _read(msgspec.json.decode, text)


def from_toml(text: str | bytes) -> Spec:
    """Read a spec from TOML; errors as :func:`from_json`."""
    return _read(msgspec.toml.decode, text)


_FOR_PEOPLE: dict[str, Any] = {  # what an input has beside what is computed with
    "features": None, "unit": None, "labels": None, "split": "characters", "unknown": None, "end": None,
}  # fmt: skip


def identity(spec: Spec) -> bytes:
    """What a spec computes, as bytes for a fingerprint: without titles, names of features and outputs, and units.

    Defaults are left out, so that what a later version adds changes nothing for the networks of this one.
    """
    programs = {
        name: msgspec.structs.replace(
            program,
            inputs=tuple(msgspec.structs.replace(item, **_FOR_PEOPLE) for item in program.inputs),
            outputs=(),
        )
        for name, program in spec.programs.items()
    }
    described = {"format": spec.format, "programs": programs}
    if spec.handoffs:
        described["handoffs"] = spec.handoffs
    return msgspec.json.encode(described, order="deterministic")


def to_json(spec: Spec) -> bytes:
    """Write a spec as JSON."""
    return msgspec.json.encode(spec, order="deterministic")


def checked(spec: Spec) -> Spec:
    """Hold *spec* against the rules that apply to one that is read; what is made in Python may break them.

    Raises
    ------
    SpecError
        If it does.
    """
    try:
        text = to_json(spec)
    except (TypeError, ValueError, RecursionError) as error:
        raise SpecError(f"spec: {error}") from None
    return from_json(text)


def _read(decode: Any, text: str | bytes) -> Spec:
    try:
        head = decode(text, type=dict[str, Any])
        version = head.get("format", FORMAT)
        if version != FORMAT:
            raise SpecError(f"spec: expected format {FORMAT}, got {version!r}; a newer streamgru may know it")
        spec = msgspec.convert(head, Spec)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise SpecError(f"spec: {error}") from None
    except ValueError as error:  # tomllib's errors are plain ValueErrors
        raise SpecError(f"spec: {error}") from None
    return spec
