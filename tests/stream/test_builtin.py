"""The network and the recordings that the package carries."""

from pathlib import Path

import numpy as np
import pytest

import streamgru
from streamgru.errors import LoadError
from streamgru.formats.builtin import builtin_path, recordings

GOLDEN = Path(__file__).parents[1] / "golden" / "shoulder.npz"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_answers_are_those_of_torch(dtype):
    model = streamgru.load(builtin_path("shoulder"), dtype=dtype)
    y = np.concatenate([model.stream().run(item.x) for item in recordings().items])
    with np.load(GOLDEN, allow_pickle=False) as golden:
        kept = y[:: int(golden["every"])]
        assert kept.shape == golden["y64"].shape
        assert np.abs(kept - golden["y32"]).max() < 1e-6
        # 64-bit arithmetic on the same weights differs by nothing but the order of additions.
        assert np.abs(kept - golden["y64"]).max() < (1e-6 if dtype == "float32" else 1e-12)


def test_the_name():
    assert streamgru.load("builtin:shoulder").fingerprint == streamgru.load(builtin_path("shoulder")).fingerprint


@pytest.mark.parametrize("name", ["elbow", "", "../data/shoulder", "shoulder.safetensors"])
def test_an_unknown_name_lists_the_names(name):
    with pytest.raises(LoadError, match=r"builtin:.*: expected one of shoulder$"):
        builtin_path(name)


def test_what_it_says_of_itself():
    model, data = streamgru.load(builtin_path("shoulder")), recordings()
    assert model.labels == data.labels
    assert model.spec.main.inputs[0].features == data.channels
    assert "seglearn" in model.spec.origin
    assert builtin_path("shoulder").stat().st_size < 100_000


def test_the_recordings():
    data = recordings()
    assert data.rate_hz == 50.0
    assert data.channels == ("ax [g]", "ay [g]", "az [g]", "wx [rad/s]", "wy [rad/s]", "wz [rad/s]")
    assert sorted(item.label for item in data.items) == list(range(7))
    for item in data.items:
        assert item.x.dtype == np.float32
        assert item.x.flags.c_contiguous
        assert item.x.shape[1] == 6
        assert np.isfinite(item.x).all()
        assert item.subject in (8, 9, 10)
        assert item.side in ("left", "right")
    assert sum(len(item.x) for item in data.items) == 12_511


def test_it_beats_the_majority_class_by_far():
    model = streamgru.load(builtin_path("shoulder"))
    steps = recordings_right = right = 0
    for item in recordings().items:
        y = model.stream().run(item.x)
        steps += len(y)
        right += int((y.argmax(axis=1) == item.label).sum())
        recordings_right += int(np.log(np.maximum(y, 1e-30)).mean(axis=0).argmax()) == item.label
    assert right / steps > 0.7
    assert recordings_right >= 6
