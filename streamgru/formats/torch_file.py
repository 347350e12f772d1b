"""A PyTorch checkpoint (``.pt``, ``.pth``: a zip with a pickle in it) -> the tensors of the state_dict in it.

Read without PyTorch, and without executing anything: see ``torch_pickle``. What a checkpoint holds beside its weights,
such as the state of an optimiser, is passed over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamgru.errors import FormatError, SpecError, UnsupportedError
from streamgru.formats.safetensors_file import Tensors
from streamgru.formats.torch_names import GRU_LEAF
from streamgru.formats.torch_pickle import View, loads
from streamgru.formats.zip_file import Members

MAX_TENSORS = 4096
MAX_NAME = 256
FREE_BYTES = 8 << 20
MAX_RANK = 4  # of what a network here can use
MAX_DEPTH = 16  # of dictionaries in dictionaries
N_SHOWN, SHOWN = 10, 80  # of state_dicts in a message, and letters of each name
PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile
ORDERS: dict[bytes, Literal["<", ">"]] = {b"little": "<", b"big": ">"}

State = Mapping[str, Any]


def find(members: Members, where: str) -> tuple[Tensors, tuple[str, ...]]:
    """The tensors of the state_dict in a checkpoint, and lines for people.

    Parameters
    ----------
    members : Members
        The archive, as :func:`streamgru.formats.zip_file.members` opens it.
    where : str
        What error messages call it.

    Raises
    ------
    FormatError
        If it is damaged, or a tensor does not lie within its storage.
    SpecError
        If there is no state_dict with a GRU in it, or more than one.
    UnsupportedError
        If it holds more than tensors: a whole module, or TorchScript.
    """
    pickle, *more = [name for name in members if name.rpartition("/")[2] == "data.pkl"] or [""]
    if not pickle:
        raise FormatError(f"{where}: expected a zip archive with a data.pkl, as torch.save writes it")
    folder = pickle.removesuffix("data.pkl")
    if more or any(name.startswith((folder + "code/", folder + "constants.pkl")) for name in members):
        raise UnsupportedError(
            f"{where}: this is TorchScript, code with weights in it; expected a state_dict. Save one with "
            "torch.save(torch.jit.load(path).state_dict(), other_path)"
        )
    path, state = _chosen(loads(members[pickle], where), where)
    views = {name: value for name, value in state.items() if isinstance(value, View)}
    if len(views) > MAX_TENSORS or any(len(name) > MAX_NAME for name in views):
        raise FormatError(f"{where}: expected at most {MAX_TENSORS} tensors with names of at most {MAX_NAME} letters")
    order = ORDERS.get(members.get(folder + "byteorder", b"little").strip())
    if order is None:
        raise FormatError(f"{where}: expected a byteorder of little or big, got {members[folder + 'byteorder'][:20]!r}")
    # A stride of 0 makes many numbers of one; a size of 0 makes none, and NumPy still multiplies the others.
    total = sum(math.prod(max(n, 1) for n in view.shape) * _itemsize(view) for view in views.values())
    most = FREE_BYTES + 2 * sum(map(members.size, members))
    if total > most:
        raise FormatError(f"{where}: expected tensors of at most {most} bytes in all, got {total}")
    prefix = _prefix(views)
    keys = {view.storage.key for view in views.values()}
    storages = {key: members[name] for key in keys if (name := f"{folder}data/{key}") in members}
    found = {
        name.removeprefix(prefix): _array(view, storages, order, f"{where}: tensor {name!r}")
        for name, view in views.items()
    }
    findings = [f"the state_dict under {path!r}"] if path else []
    if prefix:
        findings.append(f"names without their prefix {prefix!r}")
    return found, tuple(findings)


def _chosen(value: Any, where: str) -> tuple[str, State]:
    """The one state_dict with a GRU in it, and where in the checkpoint it was."""
    found = list(_states(value))
    if not found and isinstance(value, View):
        raise SpecError(f"{where}: expected a state_dict, got one tensor")
    with_gru = [item for item in found if any(GRU_LEAF.fullmatch(name.rpartition(".")[2]) for name in item[1])]
    chosen = with_gru or found
    if len(chosen) == 1:
        return chosen[0]
    keys = ", ".join(repr(path) for path, _ in chosen[:N_SHOWN]) or "none"
    if len(chosen) > N_SHOWN:
        keys += f" and {len(chosen) - N_SHOWN} more"
    raise SpecError(
        f"{where}: expected one state_dict, got {keys}; save the one that you want: "
        "torch.save(torch.load(path, weights_only=True)[KEY], other_path)"
    )


def _states(value: Any) -> Iterator[tuple[str, State]]:
    """All dictionaries from names to tensors; what an optimiser keeps has numbers for names."""
    seen: set[int] = set()  # a dictionary may hold itself
    todo: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while todo:
        path, item = todo.pop()
        if not isinstance(item, dict) or id(item) in seen or len(path) > MAX_DEPTH:
            continue
        seen.add(id(item))
        if any(isinstance(one, View) for one in item.values()) and all(isinstance(key, str) for key in item):
            yield ".".join(str(key)[:SHOWN] for key in path), item
        todo += [((*path, key), one) for key, one in item.items() if isinstance(one, dict)]


def _prefix(names: Mapping[str, Any]) -> str:
    """What a wrapper has put before every name."""
    prefix = ""
    while names and (more := next((p for p in PREFIXES if all(n.startswith(prefix + p) for n in names)), "")):
        prefix += more
    return prefix


def _array(view: View, storages: Mapping[str, bytes], order: Literal["<", ">"], what: str) -> NDArray[Any]:
    """The elements of a tensor, every one of which is first seen to lie in its storage."""
    shape, strides, storage = view.shape, view.strides, view.storage
    if len(shape) != len(strides) or len(shape) > MAX_RANK:
        raise FormatError(
            f"{what}: expected up to {MAX_RANK} dimensions, each with a stride, got {shape} and {strides}"
        )
    if view.altered:
        raise UnsupportedError(f"{what}: it is negated or conjugated as it is read; save a copy of it: tensor.clone()")
    data = storages.get(storage.key)
    if data is None:
        raise FormatError(f"{what}: its storage {storage.key[:SHOWN]!r} is missing in the archive")
    stored = np.dtype("uint16" if storage.dtype == "bfloat16" else storage.dtype)
    n_items = len(data) // stored.itemsize
    last = view.offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if 0 not in shape and last >= min(n_items, storage.n_items):
        raise FormatError(
            f"{what}: expected its elements in a storage of {min(n_items, storage.n_items)}, got one at {last}"
        )
    if 0 in shape:
        return np.empty(shape, np.float32 if storage.dtype == "bfloat16" else stored)
    flat = np.frombuffer(data, stored.newbyteorder(order), n_items)[view.offset :]
    steps = [stride * stored.itemsize if n > 1 else 0 for n, stride in zip(shape, strides, strict=True)]
    lying = np.lib.stride_tricks.as_strided(flat, shape, steps, writeable=False)
    plain = np.ascontiguousarray(lying, stored).reshape(shape)  # the first makes an array of one number a row
    return _widened(plain) if storage.dtype == "bfloat16" else plain


def _itemsize(view: View) -> int:
    """Bytes of each element once it is read."""
    return 4 if view.storage.dtype == "bfloat16" else np.dtype(view.storage.dtype).itemsize


def _widened(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """bfloat16 -> float32: its upper half, so that nothing is lost."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
