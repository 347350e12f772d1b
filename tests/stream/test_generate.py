"""Networks that are fed their own answers."""

import hashlib
import os
import pickle
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import streamgru
from streamgru.errors import (
    NonFiniteError,
    ShapeError,
    SnapshotError,
    SpecError,
    StreamBusy,
    TokenError,
    UnsupportedError,
)
from streamgru.formats import native
from streamgru.kernels import packed
from streamgru.model.spec import Conv1d, Feedback, Gru, Input, Program, Spec
from streamgru.stream.model import Model
from streamgru.stream.shrink import shrink
from streamgru.stream.vocabulary import Vocabulary
from tests.networks import DTYPES, KERNELS, bits, gru_model, gru_tensors, of_layer, uniform
from tests.networks_that_write import LETTERS, forecast, letters, reader_and_writer
from tests.oracle import gru_numpy

ROOT = Path(__file__).parents[2]
BOTH_WAYS = [(dtype, kernel) for dtype in DTYPES for kernel in KERNELS[dtype]]


def by_hand(tensors, given, h=None, stop=1, limit=40, choose=np.argmax):
    """The language model in float64, run over what is given, and on: tokens and logits. No code of ours."""
    wide = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    given, tokens, logits = list(given), [], []
    while len(tokens) < limit and tokens[-1:] != [stop]:
        for token in given:
            x = wide["emb.weight"][token]
            h = gru_numpy.gru([x], **of_layer(wide, "writer") | {"h0": h})[-1]
        logits.append(wide["head.weight"] @ h)
        tokens.append(int(choose(logits[-1])))
        given = tokens[-1:]
    return tokens, np.array(logits)


@pytest.mark.parametrize("prompt", [None, [3, 5, 2], "dfc", [[3], [5], [2]], np.array([3, 5, 2])], ids=str)
@pytest.mark.parametrize("dtype, kernel", BOTH_WAYS)
def test_the_largest(dtype, kernel, prompt):
    spec, tensors = letters()
    found = Model(spec, tensors, dtype=dtype, kernel=kernel).generate(prompt)
    tokens, logits = by_hand(tensors, [0] if prompt is None else [0, 3, 5, 2])
    assert found.tokens.tolist() == tokens
    np.testing.assert_allclose(found.values, logits, rtol=0, atol=1e-5 if dtype == "float32" else 1e-12)
    assert found.ended == ("stop" if tokens[-1] == 1 else "limit")
    shown = tokens[:-1] if found.ended == "stop" else tokens
    assert found.text == "".join(LETTERS[token] for token in shown)


def test_options_stand_before_the_spec():
    spec, tensors = letters()
    model = Model(spec, tensors)
    tokens = by_hand(tensors, [4], stop=-1, limit=9)[0]
    assert model.generate(start=4, stop=None, limit=9).tokens.tolist() == tokens[: [*tokens, 1].index(1) + 1]
    for stop in range(7):
        found = model.generate(start=4, stop=stop, limit=30)
        assert found.tokens.tolist() == by_hand(tensors, [4], stop=stop, limit=30)[0]
    assert len(model.generate(limit=1).tokens) == 1


def test_no_start_but_a_prompt():
    spec, tensors = letters(start=None)
    model = Model(spec, tensors)
    assert model.generate("dfc").tokens.tolist() == by_hand(tensors, [3, 5, 2])[0]
    for nothing in (None, "", [], np.empty((0, 1))):
        with pytest.raises(ShapeError, match="expected a prompt X or a first input, start=, for 'letter', got neither"):
            model.generate(nothing)


@pytest.mark.parametrize("n_steps", [0, 1, 17])
def test_what_an_encoder_hands_on(n_steps, rng):
    spec, tensors = reader_and_writer()
    model = Model(spec, tensors, dtype="float64")
    x = uniform(rng, n_steps, 3)
    h = gru_numpy.gru(x, **of_layer(tensors, "reader"))[-1] if n_steps else np.zeros(9)
    tokens, logits = by_hand(tensors, [0], h)
    found = model.generate(x)
    assert found.tokens.tolist() == tokens
    np.testing.assert_allclose(found.values, logits, rtol=0, atol=1e-12)
    stream = model.programs["decoder"].stream()
    stream.state = {"writer": model.programs["encoder"].finals(x)["reader"]}
    assert bits(stream.step([0])) == bits(found.values[0])
    with pytest.raises(ShapeError, match="expected a sequence X for the program 'encoder', got none"):
        model.generate()


