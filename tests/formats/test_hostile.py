"""Files made to hurt: whatever they are, a LoadError or a model of the same shapes, and nothing is executed."""

import contextlib
import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save

import streamgru
from streamgru.errors import LoadError, SpecError
from streamgru.model import spec as s
from streamgru.model.spec import to_json
from tests.formats import networks
from tests.formats.watching import check_quiet


@pytest.fixture(scope="module")
def small():
    """The smallest native file that has everything: a few hundred bytes."""
    spec = s.sequential(s.Gru(name="g", n_hid=1), inputs=(s.Input(name="x"),))
    tensors = {f"g.{key}": np.full((3, 1), 0.5, np.float32) for key in ("weight_ih", "weight_hh")}
    return save(tensors, {"streamgru": to_json(spec).decode()})


def test_every_prefix_is_refused(small):
    streamgru.load(small)
    for size in range(len(small)):
        with pytest.raises(LoadError):
            streamgru.load(small[:size])


def test_every_flipped_bit_is_refused_or_harmless(small):
    whole = streamgru.load(small)
    shapes = {name: tensor.shape for name, tensor in whole.tensors.items()}
    loaded = 0
    for bit in range(8 * len(small)):
        data = bytearray(small)
        data[bit // 8] ^= 1 << bit % 8
        try:
            model = streamgru.load(bytes(data))
        except LoadError:
            continue
        loaded += 1
        assert sorted(tensor.shape for tensor in model.tensors.values()) == sorted(shapes.values())
        assert (model.n_in, model.n_out) == (whole.n_in, whole.n_out)
        model.stream().step([0.0])
    assert loaded > 8 * 24 / 2  # most flips of the weights are other weights; else this tested nothing


def test_every_byte_replaced(small):
    for at in range(len(small)):
        for value in (0, 0x22, 0x7D, 0xFF):
            with contextlib.suppress(LoadError):
                streamgru.load(small[:at] + bytes([value]) + small[at + 1 :])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", networks.tensors())
def test_weights_that_are_not_finite(name, value):
    tensors = networks.tensors()
    tensors[name].flat[-1] = value
    with pytest.raises(SpecError, match=f"{name}.*NaN or infinity"):
        streamgru.load(save(tensors, {"streamgru": to_json(networks.spec()).decode()}))


def test_weights_too_large_for_the_dtype():
    tensors = {name: tensor.astype(np.float64) for name, tensor in networks.tensors().items()}
    tensors["head.bias"][0] = 1e39
    data = save(tensors, {"streamgru": to_json(networks.spec()).decode()})
    with pytest.raises(SpecError, match="too large for float32"):
        streamgru.load(data)
    assert streamgru.load(data, dtype="float64").n_out == 2


def test_a_spec_that_asks_for_much_gets_nothing():
    """Sizes are believed only where the tensors bear them out, so a small file cannot cost much memory."""
    spec = json.loads(to_json(networks.spec()))
    for layer in spec["programs"]["main"]["layers"]:
        layer.update({key: 65_536 for key in ("n_hid", "n_out") if key in layer})
    with pytest.raises(SpecError, match=r"expected shape \(196608, 3\)"):
        streamgru.load(save(networks.tensors(), {"streamgru": json.dumps(spec)}))


class Bomb:
    """Touches the canary when it is unpickled."""

    def __init__(self, canary):
        self.canary = str(canary)

    def __reduce__(self):
        return os.mkdir, (self.canary,)


@pytest.mark.parametrize("wrap", ["pickle", "zip"])
def test_a_pickle_is_never_opened(tmp_path, wrap):
    canary = tmp_path / "canary"
    data = pickle.dumps(Bomb(canary))
    if wrap == "zip":
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("model/data.pkl", data)
        data = file.getvalue()
    (tmp_path / "model.pt").write_bytes(data)
    with pytest.raises(LoadError, match=r"torch\.save.*from_torch"):
        streamgru.load(tmp_path / "model.pt")
    assert not canary.exists()
    pickle.loads(pickle.dumps(Bomb(canary)))  # noqa: S301  (shows that the payload works)
    assert canary.exists()


@pytest.mark.timeout(20)
def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LoadError, match="a pipe"):
        streamgru.load(tmp_path / "pipe")
    with pytest.raises(LoadError, match="a pipe"):
        streamgru.load(save({}), spec=tmp_path / "pipe")


def test_loading_executes_nothing(tmp_path, small):
    """Watched by an audit hook in a process of its own."""
    files = {
        "good": small,
        "torn": small[:-1],
        "pickle": pickle.dumps(Bomb(tmp_path / "canary")),
        "state_dict": save(networks.torch_gru(3, 4, 2)),
        "ambiguous": save(networks.torch_gru(3, 4) | networks.torch_linear(9, 9, "a.")),
        "code": save(networks.tensors(), {"streamgru": "__import__('os').system('true')"}),
        "names": save({"__import__('os').weight_ih_l0": np.ones((3, 1)), "os.weight_hh_l0": np.ones((3, 1))}),
    }
    check_quiet(tmp_path, files)
    assert not (tmp_path / "canary").exists()
