"""PyTorch's GRUCell: as it is, scripted, and with weights of int8; and for a batch."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders.base import F32, Q8, Absent, Contender, FromPython
from benchmarks.network import NAMES, Network


def contenders(network: Network, x: NDArray[np.float32]) -> list[Contender]:
    """Three kinds of cell, under inference mode."""
    torch = _torch()
    cell = _cell(torch, network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that scripting and quantising have successors
        scripted = torch.jit.freeze(torch.jit.script(cell))
        within = torch.nn.Sequential(_cell(torch, network))  # the outermost module itself is never quantised
        int8 = torch.ao.quantization.quantize_dynamic(within, {torch.nn.GRUCell}, torch.qint8)[0]
    return [
        _stepping("torch GRUCell", torch, cell, network.n_hid, x),
        _stepping("torch scripted", torch, scripted, network.n_hid, x),
        _stepping("torch int8", torch, int8, network.n_hid, x, Q8),
    ]


def batched(network: Network, X: NDArray[np.float32]) -> Contender:
    """One cell for all rows of X at once."""
    torch = _torch()
    cell, rows = _cell(torch, network), torch.from_numpy(X)
    return _taking("torch GRUCell", torch, cell, rows, torch.zeros(len(X), network.n_hid), F32)


def _stepping(
    name: str, torch: Any, cell: Any, n_hid: int, x: NDArray[np.float32], tolerance: float = F32
) -> Contender:
    return _taking(name, torch, cell, torch.from_numpy(x)[None], torch.zeros(1, n_hid), tolerance)


def _taking(name: str, torch: Any, cell: Any, x: Any, h: Any, tolerance: float) -> Contender:
    """Inference mode is entered once, around the loop."""
    step, within = "h = cell(x, h)", torch.inference_mode
    return FromPython(name, step, lambda names: names["h"].numpy(), tolerance, within, cell=cell, x=x, h=h)


def _cell(torch: Any, network: Network) -> Any:
    cell = torch.nn.GRUCell(network.n_in, network.n_hid)
    cell.load_state_dict({name: torch.from_numpy(network.tensors[f"gru.0.{name}"]) for name in NAMES})
    return cell.eval()


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise Absent("torch is not installed") from None
    torch.set_num_threads(1)
    return torch
