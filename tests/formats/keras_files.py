"""Files in the layouts of Keras 1 and 2, made by hand."""

import io
import json
import zipfile

import numpy as np

try:
    import h5py
except ImportError:
    h5py = None

N_IN, N_HID = 3, 4


def h5(config, weights, version="2.2.4", prefix="{layer}/{name}:0", root="model_weights", part=None):
    """An ``.h5`` as Keras wrote it; *weights* is layer -> name -> array."""
    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        if config is not None:
            opened.attrs["model_config"] = np.bytes_(json.dumps(config).encode())
        if version:
            opened.attrs["keras_version"] = np.bytes_(version.encode())
        group = opened.create_group(root) if root else opened
        names = [layer.encode() for layer in weights]
        if part is None:
            group.attrs["layer_names"] = names
        else:  # as Keras does where they are longer than an attribute may be
            for i in range(0, len(names), part):
                group.attrs[f"layer_names{i // part}"] = names[i : i + part]
        for layer, arrays in weights.items():
            inner = group.create_group(layer)
            paths = {prefix.format(layer=layer, name=name): array for name, array in arrays.items()}
            inner.attrs["weight_names"] = [path.encode() for path in paths]
            for path, array in paths.items():
                inner[path] = array.astype(np.float32)
    return file.getvalue()


def entry(kind, name, **config):
    return {"class_name": kind, "config": {"name": name, **config}}


def sequential(*entries):
    entries[0]["config"].setdefault("batch_input_shape", [None, None, N_IN])
    return {"class_name": "Sequential", "config": {"name": "old", "layers": list(entries)}}


GRU2 = {
    "units": N_HID, "activation": "tanh", "recurrent_activation": "hard_sigmoid", "use_bias": True,
    "return_sequences": True, "go_backwards": False, "stateful": False, "unroll": False, "implementation": 1,
    "kernel_initializer": {}, "bias_regularizer": None, "recurrent_constraint": None, "dropout": 0.1,
}  # fmt: skip


def gru2(rng, bias):
    shapes = {"kernel": (N_IN, 3 * N_HID), "recurrent_kernel": (N_HID, 3 * N_HID), "bias": bias}
    return {name: rng.normal(0, 0.5, shape) for name, shape in shapes.items()}


def small():
    """The smallest .keras and .h5: one GRU of one."""
    rng = np.random.default_rng(3)
    config = entry("GRU", "g", units=1, return_sequences=True)
    w = {name: rng.normal(size=shape) for name, shape in (("k", (1, 3)), ("r", (1, 3)), ("b", 3))}
    config["config"]["batch_input_shape"] = [None, None, 1]
    model = {"class_name": "Sequential", "config": {"layers": [config]}}
    inner = io.BytesIO()
    with h5py.File(inner, "w") as opened:
        for i, array in enumerate(w.values()):
            opened[f"layers/gru/cell/vars/{i}"] = array.astype(np.float32)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", b'{"keras_version": "2.13.1"}')
        archive.writestr("config.json", json.dumps(model))
        archive.writestr("model.weights.h5", inner.getvalue())
    return {"keras": file.getvalue(), "h5": h5(model, {"g": w})}
