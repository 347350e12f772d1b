"""Write the native file of format 1 with small weights that every later version must read: int8 and float16.

Run once, by hand. To run it again would be to forget what was promised.
"""

from pathlib import Path

import numpy as np

import streamgru
from streamgru.formats import native
from streamgru.model import spec as s
from streamgru.model.layout import tensor_shapes

FOLDER = Path(__file__).parent

LAYERS = (
    s.Embedding(name="table8", n_out=3, inputs=("token",)),
    s.Embedding(name="table16", n_out=2, inputs=("token",)),
    s.Concat(name="both", inputs=("table8", "table16", "x")),
    s.Dense(name="dense8", n_out=5, function="tanh"),
    s.Gru(name="gru8", n_hid=6),
    s.Gru(name="gru16", n_hid=5, variant="before"),
    s.Gru(name="mixed", n_hid=4),
    s.Dense(name="head16", n_out=3),
)
N_IN = {"dense8": 7, "gru8": 5, "gru16": 6, "mixed": 5, "head16": 4}
INT8 = ("table8.weight", "dense8.weight", "gru8.weight_ih", "gru8.weight_hh", "mixed.weight_hh")
SPEC = s.sequential(
    *LAYERS,
    inputs=(s.Input(name="token", kind="token", vocab=5), s.Input(name="x", size=2)),
    title="small weights of every kind",
)


def main():
    rng = np.random.default_rng(1)
    tensors = {}
    for layer in LAYERS:
        for key, (shape, _) in tensor_shapes(layer, N_IN.get(layer.name, 0), vocab=5).items():
            name = f"{layer.name}.{key}"
            if name in INT8:
                tensors[f"{name}.q8"] = rng.integers(-127, 128, shape).astype(np.int8)
                tensors[f"{name}.scale"] = rng.uniform(0, 0.01, shape[0]).astype(np.float32)
            else:
                tensors[name] = rng.uniform(-1, 1, shape).astype(np.float16 if len(shape) == 2 else np.float32)
    native.write(FOLDER / "format_1_small.safetensors", SPEC, tensors)
    x = np.column_stack([rng.integers(5, size=20), rng.standard_normal((20, 2))]).astype(np.float32)
    exact = streamgru.load(FOLDER / "format_1_small.safetensors", dtype="float64").stream().run(x)
    packed = streamgru.load(FOLDER / "format_1_small.safetensors", kernel="packed").stream().run(x)
    np.savez(FOLDER / "format_1_small.npz", x=x, y=exact, y_packed=packed)


if __name__ == "__main__":
    main()