def test_an_encoder_that_reads_from_the_end(rng):
    spec, tensors = reader_and_writer()
    back = Gru(name="reader", n_hid=9, direction="reverse")
    reader = Program(inputs=spec.programs["encoder"].inputs, layers=(back,))
    model = Model(Spec(programs=dict(spec.programs) | {"encoder": reader}, handoffs=spec.handoffs), tensors)
    x = uniform(rng, 8, 3)
    h = gru_numpy.gru(x[::-1], **of_layer(tensors, "reader"))[-1]
    assert model.generate(x).tokens.tolist() == by_hand(tensors, [0], h)[0]


@pytest.mark.parametrize("dtype, kernel", BOTH_WAYS)
def test_numbers_themselves(dtype, kernel, rng):
    spec, tensors = forecast()
    model = Model(spec, tensors, dtype=dtype, kernel=kernel)
    x = uniform(rng, 5, 2)
    found = model.generate(x)
    given = [*x.astype(np.float64)]
    for y in found.values:
        h = gru_numpy.gru(given, **of_layer(tensors, "gru"))[-1]
        given.append(tensors["head.weight"].astype(np.float64) @ h)
        np.testing.assert_allclose(y, given[-1], rtol=0, atol=1e-5 if dtype == "float32" else 1e-12)
    assert len(found.values) == 12 and found.ended == "limit" and found.text is None
    assert bits(model.generate(start=[0.25, -1.0]).values) == bits(model.generate([[0.25, -1.0]]).values)
    assert [bits(y) for y in model.generator(x)] == [bits(y) for y in found.values]


def test_one_by_one_in_blocks_and_at_once_are_the_same():
    spec, tensors = letters(choose="sample")
    model = Model(spec, tensors)
    whole = model.generate(seed=7, stop=6, limit=200)
    assert len(whole.tokens) > 3
    assert list(model.generator(seed=7, stop=6, limit=200)) == whole.tokens.tolist()
    generator, parts = model.generator(seed=7, stop=6, limit=200), []
    while generator.ended is None:
        parts.append(generator.run(3))
    assert np.concatenate([tokens for tokens, _ in parts]).tolist() == whole.tokens.tolist()
    assert bits(np.concatenate([values for _, values in parts])) == bits(whole.values)
    assert (generator.ended, generator.n_steps) == (whole.ended, len(whole.tokens))
    assert len(generator.run(5)[0]) == 0 and list(generator) == []


@pytest.mark.parametrize(
    "network, options",
    [
        (letters, {"choose": "sample", "temperature": 1.5}),
        (letters, {}),
        (forecast, {"X": [[1.0, 2.0]]}),
        (reader_and_writer, {"choose": "sample", "X": [[1, 2, 3]]}),
    ],
)
def test_a_snapshot_goes_on(network, options):
    """From every point, with the draws that would have come."""
    model = Model(*network())
    whole = list(model.generator(seed=9, limit=10, **options))
    for n in range(len(whole) + 1):
        generator = model.generator(seed=9, limit=10, **options)
        generator.run(n)
        blob = generator.snapshot()
        again = model.restore_generator(blob)
        assert (again.n_steps, again.ended, again.seed) == (generator.n_steps, generator.ended, 9)
        np.testing.assert_array_equal(list(again), whole[n:])
    for wrong in (b"", blob[:-1], blob[:40] + b"\1" + blob[41:], b"x" * 300, "text"):
        with pytest.raises(SnapshotError, match="generator: "):
            model.restore_generator(wrong)
    other = Model(*letters(limit=7)) if network is not letters else Model(*reader_and_writer())
    with pytest.raises(SnapshotError):
        other.restore_generator(blob)


