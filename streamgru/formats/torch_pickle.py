"""The pickle inside a PyTorch checkpoint, read by a machine of our own that can only build plain data.

A pickle is a program. Here it runs on an interpreter that knows numbers, texts, tuples, lists and dictionaries, and
a few names, each of which stands for a function of this file. Any other name, and any opcode that could do more,
is refused; nothing is ever imported or called by a name from the file.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from streamgru.errors import FormatError, UnsupportedError

MAX_STEPS = 2_000_000  # opcodes; a checkpoint of 4,096 tensors takes some 100,000
MAX_RANK = 64
MAX_ARGUMENTS = 8
MAX_KEY = 1024  # letters
LARGEST = 1 << 61
SHOWN = 200  # letters of what a message quotes from the file
WAY_OUT = (
    "It is not read, since a pickle may do anything. Where the model was trained, save its weights alone: "
    "torch.save(model.state_dict(), path); or call streamgru.from_torch(model)"
)


@dataclass(frozen=True)
class Storage:
    """A run of numbers in a member of the archive."""

    dtype: str  # float32, bfloat16, ...
    key: str
    n_items: int


@dataclass(frozen=True)
class View:
    """A tensor: where in a storage its elements lie; all counted in elements, and not checked yet."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    altered: bool = False  # negated or conjugated when it is read, which is told apart from its elements


class _Mark:
    pass


@dataclass(frozen=True)
class _Name:
    """A name of the table below, on the stack."""

    text: str


STORAGES = {
    "FloatStorage": "float32", "DoubleStorage": "float64", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool",
}  # fmt: skip


def _view(
    storage: Any, offset: Any, shape: Any, strides: Any, grad: Any = False, hooks: Any = None, metadata: Any = None
) -> View:
    if not isinstance(storage, Storage) or not _is_int(offset) or not (_are_ints(shape) and _are_ints(strides)):
        raise ValueError("a tensor is not described as PyTorch describes one")
    return View(storage, offset, shape, strides, bool(metadata))


def _parameter(data: Any, *rest: Any) -> View:
    if not isinstance(data, View):
        raise ValueError("a parameter is expected to hold a tensor")
    return data


def _dictionary(items: Any = ()) -> dict[Any, Any]:
    if items:
        raise ValueError("an OrderedDict is expected to be empty before it is filled")
    return {}


def _counts(items: Any = ()) -> dict[Any, Any]:
    """What some schedules of the learning rate keep; not copied, which would cost more than the file is long."""
    return items if type(items) is dict else _dictionary(items)


def _device(name: Any, *rest: Any) -> str:
    if not isinstance(name, str):
        raise ValueError("a device is expected to have a name")
    return name


def _shape(sizes: Any) -> tuple[int, ...]:
    if not _are_ints(sizes):
        raise ValueError("a torch.Size is expected to hold sizes")
    return sizes  # type: ignore[no-any-return]


CALLS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _dictionary,
    "collections.Counter": _counts,
    "torch._utils._rebuild_tensor_v2": _view,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.Size": _shape,
    "torch.device": _device,
}


def loads(data: bytes, where: str) -> Any:
    """The value of a pickle: numbers, texts, tuples, lists, dictionaries, and a :class:`View` for each tensor.

    Raises
    ------
    FormatError
        If it is damaged, or larger than any checkpoint.
    UnsupportedError
        If it asks for anything else, naming it.
    """
    try:
        return _Machine(data, where).run()
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError, MemoryError) as error:
        reason = str(error)[:SHOWN] or type(error).__name__
        raise FormatError(f"{where}: the pickle of the checkpoint is damaged: {reason}") from None


