"""What a map is: a spec whose layers also tell where in a file of bare arrays their tensors are, and how they lie.

The keys of a layer are those of the same layer in a spec, together with those of :class:`Stored`, or, for a GRU, of
:class:`StoredGru`.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec

from streamgru.errors import SpecError
from streamgru.formats.conventions import PRESETS
from streamgru.formats.files import read_bytes
from streamgru.model import spec as s

MAX_MAP_BYTES = 1 << 20

Order = Literal["rzn", "rnz", "zrn", "znr", "nrz", "nzr"]
SomeGates = Annotated[str, msgspec.Meta(pattern=r"^(?!.*(.).*\1)[rzn]{1,3}\Z")]
Blocks = str | dict[SomeGates, str]
Scale = Annotated[float, msgspec.Meta(gt=0, le=1e18)]


class _Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of everything in a map: immutable, and strict about what it reads."""


class Stored(_Data, frozen=True, kw_only=True):
    """Where the tensors of a dense, embedding, conv1d, scale, batchnorm or layernorm layer are.

    *arrays* names an array of the file for each tensor of the layer: ``{ weight = "W", bias = "b" }``. *rows* tells
    whether the rows of the matrix are ``outputs`` or ``inputs`` (those of an embedding are inputs, its tokens,
    unless it says otherwise), *axes* where a convolution has its o(utputs), i(nputs) and k (steps): ``oik`` in PyTorch,
    ``kio`` in Keras. *flat* arrays have one dimension, a row behind the other. What has integers counts in units of
    *scale*.
    """

    arrays: dict[str, str] = {}
    rows: Literal["outputs", "inputs"] | None = None
    axes: Literal["oik", "oki", "iok", "iko", "koi", "kio"] | None = None
    flat: bool = False
    scale: Scale | None = None


class GruArrays(_Data, frozen=True, kw_only=True):
    """The names of a GRU's arrays: one for all gates, or a table of gates and names, ``{ rz = "A", n = "B" }``.

    Weights are *input* and *recurrent*, or *both* in one array that acts on ``[x, h]``. *bias* is that of the input
    product, or one for both, or both in one array (see *biases*); *recurrent_bias* the other one. A gate that has none
    is left out. *input_scale*, *recurrent_scale* and *both_scale* hold a scale for each output of the weights,
    *recurrent_diagonal* what belongs on the diagonals of the recurrent ones, *h0* the state that a stream starts from.
    """

    input: Blocks | None = None
    recurrent: Blocks | None = None
    both: Blocks | None = None
    bias: Blocks | None = None
    recurrent_bias: Blocks | None = None
    input_scale: Blocks | None = None
    recurrent_scale: Blocks | None = None
    both_scale: Blocks | None = None
    recurrent_diagonal: Blocks | None = None
    h0: str | None = None


class StoredGru(_Data, frozen=True, kw_only=True):
    """Where the tensors of a GRU are, and by which convention.

    *order* is that of the gates in an array that has all three; *rows* of the weights are ``outputs`` or ``inputs``;
    *update* tells whether the update gate keeps, ``h' = (1 - z) n + z h``, or writes, ``h' = (1 - z) h + z n``;
    *biases* how many the array ``bias`` has: ``one`` (3*n_hid,), ``rows`` (2, 3*n_hid) or ``flat`` (6*n_hid,).
    *joined* is the order of x and h in ``both``. *stacked* arrays have a first axis of directions, *flat* ones have one
    dimension, a row of the matrix behind the other. What has integers counts in units of *scale*.

    A GRU called g with ``direction = "both"`` becomes three layers, ``g.forward``, ``g.reverse`` and ``g``, their
    concat; its second direction is the second block of stacked arrays, or has names of its own in *reverse*.
    """

    arrays: GruArrays
    order: Order
    rows: Literal["outputs", "inputs"]
    update: Literal["keep", "write"]
    reverse: GruArrays | None = None
    biases: Literal["one", "rows", "flat"] = "one"
    joined: Literal["xh", "hx"] | None = None
    stacked: bool = False
    flat: bool = False
    scale: Scale | None = None


class MapProgram(_Data, frozen=True, kw_only=True):
    """A program as in a spec; its layers are read by :func:`layer`."""

    inputs: tuple[s.Input, ...]
    layers: tuple[dict[str, Any], ...]
    outputs: tuple[s.Output, ...] = ()
    feedback: s.Feedback | None = None


