"""The official GRU cases of ONNX, and those of onnxruntime, which have the attributes that the others miss."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

import streamgru
from streamgru.model.spec import Gru
from tests.formats import onnx_bytes as o
from tests.formats.onnx_support import answer, close, found

FOLDER = (
    Path(os.environ.get("STREAMGRU_FIXTURES", Path(__file__).parents[3] / "shared" / "fixtures")) / "onnx_gru_nodes"
)

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="fixtures are absent")


def cases():
    if not FOLDER.is_dir():
        return {}
    with np.load(FOLDER / "cases.npz", allow_pickle=False) as file:
        arrays = dict(file)
    told = json.loads((FOLDER / "cases.json").read_text())
    return {
        name: (
            case["attributes"],
            {key.partition(".")[2]: a for key, a in arrays.items() if key.startswith(f"{name}.")},
        )
        for name, case in told.items()
    }


CASES = cases()


def file_of(attributes, arrays, outputs):
    """One node, its weights constant, and all else inputs."""
    names = [name if name in arrays else "-" for name in ("X", "W", "R", "B", "S", "H0")]
    attributes = {"hidden_size": arrays["R"].shape[2]} | attributes
    node = o.node("GRU", names, [name if name in outputs else "-" for name in ("Y", "Y_h")], **attributes)
    inputs = [o.port(k, arrays[k].shape, arrays[k].dtype.name) for k in ("X", "S", "H0") if k in arrays]
    constants = {k: arrays[k] for k in ("W", "R", "B") if k in arrays}
    return o.model([node], inputs, [o.port(name, (1,)) for name in outputs], constants)


OUTPUTS = [(name, output) for name, (_, arrays) in CASES.items() for output in ("Y", "Y_h") if output in arrays]


@pytest.mark.parametrize(("name", "output"), OUTPUTS)
def test_every_case(name, output):
    attributes, arrays = CASES[name]
    data = file_of(attributes, arrays, [output])
    spec, _, findings = found(data)
    layout = attributes.get("layout", 0)
    x = arrays["X"] if layout else arrays["X"].swapaxes(0, 1)
    names = [layer.name for layer in spec.main.layers if isinstance(layer, Gru)]
    expected = arrays[output]
    if output == "Y":  # (steps, directions, streams, n_hid), or the streams first
        expected = expected if layout else expected.transpose(2, 0, 1, 3)
    else:
        expected = (expected if layout else expected.swapaxes(0, 1))[:, None]
    for i, row in enumerate(x):
        length = int(arrays["S"][i]) if "S" in arrays else len(row)
        starts = dict(zip(names, arrays["H0"][:, i], strict=True)) if "H0" in arrays else {}
        y = answer(data, row[:length], starts)
        close(y, expected[i].reshape(len(expected[i]), -1)[: len(y)])
    assert any("sequences are" in line for line in findings) == ("S" in arrays)
    assert any("is the state that" in line for line in findings) == ("H0" in arrays)


def test_the_files_themselves():
    """In them the weights are inputs, so nothing can be said but that."""
    for path in FOLDER.glob("*.onnx"):
        with pytest.raises(streamgru.UnsupportedError, match="its weights 'W' are an input"):
            streamgru.load(path)