class _Machine:
    def __init__(self, data: bytes, where: str) -> None:
        self.data, self.where = data, where
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        for step, (opcode, arg, _) in enumerate(pickletools.genops(self.data)):
            if step >= MAX_STEPS:
                raise FormatError(f"{self.where}: expected at most {MAX_STEPS} opcodes in the pickle, got more")
            act = ACTS.get(opcode.name)
            if act is None:
                raise UnsupportedError(
                    f"{self.where}: the pickle uses {opcode.name}, which no state_dict does. {WAY_OUT}"
                )
            act(self, arg)
        (value,) = self.stack
        return value

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _Mark:
            raise ValueError("a mark where a value was expected")
        return value

    def top(self, kind: type) -> Any:
        if not self.stack or type(self.stack[-1]) is not kind:
            raise ValueError(f"expected a {kind.__name__} on the stack")
        return self.stack[-1]

    def to_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while self.stack[at] is not _Mark:
            at -= 1
            if at < 0:
                raise ValueError("no mark on the stack")
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def tuple_of(self, n: int) -> None:
        items = [self.pop() for _ in range(n)]
        self.push(tuple(reversed(items)))

    def name(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:  # to write out a tuple of tuples may take for ever
            raise ValueError("a name that is no text")
        text = f"{module}.{name}"
        if text not in CALLS and not (module == "torch" and name in STORAGES):
            raise UnsupportedError(
                f"{self.where}: the checkpoint needs {text[:SHOWN]}, more than the tensors of a state_dict. {WAY_OUT}"
            )
        self.push(_Name(text))

    def reduce(self) -> None:
        args, function = self.pop(), self.pop()
        if type(function) is not _Name or function.text not in CALLS or type(args) is not tuple:
            raise ValueError("a call of what is no function")
        if len(args) > MAX_ARGUMENTS:
            raise ValueError(f"a call with {len(args)} arguments")
        self.push(CALLS[function.text](*args))

    def build(self) -> None:
        """What an OrderedDict has beside its items: PyTorch keeps versions of the modules there."""
        self.pop()
        self.top(dict)

    def persistent(self) -> None:
        match self.pop():
            case ("storage", _Name(text=text), str(key), _, n) if (
                _is_int(n) and text.removeprefix("torch.") in STORAGES
            ):
                self.push(Storage(STORAGES[text.removeprefix("torch.")], key, n))
            case _:
                raise ValueError("a reference that is none to a storage")

    def set_items(self, items: list[Any]) -> None:
        target = self.top(dict)
        if len(items) % 2:
            raise ValueError("a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # The hash of a tuple of tuples may take for ever, and large integers can be made to have one hash.
            fits = len(key) <= MAX_KEY if type(key) is str else isinstance(key, int) and abs(key) < LARGEST
            if not fits:
                raise ValueError(f"a key of the type {type(key).__name__}, or too large")
            target[key] = value

    def append(self, items: list[Any]) -> None:
        self.top(list).extend(items)

    def put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]


def _stack_global(machine: _Machine, _: Any) -> None:
    name, module = machine.pop(), machine.pop()
    machine.name(module, name)


def _set_item(machine: _Machine, _: Any) -> None:
    value, key = machine.pop(), machine.pop()
    machine.set_items([key, value])


def _append(machine: _Machine, _: Any) -> None:
    item = machine.pop()
    machine.append([item])


def _global(machine: _Machine, arg: str) -> None:
    module, _, name = arg.partition(" ")
    machine.name(module, name)


def _nothing(machine: _Machine, _: Any) -> None:
    """The version of the protocol, the length of a frame, the end."""


PLAIN = (
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
)  # fmt: skip
ACTS: Mapping[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _nothing,
    "FRAME": _nothing,
    "STOP": _nothing,
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "MARK": lambda machine, _: machine.push(_Mark),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.to_mark())),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "SETITEM": _set_item,
    "SETITEMS": lambda machine, _: machine.set_items(machine.to_mark()),
    "APPEND": _append,
    "APPENDS": lambda machine, _: machine.append(machine.to_mark()),
    "BINPUT": lambda machine, arg: machine.put(arg),
    "LONG_BINPUT": lambda machine, arg: machine.put(arg),
    "MEMOIZE": lambda machine, _: machine.put(len(machine.memo)),
    "BINGET": lambda machine, arg: machine.push(machine.memo[arg]),
    "LONG_BINGET": lambda machine, arg: machine.push(machine.memo[arg]),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": lambda machine, _: machine.reduce(),
    "BUILD": lambda machine, _: machine.build(),
    "BINPERSID": lambda machine, _: machine.persistent(),
    **{name: lambda machine, arg: machine.push(arg) for name in PLAIN},
}


def _is_int(value: Any) -> bool:
    return type(value) is int and 0 <= value < LARGEST


def _are_ints(values: Any) -> bool:
    return type(values) is tuple and len(values) <= MAX_RANK and all(map(_is_int, values))