def test_a_forged_snapshot():
    """The checksum is right, but what it says does not fit the network."""
    model = Model(*letters())
    blob = model.generator().snapshot()
    for at, form, value in (
        (8, "<H", 2), (10, "<H", 7), (10, "<H", 2), (12, "<I", 1), (12, "<I", 2**31),
        (16, "<I", 0), (16, "<I", 2**32 - 1),
        (36, "<q", -1), (36, "<q", 41), (52, "<d", float("nan")), (52, "<d", float("inf")),
        (20, "<q", 2**62), (20, "<q", -2), (28, "<q", 2**62),
        (60, "<d", -1.0), (60, "<d", 0.5), (60, "<d", 1e9), (60, "<d", float("nan")),
    ):  # fmt: skip
        body = bytearray(blob[:-16])
        struct.pack_into(form, body, at, value)
        with pytest.raises(SnapshotError, match="generator: "):
            model.restore_generator(bytes(body) + hashlib.blake2b(body, digest_size=16).digest())


def test_several_sequences(rng):
    """Each is drawn with a seed of its own, which makes it again alone."""
    spec, tensors = letters(choose="sample")
    model = Model(spec, tensors)
    found = model.generate(["abc", "d", "abc"], seed=11, limit=25)
    for i, (text, one) in enumerate(zip(["abc", "d", "abc"], found, strict=True)):
        assert one.seed == 11 + i
        assert one.tokens.tolist() == model.generate(text, seed=11 + i, limit=25).tokens.tolist()
    assert found[0].tokens.tolist() != found[2].tokens.tolist()
    assert len(model.generate([np.array([1, 2]), np.array([3])], seed=2**64 - 1)) == 2


@pytest.mark.parametrize("dtype, kernel", BOTH_WAYS)
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_draws_follow_the_softmax(dtype, kernel, temperature):
    """A network without memory draws 20,000 times from one distribution: chi-square with 6 degrees of freedom."""
    spec, tensors = letters(choose="sample", stop=None, limit=20_000)
    tensors["emb.weight"][:] = tensors["emb.weight"][0]
    tensors |= {name: tensors[name] * 0 for name in ("writer.weight_hh", "writer.bias_hh")}
    tensors["writer.bias_ih"][9:18] = -60  # z = 0: nothing is kept
    found = Model(spec, tensors, dtype=dtype, kernel=kernel).generate(seed=1, temperature=temperature)
    assert np.ptp(found.values, axis=0).max() == 0
    expected = gru_numpy.softmax(found.values[0].astype(np.float64) / temperature) * 20_000
    counts = np.bincount(found.tokens, minlength=7)
    assert ((counts - expected) ** 2 / expected).sum() < 22.5  # 99.9 %
    pairs = np.histogram2d(found.tokens[:-1], found.tokens[1:], bins=7)[0]  # and one draw tells nothing of the next
    together = np.outer(expected, expected) / 20_000
    assert ((pairs - together) ** 2 / together)[together > 5].sum() < 100


def test_seeds():
    spec, tensors = letters(choose="sample", stop=None)
    model = Model(spec, tensors)
    draws = {seed: model.generate(seed=seed).tokens.tolist() for seed in range(20)}
    assert len({tuple(tokens) for tokens in draws.values()}) == 20
    assert model.generate(seed=3).tokens.tolist() == draws[3]
    free = [model.generate() for _ in range(2)]
    assert free[0].tokens.tolist() != free[1].tokens.tolist()
    assert model.generate(seed=free[0].seed).tokens.tolist() == free[0].tokens.tolist()
    assert model.generate(temperature=0).tokens.tolist() == model.generate(choose="argmax").tokens.tolist()
    assert model.generate(temperature=1e-300).tokens.tolist() == model.generate(choose="argmax").tokens.tolist()


