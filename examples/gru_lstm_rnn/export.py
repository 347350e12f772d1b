"""Keep a trained network: the GRU as a native file, the others as plain arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from networks import Network
from safetensors.numpy import save_file

from streamgru.formats import native
from streamgru.formats.builtin import recordings
from streamgru.model import spec as s

ORIGIN = "examples/gru_lstm_rnn, seed 0; trained on people 1 to 7 of the smartwatch recordings of seglearn 1.2.5"


def tensors_of(cell: str, net: Network) -> dict[str, np.ndarray]:
    """Return the trained numbers under streamgru's names; the recurrent layer is called as the cell."""
    state = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    std = state["std"]
    return {
        "scale.weight": 1.0 / std,
        "scale.bias": -state["mean"] / std,
        **{f"{cell}.{t}": state[f"cell.{t}_l0"] for t in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")},
        "head.weight": state["head.weight"],
        "head.bias": state["head.bias"],
    }


@torch.no_grad()
def write_weights(out: Path, cell: str, net: Network) -> float:
    """Write ``<cell>.safetensors``; return torch's share of right answers on the recordings of the package."""
    data, tensors = recordings(), tensors_of(cell, net)
    path = out / f"{cell}.safetensors"
    if cell == "gru":
        spec = s.sequential(
            s.Scale(name="scale"),
            s.Gru(name="gru", n_hid=tensors["gru.weight_hh"].shape[1]),
            s.Dense(name="head", n_out=len(data.labels)),
            s.Softmax(name="softmax"),
            inputs=(s.Input(name="imu", size=len(data.channels), features=data.channels),),
            outputs=(s.Output(name="exercise", labels=data.labels),),
            title=ORIGIN,
        )
        native.write(path, spec, tensors)
    else:
        save_file(tensors, path)
    hits = [net(torch.from_numpy(r.x.copy())[None])[0].argmax(-1) == r.label for r in data.items]
    return torch.cat(hits).double().mean().item()
