"""A PyTorch ``state_dict`` saved as .safetensors -> spec + tensors.

Names and shapes tell which modules there are. They do not tell what ``forward`` does with them, so
only what leaves little to guess is taken: one chain of GRUs, with at most one Linear behind. For all
else the user is handed a spec to correct.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from streamgru.errors import SpecError
from streamgru.formats.conventions import steps_oldest_first
from streamgru.formats.safetensors_file import Tensors
from streamgru.formats.template import toml
from streamgru.formats.torch_names import COUNTER, Part, chained, parts, sources
from streamgru.model import spec as s

HEAD_NAMES = (
    "head", "out", "output", "classifier", "readout", "predictor", "regressor", "logits",
)  # fmt: skip
MAX_CHAIN = 8  # modules whose order is searched for

Found = tuple[s.Spec, Tensors, tuple[str, ...]]


def find(tensors: Tensors, where: str) -> Found:
    """Find the network in a ``state_dict``.

    Returns
    -------
    spec, tensors, findings
        *findings* are lines for people: which tensors became which layer.

    Raises
    ------
    SpecError
        If names and shapes leave it open; the message has a spec to correct.
    UnsupportedError
        If it holds a recurrent layer that is no GRU of one direction.
    """
    found = parts(tensors, where)
    grus = [part for part in found if part.kind == "gru"]
    heads = [part for part in found if part.kind in ("linear", "table")]
    others = [part for part in found if part.kind in ("norm", "conv", "unknown")]
    if not grus:
        wanted = "the tensors of a GRU (weight_ih_l0, weight_hh_l0, ...) or a spec"
        raise SpecError(f"{where}: expected {wanted}, got tensors {sorted(tensors)[:6]}")
    if others:
        raise _refusal(f"what {_names(others)} is for cannot be told", found, where)
    orders = list(islice(_chains(grus), 2)) if len(grus) <= MAX_CHAIN else []
    if len(orders) != 1:
        raise _refusal(f"the order of {_names(grus)} cannot be told", found, where)
    if len(heads) > 1:
        raise _refusal(f"the order of {_names(heads)}, and what stands between them, cannot be told", found, where)
    chain = orders[0] + heads
    for head in heads:
        _check_head(head, orders[0], found, where)
    spec = s.sequential(
        *chained((layer for part in chain for layer in part.layers), "x"),
        inputs=(s.Input(name="x", size=chain[0].n_in),),
    )
    mapped = {native: tensors[name] for part in chain for native, name in part.sources.items()}
    return spec, mapped, tuple(_findings(chain, mapped))


def map_tensors(spec: s.Spec, tensors: Tensors) -> tuple[Tensors, tuple[str, ...]]:
    """Give the tensors of a file the native names of the layers of *spec*, and say what became what.

    A tensor that no layer wants keeps its name, for the model to complain about it.
    """
    layers = tuple(layer for program in spec.programs.values() for layer in program.layers)
    found = sources(layers, set(tensors))
    mapped = {native: tensors[name] for native, name in found.items()}
    findings = [f"{name} -> {native}" for native, name in found.items() if name != native]
    for layer in layers:
        key = f"{layer.name}.weight"
        if isinstance(layer, s.Conv1d) and key in mapped and mapped[key].ndim == 3:
            findings.append(f"{found[key]} {mapped[key].shape} -> {key}, step by step, the oldest first")
            mapped[key] = steps_oldest_first(mapped[key], "oik")
    for name in set(tensors) - set(found.values()):
        if name in mapped:
            raise SpecError(f"tensor {name!r}: taken for another of the same name, {found[name]!r}; rename a layer")
        if not name.endswith(COUNTER):
            mapped[name] = tensors[name]
    return mapped, tuple(findings)


def _check_head(head: Part, chain: list[Part], found: list[Part], where: str) -> None:
    """Take a Linear for the head only where it could not as well stand before the GRUs."""
    n_in, n_out = chain[0].n_in, chain[-1].n_out
    if head.n_in != n_out:
        why = f"{head.title!r} takes {head.n_in} numbers and the GRU gives {n_out}; its place cannot be told"
        raise _refusal(why, found, where)
    could_precede = head.n_out == n_in or (head.kind == "table" and head.n_in == n_in)
    if could_precede and head.prefix.rpartition(".")[2].lower() not in HEAD_NAMES:
        raise _refusal(f"whether {head.title!r} stands before or behind the GRU cannot be told", found, where)


def _findings(chain: list[Part], tensors: Tensors) -> Iterator[str]:
    for part in chain:
        for layer in part.layers:
            names = [f"{name} {tensors[native].shape}" for native, name in part.sources.items()
                     if native.rpartition(".")[0] == layer.name]  # fmt: skip
            if isinstance(layer, s.Gru):
                n_in, n_out = tensors[f"{layer.name}.weight_ih"].shape[1], layer.n_hid
                reads = ", reads from the end" * (layer.direction == "reverse")
                what = f"gru, reset after the product{reads}, {n_in} -> {n_out}"
                yield f"{', '.join(names)} -> layer {layer.name}: {what}"
            elif names:
                yield f"{', '.join(names)} -> layer {layer.name}: dense, linear, {part.n_in} -> {part.n_out}"
    if chain[-1].kind != "gru":
        yield "an activation cannot be seen in a file of weights: none was assumed; if there is one, give a spec"
    if any(isinstance(layer, s.Concat) for part in chain for layer in part.layers):
        yield (
            "whether forward takes the answers of both directions at each step cannot be seen; they were. If it takes "
            'their last states (h_n), give a spec in which these layers have returns = "last"'
        )


def _chains(rest: Sequence[Part], before: tuple[Part, ...] = ()) -> Iterator[list[Part]]:
    """All orders in which each part takes what the one before gives."""
    if not rest:
        yield list(before)
    for i, part in enumerate(rest):
        if not before or before[-1].n_out == part.n_in:
            yield from _chains([*rest[:i], *rest[i + 1 :]], (*before, part))


def _refusal(why: str, found: list[Part], where: str) -> SpecError:
    """The error with a spec in it: the first order that fits, or that of the names."""
    known = [_guess(part, found) for part in found if part.layers]
    order = next(_chains(known), known) if len(known) <= MAX_CHAIN else known
    x = _input(order[0])
    text = toml([x], chained((layer for part in order for layer in part.layers), x.name), _notes(found))
    return SpecError(
        f"{where}: {why} from names and shapes. Save the following as spec.toml, correct it, "
        f"and pass spec='spec.toml' (--spec spec.toml)\n\n{text}"
    )


def _guess(part: Part, found: list[Part]) -> Part:
    """A table that feeds a GRU, and that nothing could feed, is more likely an Embedding."""
    feeds = any(other.kind == "gru" and other.n_in == part.n_in for other in found)
    fed = any(other is not part and other.n_out == part.n_in for other in found)
    if part.kind != "table" or not feeds or (fed and "emb" not in part.prefix.lower()):
        return part
    layer = s.Embedding(name=part.layers[0].name, n_out=part.n_in)
    return replace(part, n_in=0, n_out=part.n_in, vocab=part.n_out, layers=(layer,))


def _input(first: Part) -> s.Input:
    if first.vocab:
        return s.Input(name="token", kind="token", vocab=first.vocab)
    return s.Input(name="x", size=first.n_in)


def _notes(found: list[Part]) -> Iterator[str]:
    for part in found:
        if part.kind == "table":
            yield (
                f'{part.title!r} has no bias: an nn.Linear with bias=False (kind = "dense", n_out = {part.n_out}), or '
                f'an nn.Embedding (kind = "embedding", n_out = {part.n_in}; its input a token, vocab = {part.n_out}).'
            )
        elif part.kind == "norm":
            yield f"{part.title!r}: its eps cannot be seen (1e-5 if none is given), nor quite what kind of norm it is."
        elif part.kind == "conv":
            yield (
                f"{part.title!r}: its padding, stride and dilation cannot be seen (none, 1 and 1 if 'before', 'after', "
                "'stride' and 'dilation' are not given)."
            )
        elif part.kind == "unknown":
            yield f"{part.title!r} and the like: not recognised; this version may have no layer for it."


def _names(found: list[Part]) -> str:
    return ", ".join(repr(part.title) for part in found)
