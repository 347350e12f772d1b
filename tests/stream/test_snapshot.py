"""Snapshots: every stored bit counts, and nothing but the right model takes them."""

import hashlib
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from streamgru.errors import SnapshotError
from streamgru.model.spec import Gru
from streamgru.stream.model import Model
from tests.networks import DTYPES, bits, gru_model, gru_tensors, spec_of, uniform

ROOT = Path(__file__).parents[2]
HEAD = 80  # bytes before the payload

ELSEWHERE = """
import sys
import numpy as np
from tests.stream.test_snapshot import model_for

folder, dtype = sys.argv[1:]
stream = model_for(dtype).restore(open(f"{folder}/blob", "rb").read())
np.save(f"{folder}/y", stream.run(np.load(f"{folder}/x.npy")))
"""


def model_for(dtype):
    """The same model in every process."""
    rng = np.random.default_rng(7)
    tensors = gru_tensors(rng, "a", 6, 33) | gru_tensors(rng, "b", 33, 64)
    layers = (Gru(name="a", n_hid=33), Gru(name="b", n_hid=64, variant="before"))
    return Model(spec_of(*layers, n_in=6), tensors, dtype=dtype)


def signed(body):
    """*body* with the checksum that belongs to it: damage that only the other checks can find."""
    return body + hashlib.blake2b(body, digest_size=16).digest()


@pytest.fixture
def model(rng):
    return gru_model(rng)


@pytest.fixture
def blob(model):
    stream = model.stream()
    stream.run(np.linspace(-1, 1, 12).reshape(4, 3))
    return stream.snapshot()


@pytest.mark.parametrize("dtype", DTYPES)
def test_another_process_goes_on_bit_for_bit(dtype, tmp_path, rng):
    x = uniform(rng, 300, 6, dtype=dtype)
    stream = model_for(dtype).stream()
    stream.run(x[:200])
    (tmp_path / "blob").write_bytes(stream.snapshot())
    np.save(tmp_path / "x", x[200:])
    command = [sys.executable, "-c", ELSEWHERE, str(tmp_path), dtype]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert bits(np.load(tmp_path / "y.npy")) == bits(stream.run(x[200:]))


def test_layout_of_the_bytes(model, blob):
    """As the docstring of the module has it, read without its help."""
    magic, version, reserved, length, fingerprint, layout = struct.unpack_from("<8sHHI32s32s", blob)
    assert (magic, version, reserved, length) == (b"SGRUSNAP", 1, 0, 24 + 5 * 4)
    assert fingerprint.hex() == model.fingerprint and layout.hex() == model.state_layout
    t, seq, n_steps = struct.unpack_from("<dqq", blob, HEAD)
    assert np.isnan(t) and (seq, n_steps) == (-1, 4)
    h = np.frombuffer(blob, "<f4", 5, HEAD + 24)
    assert bits(h) == bits(model.restore(blob).state["gru"])
    assert signed(blob[:-16]) == blob


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_any_bytes(form, model, blob):
    assert model.restore(form(blob)).snapshot() == blob


def test_every_flipped_bit_is_found(model, blob):
    for bit in range(8 * len(blob)):
        damaged = bytearray(blob)
        damaged[bit // 8] ^= 1 << bit % 8
        for carry in (False, True):
            with pytest.raises(SnapshotError):
                model.restore(damaged, carry=carry)


def test_every_truncation_is_found(model, blob):
    for length in range(len(blob)):
        with pytest.raises(SnapshotError):
            model.restore(blob[:length])
    with pytest.raises(SnapshotError):
        model.restore(blob + b"\0")


@pytest.mark.parametrize("wrong", [None, 5, 10**15, "SGRUSNAP", [1, 2], np.zeros(200)])
def test_what_is_no_bytes(wrong, model):
    with pytest.raises(SnapshotError, match="expected bytes, got"):
        model.restore(wrong)


def test_lies_under_a_right_checksum(model, blob):
    """Whoever can compute a checksum still cannot get past the sizes and the check for finite numbers."""
    body = blob[:-16]
    payload = body[HEAD:]
    nan = struct.pack("<f", np.nan)
    for lie, words in [
        (body[:8] + struct.pack("<H", 2) + body[10:], "expected version 1, got 2"),
        (body[:12] + struct.pack("<I", 0) + body[16:], "expected 44 bytes of state"),
        (body[:12] + struct.pack("<I", 2**32 - 1) + body[16:], "expected 44 bytes of state"),
        (body[:-4], "expected 44 bytes of state, got 40"),
        (body + nan, "expected 44 bytes of state, got 48"),
        (body[:12] + struct.pack("<I", 48) + body[16:] + nan, "expected 44 bytes of state, got 48"),
        (body[:HEAD] + payload[:-4] + nan, "the state of 'gru' holds NaN or infinity"),
        (body[:HEAD] + payload[:16] + struct.pack("<q", -1) + payload[24:], "a number of steps from 0 to .* got -1"),
        (body[:HEAD] + payload[:16] + struct.pack("<q", 2**62 + 1) + payload[24:], "a number of steps"),
    ]:
        with pytest.raises(SnapshotError, match=words):
            model.restore(signed(lie))


def test_another_model_only_to_carry_over(model, blob, rng):
    trained_on = Model(model.spec, gru_tensors(rng, "gru", 3, 5))
    assert trained_on.state_layout == model.state_layout and trained_on.fingerprint != model.fingerprint
    with pytest.raises(
        SnapshotError, match=f"expected model {trained_on.fingerprint[:12]}, got {model.fingerprint[:12]}"
    ):
        trained_on.restore(blob)
    carried = trained_on.restore(blob, carry=True)
    assert carried.model is trained_on and carried.n_steps == 4
    assert bits(carried.state["gru"]) == bits(model.restore(blob).state["gru"])


@pytest.mark.parametrize("carry", [False, True])
def test_another_layout_never(carry, blob, rng):
    others = [
        gru_model(rng, n_hid=6),
        gru_model(rng, dtype="float64"),
        Model(spec_of(Gru(name="other", n_hid=5)), gru_tensors(rng, "other", 3, 5)),
    ]
    for other in others:
        with pytest.raises(SnapshotError, match="expected state layout"):
            other.restore(blob, carry=carry)


def test_the_clock_of_a_pool_travels(model):
    pool = model.pool(1)
    pool.open("a")
    pool.step(["a"], [[1, 2, 3]], t=[12.5], seq=[99])
    blob = model.restore(pool.snapshot("a")).snapshot()
    assert blob == pool.snapshot("a")
    assert struct.unpack_from("<dqq", blob, HEAD) == (12.5, 99, 1)
