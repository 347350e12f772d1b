"""Write the native file of format 1 that every later version must read: all layers, all keys.

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
    s.Embedding(name="emb", n_out=3, inputs=("token",)),
    s.Scale(name="scaled", inputs=("x",)),
    s.Concat(name="both", inputs=("emb", "scaled")),
    s.BatchNorm(name="bn", eps=1e-3),
    s.Gru(name="gru.0", n_hid=4, clip=5.0, initial="learned"),
    s.LayerNorm(name="ln", eps=1e-4),
    s.Gru(name="gru.1", n_hid=4, variant="before", gate="hard_sigmoid", candidate="relu"),
    s.Add(name="sum", inputs=("ln", "gru.1")),
    s.Activation(name="act", function="hard_sigmoid_keras3"),
    s.Mul(name="product", inputs=("act", "gru.0")),
    s.Normalize(name="unit", to="sum", eps=1e-9),
    s.Slice(name="part", start=1, stop=4),
    s.Dense(name="head", n_out=3, function="sigmoid"),
    s.Softmax(name="p"),
)
N_IN = {"scaled": 2, "bn": 5, "gru.0": 5, "ln": 4, "gru.1": 4, "head": 3}
DTYPES = {"emb": np.float16, "head": np.float64}
SPEC = s.sequential(
    *LAYERS,
    inputs=(
        s.Input(name="token", kind="token", vocab=5),
        s.Input(name="x", size=2, features=("left", "right"), unit="m/s"),
    ),
    outputs=(
        s.Output(name="first", stop=1, unit="degrees", factor=180.0, offset=-90.0),
        s.Output(name="rest", start=1, labels=("no", "yes")),
    ),
    title="every layer, every key",
)


def main():
    rng = np.random.default_rng(1)
    tensors = {}
    for layer in LAYERS:
        for key, (shape, _) in tensor_shapes(layer, N_IN.get(layer.name, 0), vocab=5).items():
            values = rng.uniform(0.25 if key == "var" else -1, 1, shape)
            tensors[f"{layer.name}.{key}"] = values.astype(DTYPES.get(layer.name, np.float32))
    native.write(FOLDER / "format_1.safetensors", SPEC, tensors)
    x = np.column_stack([rng.integers(5, size=20), rng.standard_normal((20, 2))]).astype(np.float32)
    model = streamgru.load(FOLDER / "format_1.safetensors", dtype="float64")
    np.savez(FOLDER / "format_1.npz", x=x, y=model.stream().run(x))


if __name__ == "__main__":
    main()