class Map(_Data, frozen=True, kw_only=True):
    """A whole map: *programs* as in a spec, or the fields of a single one at the top.

    *ignore* has patterns (``optimizer/*``) for the arrays that no layer is meant to use; all others must be used.
    """

    format: Literal[1] = 1
    title: str = ""
    origin: str = ""
    inputs: tuple[s.Input, ...] = ()
    layers: tuple[dict[str, Any], ...] = ()
    outputs: tuple[s.Output, ...] = ()
    feedback: s.Feedback | None = None
    programs: dict[str, MapProgram] = {}
    handoffs: tuple[s.Handoff, ...] = ()
    ignore: tuple[Annotated[str, msgspec.Meta(max_length=256)], ...] = ()


def read_map(src: str | os.PathLike[str] | Mapping[str, Any]) -> Map:
    """Read a map from a TOML or JSON file, or from the same data in Python.

    Raises
    ------
    FormatError, SpecError
        If it cannot be read, or is wrong in itself.
    """
    try:
        if isinstance(src, Mapping):
            found = msgspec.json.decode(msgspec.json.encode(src), type=Map)
        else:
            text = read_bytes(src, MAX_MAP_BYTES)
            decode = msgspec.json.decode if text.lstrip().startswith(b"{") else msgspec.toml.decode
            found = decode(text, type=Map)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, TypeError, ValueError) as error:
        raise SpecError(f"map: {error}") from None
    if bool(found.programs) == bool(found.layers):
        raise SpecError("map: expected either layers, for a network of one program, or programs that have them")
    return found


def programs(found: Map) -> dict[str, MapProgram]:
    """The programs of a map; what stands at its top is ``main``."""
    main = MapProgram(inputs=found.inputs, layers=found.layers, outputs=found.outputs, feedback=found.feedback)
    return found.programs or {"main": main}


def read_layer(raw: dict[str, Any], where: str) -> tuple[s.AnyLayer, Stored | StoredGru, bool]:
    """Read one layer: the layer of a spec, where its tensors are, and whether it runs in both directions.

    Raises
    ------
    SpecError
        If a key is missing, unknown or wrong.
    """
    kind, name = str(raw.get("kind")), str(raw.get("name"))
    where = f"map: {where} {name!r}"
    if kind not in s.LAYER_KINDS:
        raise SpecError(f"{where}: expected a kind of {', '.join(s.LAYER_KINDS)}, got {kind!r}")
    stored_type: type[Stored] | type[StoredGru] = StoredGru if kind == "gru" else Stored
    if kind == "gru":
        raw = _spelled_out(raw, where)
    both = raw.get("direction") == "both"
    if both:
        raw = {key: value for key, value in raw.items() if key != "direction"}
    here, there = stored_type.__struct_fields__, s.LAYER_KINDS[kind].__struct_fields__
    for key in raw:
        if key not in ("kind", *here, *there):
            raise SpecError(f"{where}: a {kind} layer has no key {key!r}{nearest(key, (*here, *there))}")
    try:
        stored = msgspec.convert({key: raw[key] for key in raw if key in here}, stored_type)
        layer = msgspec.convert({key: raw[key] for key in raw if key not in here}, s.AnyLayer)
    except msgspec.ValidationError as error:
        hint = f"; or name a convention: {', '.join(PRESETS)}" if kind == "gru" and "missing" in str(error) else ""
        raise SpecError(f"{where}: {error}{hint}") from None
    return layer, stored, both


def nearest(name: str, names: Iterable[str]) -> str:
    """The end of an error: which names come nearest to *name*, if any does."""
    close = difflib.get_close_matches(name[:200], list(names), 3, 0.5)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""


def _spelled_out(raw: dict[str, Any], where: str) -> dict[str, Any]:
    """A GRU with the fields of its convention; those that it gives itself win."""
    convention = raw.get("convention")
    if convention is None:
        if "variant" not in raw:
            raise SpecError(f"{where}: tell its variant, after or before, or name a convention: {', '.join(PRESETS)}")
        return raw
    if not isinstance(convention, str) or convention not in PRESETS:
        raise SpecError(f"{where}: expected a convention of {', '.join(PRESETS)}, got {convention!r}")
    own = {key: value for key, value in raw.items() if key != "convention"}
    return {**PRESETS[convention], **own}