def test_a_draw_is_what_the_documentation_says():
    """SplitMix64 at a counter, and sums in order, once more in Python's own integers."""
    spec, tensors = letters(choose="sample", stop=None)
    found = Model(spec, tensors, dtype="float64").generate(seed=2**64 - 3, temperature=0.8)
    for k, (token, y) in enumerate(zip(found.tokens, found.values, strict=True)):
        z = (2**64 - 3 + (k + 1) * 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        u = ((z ^ (z >> 31)) >> 11) / 2**53
        sums = np.cumsum(np.exp((y - y.max()) / 0.8))
        assert token == int((sums > u * sums[-1]).argmax())


SCRIPT = """
import hashlib
from streamgru.stream.model import Model
from tests.networks_that_write import letters
found = Model(*letters(choose="sample", stop=None, limit=500), kernel="packed").generate(seed=5, temperature=1.5)
print(hashlib.sha256(found.tokens.astype("<i8").tobytes() + found.values.astype("<f4").tobytes()).hexdigest()[:16])
"""


@pytest.mark.parametrize("isa", packed.isas())
def test_every_instruction_set_writes_the_same(isa):
    """And for ever: `bits: 1`."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, packed.VARIABLE: isa},
    )  # fmt: skip
    assert done.stdout.strip() == "148464e8b33f1100", done.stderr


def test_a_state_that_is_not_finite():
    """Numbers grow a hundred million times a step; what was answered before the last comes out first."""
    layers = (Gru(name="gru", n_hid=1, candidate="linear"),)
    program = Program(inputs=(Input(name="x"),), layers=layers, feedback=Feedback(input="x", choose="value"))
    tensors = {"gru.weight_ih": [[0], [0], [1e8]], "gru.weight_hh": [[0], [0], [0]], "gru.bias_ih": [0, -60, 0]}
    model = Model(Spec(programs={"main": program}), {name: np.float32(value) for name, value in tensors.items()})
    generator = model.generator(start=[1.0])
    np.testing.assert_allclose(generator.run(100)[1], [[1e8], [1e16], [1e24], [1e32]], rtol=1e-5)
    for _ in range(2):
        with pytest.raises(NonFiniteError, match="the new state or the output would not be finite"):
            generator.run(100)
    assert generator.n_steps == 4 and generator.ended is None


def test_a_second_thread_is_refused():
    spec, tensors = letters(choose="sample", stop=None, limit=60_000)
    generator, refused, done = Model(spec, tensors).generator(seed=1), [], threading.Event()

    def intrude():
        while not done.is_set():
            try:
                generator.run(1)
            except StreamBusy as error:
                refused.append(str(error))
                return

    thread = threading.Thread(target=intrude)
    thread.start()
    while not refused and generator.ended is None:
        try:
            generator.run(5000)
        except StreamBusy:
            refused.append("here")
    done.set()
    thread.join()
    assert refused


@pytest.mark.parametrize(
    "options, error, words",
    [
        ({"X": "abx"}, TokenError, r"text\[2\]: expected a label of 'letter', got 'x'"),
        ({"X": [0, 7]}, TokenError, "an integer in \\[0, 7\\), got 7"),
        ({"X": [0, 7, 1]}, TokenError, "an integer in \\[0, 7\\), got 7"),
        ({"X": [[0, 1]]}, ShapeError, r"X: expected numbers of shape \(n_steps, 1\), got"),
        ({"X": ["a", 1]}, ShapeError, "X: expected"),
        ({"X": [[1], [2, 3]]}, ShapeError, "X: expected"),
        ({"start": 7}, SpecError, r"start: expected a token, an integer in \[0, 7\), got 7"),
        ({"start": "a"}, SpecError, "feedback: "),
        ({"stop": 9}, SpecError, "stop: expected a token"),
        ({"stop": -2}, SpecError, "feedback: "),
        ({"limit": 0}, SpecError, "feedback: "),
        ({"limit": 10**9}, SpecError, "feedback: "),
        ({"choose": "best"}, SpecError, "feedback: "),
        ({"choose": "value"}, SpecError, "are fed back, but input 'letter' takes a token"),
        ({"temperature": -1}, SpecError, "temperature: expected a number from 0 to .*, got -1"),
        ({"temperature": 10**400}, SpecError, "temperature: expected a number from 0"),
        ({"temperature": float("nan")}, SpecError, "temperature: expected a number from 0"),
        ({"temperature": None}, SpecError, "temperature: expected a number from 0"),
        ({"seed": -1}, SpecError, "seed: expected an integer in"),
        ({"seed": 2**64}, SpecError, "seed: expected an integer in"),
        ({"seed": 1.5}, SpecError, "seed: expected an integer in"),
    ],
)
def test_refused(options, error, words):
    spec, tensors = letters()
    with pytest.raises(error, match=words):
        Model(spec, tensors).generate(**options)


def test_text_as_tokens(rng):
    model = Model(*letters())
    assert model.encode("gab").tolist() == [[6], [0], [1]] and model.encode("").shape == (0, 1)
    item = Input(name="word", kind="token", vocab=3, labels=("a", "bc", "?"), split="words", unknown=2, end=0)
    vocabulary = Vocabulary(item)
    assert vocabulary.encode(" bc a\txyz ") == [1, 0, 2, 0] and vocabulary.decode([1, 0]) == "bc a"
    assert [vocabulary.token(text) for text in ("bc", "2", "?")] == [1, 2, 2]
    for wrong in ("3", "d", "-1", "", "²"):
        with pytest.raises(TokenError, match="expected a label or a token of 'word'"):
            vocabulary.token(wrong)
    with pytest.raises(ShapeError, match="whose tokens have no labels in the spec"):
        gru_model(rng).encode("a")


def test_networks_that_are_fed_nothing(rng):
    with pytest.raises(UnsupportedError, match="one program that is fed its own answers, got 0"):
        gru_model(rng).generate()
    program = Program(
        inputs=(Input(name="x", size=3),),
        layers=(Gru(name="gru", n_hid=3, direction="reverse"),),
        feedback=Feedback(input="x", choose="value"),
    )
    late = Program(
        inputs=(Input(name="x"),),
        layers=(Conv1d(name="c", n_out=1, size=2),),
        feedback=Feedback(input="x", choose="value"),
    )
    with pytest.raises(UnsupportedError, match="program 'main' looks ahead, or does not answer every step"):
        Model(Spec(programs={"main": late}), {"c.weight": uniform(rng, 1, 2)}).generate([[1.0]])
    with pytest.raises(UnsupportedError, match="reads the sequence from its end"):
        Model(Spec(programs={"main": program}), gru_tensors(rng, "gru", 3, 3)).generate([[1, 2, 3]])


def test_a_file_a_pickle_and_small_weights(tmp_path, rng):
    spec, tensors = reader_and_writer()
    native.write(tmp_path / "net.safetensors", spec, tensors)
    model = streamgru.load(tmp_path / "net.safetensors")
    assert {name: bits(tensor) for name, tensor in model.tensors.items()} == {
        name: bits(tensor) for name, tensor in tensors.items()
    }
    x = uniform(rng, 6, 3)
    expected = model.generate(x)
    assert repr(model).startswith("<Model decoder 1 -> 7, encoder 3 -> 9, float32")
    other = pickle.loads(pickle.dumps(model))  # noqa: S301
    assert other.fingerprint == model.fingerprint
    assert bits(other.generate(x).values) == bits(expected.values)
    blob = model.programs["decoder"].stream().snapshot()
    assert other.programs["decoder"].restore(blob).n_steps == 0
    for weights, tolerance in (("f16", 0.02), ("int8", 0.2)):
        small = Model(spec, shrink(spec, tensors, weights))
        np.testing.assert_allclose(small.generate(x).values[0], expected.values[0], rtol=0, atol=tolerance)
    with pytest.raises(streamgru.InputError, match="expected a network of one program, got decoder, encoder"):
        shrink(spec, tensors, "int8", [x])


@pytest.mark.parametrize(
    "use",
    [lambda m: m.stream(), lambda m: m.pool(), lambda m: m.run([[[1, 2, 3]]]), lambda m: m.n_in, lambda m: m.labels],
)
def test_several_programs_are_no_stream(use):
    model = Model(*reader_and_writer())
    with pytest.raises(UnsupportedError, match=r"one program, called main, got decoder, encoder; take one of them"):
        use(model)
