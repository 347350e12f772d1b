"""A spec as TOML with comments: what an error hands to the user, to be corrected and passed as ``spec=``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import get_args

import msgspec

from streamgru.model.functions import Function
from streamgru.model.spec import AnyLayer, Dense, Gru, Input, Layer

FUNCTIONS = ", ".join(get_args(Function))

HEAD = """\
# What streamgru could see; make it what the network really is.
#
# Layers stand in the order in which they run. A layer's name says where its tensors are:
#   "rnn.0", "rnn.1"  the layers of an nn.GRU called rnn (rnn.weight_ih_l0, rnn.weight_ih_l1, ...);
#                     those of an nn.GRU without a name are "gru.0", "gru.1"
#   "head"            a module called head (head.weight, head.bias, or head.weight_ih of an nn.GRUCell)
# What has no tensors stands between the others, under any name that is free:
#   [[programs.main.layers]]
#   name = "squash"
#   kind = "activation"    # or softmax, or normalize
#   function = "relu"
"""


def toml(inputs: Iterable[Input], layers: Iterable[AnyLayer], notes: Iterable[str] = ()) -> str:
    """Write a spec of one program; *notes* become comments at its end."""
    lines = [HEAD, "format = 1", ""]
    for item in inputs:
        lines += ["[[programs.main.inputs]]", *_pairs(item), ""]
    for layer in layers:
        lines += ["[[programs.main.layers]]", *_pairs(layer)]
        if isinstance(layer, Dense):
            lines.append(f'function = "{layer.function}"    # {FUNCTIONS}')
        if isinstance(layer, Gru):
            lines.append(f'variant = "{layer.variant}"    # where the reset gate acts: after the product in PyTorch')
        lines.append("")
    return "\n".join(lines + [f"# {note}" for note in notes]).rstrip() + "\n"


def _pairs(item: Input | AnyLayer) -> list[str]:
    """What is not left at its default, one ``key = value`` per line; a JSON scalar is a TOML scalar."""
    plain = msgspec.to_builtins(item)
    if "kind" in plain and isinstance(item, Layer):
        plain = {"name": plain["name"], "kind": plain["kind"]} | plain
    shown_below = {"variant", "function"} if isinstance(item, Dense) else {"variant"}
    return [f"{key} = {json.dumps(value)}" for key, value in plain.items() if key not in shown_below]
