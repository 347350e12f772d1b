import json

import numpy as np
import pytest
from safetensors.numpy import load, save

from streamgru.errors import FormatError, SpecError
from streamgru.formats import native
from streamgru.formats.read import read
from streamgru.model import spec as s
from streamgru.model.spec import to_json
from tests.formats import networks


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


def test_round_trip(path):
    native.write(path, networks.spec(), networks.tensors())
    spec, tensors = native.read(path)
    assert spec == networks.spec()
    assert tensors.keys() == networks.tensors().keys()
    for name, tensor in networks.tensors().items():
        np.testing.assert_array_equal(tensor, tensors[name], strict=True)


def test_the_same_network_gives_the_same_bytes(path):
    native.write(path, networks.spec(), networks.tensors())
    first = path.read_bytes()
    native.write(path, networks.spec(), dict(reversed(networks.tensors().items())))
    assert path.read_bytes() == first


def test_it_is_a_plain_safetensors_file(path):
    native.write(path, networks.spec(), networks.tensors())
    assert load(path.read_bytes()).keys() == networks.tensors().keys()
    size = int.from_bytes(path.read_bytes()[:8], "little")
    metadata = json.loads(path.read_bytes()[8 : 8 + size])["__metadata__"]
    assert json.loads(metadata["streamgru"])["format"] == 1


@pytest.mark.parametrize("change", ["fortran", "strided", "big-endian", "float64", "float16"])
def test_arrays_of_any_layout_are_written(path, change):
    tensors = networks.tensors()
    weight = tensors["gru.0.weight_ih"]
    tensors["gru.0.weight_ih"] = {
        "fortran": np.asfortranarray(weight),
        "strided": np.repeat(weight, 2, axis=1)[:, ::2],
        "big-endian": weight.astype(">f4"),
        "float64": weight.astype(np.float64),
        "float16": weight.astype(np.float16),
    }[change]
    native.write(path, networks.spec(), tensors)
    _, read_back = native.read(path)
    np.testing.assert_array_equal(tensors["gru.0.weight_ih"], read_back["gru.0.weight_ih"])


def test_a_spec_with_everything_survives(path):
    spec = s.sequential(
        s.Embedding(name="emb", n_out=3),
        s.Gru(
            name="gru", n_hid=4, variant="before", gate="hard_sigmoid", candidate="relu", clip=2.5, initial="learned"
        ),
        s.BatchNorm(name="bn", eps=1e-3),
        s.Softmax(name="p"),
        inputs=(s.Input(name="token", kind="token", vocab=5),),
        outputs=(s.Output(name="y", labels=("a", "b", "ü", "d")),),
        title="a title",
    )
    tensors = {
        "emb.weight": np.ones((5, 3)),
        "gru.weight_ih": np.ones((12, 3)),
        "gru.weight_hh": np.ones((12, 4)),
        "gru.h0": np.ones(4),
        "bn.mean": np.ones(4),
        "bn.var": np.ones(4),
    }
    native.write(path, spec, tensors)
    assert native.read(path)[0] == spec


def without(name):
    return {key: tensor for key, tensor in networks.tensors().items() if key != name}


MISFITS = {
    "missing": (without("head.weight"), "'head.weight'.* none of that name"),
    "extra": (networks.tensors() | {"more": np.ones(3)}, "no layer of the spec uses the tensor 'more'"),
    "shape": (networks.tensors() | {"head.bias": np.ones(3)}, r"'head.bias': expected shape \(2,\), got \(3,\)"),
    "transposed": (networks.tensors() | {"head.weight": np.ones((4, 2))}, r"expected shape \(2, 4\), got \(4, 2\)"),
    "nan": (networks.tensors() | {"head.bias": np.array([1, np.nan])}, "'head.bias': holds NaN"),
    "infinity": (networks.tensors() | {"head.bias": np.array([1, np.inf])}, "'head.bias': holds NaN or infinity"),
    "integers": (networks.tensors() | {"head.bias": np.ones(2, int)}, "'head.bias': expected floats, got int64"),
}


@pytest.mark.parametrize("what", MISFITS)
def test_what_no_model_would_take_is_not_written(path, what):
    tensors, message = MISFITS[what]
    with pytest.raises(SpecError, match=message):
        native.write(path, networks.spec(), tensors)
    assert not path.exists()


@pytest.mark.parametrize("name", ["", "ü", "a/b", "x" * 300])
def test_a_name_that_could_not_be_read_is_not_written(path, name):
    tensors = {key.replace("head", name): tensor for key, tensor in networks.tensors().items()}
    spec = s.sequential(s.Gru(name="gru.0", n_hid=4), s.Dense(name=name, n_out=2), inputs=(s.Input(name="x", size=3),))
    with pytest.raises(SpecError):
        native.write(path, spec, tensors)
    assert not path.exists()


def changed(edit):
    """The bytes of a native file with its spec, as plain objects, edited."""
    spec = json.loads(to_json(networks.spec()))
    edit(spec)
    return save(networks.tensors(), {"streamgru": json.dumps(spec)})


SPECS = {
    "unknown format": (lambda spec: spec.update(format=2), "expected format 1, got 2"),
    "unknown key": (lambda spec: spec.update(shape=2), "shape"),
    "unknown key of a layer": (lambda spec: spec["programs"]["main"]["layers"][0].update(reset=1), "reset"),
    "unknown layer": (lambda spec: spec["programs"]["main"]["layers"][0].update(kind="lstm"), "lstm"),
    "size too large": (lambda spec: spec["programs"]["main"]["layers"][0].update(n_hid=65_537), "65536"),
    "size negative": (lambda spec: spec["programs"]["main"]["layers"][0].update(n_hid=-1), ">= 1"),
    "no layers": (lambda spec: spec["programs"]["main"].pop("layers"), "layers"),
}


@pytest.mark.parametrize("what", SPECS)
def test_an_unknown_spec_is_refused(what):
    edit, message = SPECS[what]
    with pytest.raises(SpecError, match=message):
        read(changed(edit))


def test_a_spec_that_is_no_json_is_refused():
    for text in ("", "{", "[]", "null", "[" * 100_000, '{"programs": 1}', "\0"):
        with pytest.raises(SpecError):
            read(save(networks.tensors(), {"streamgru": text}))


def test_the_only_program_is_called_main(path):
    spec = s.Spec(programs={"other": networks.spec().programs["main"]})
    with pytest.raises(SpecError, match="other"):
        native.write(path, spec, networks.tensors())


def test_read_wants_a_native_file(path):
    path.write_bytes(save(networks.tensors(), {"format": "pt"}))
    with pytest.raises(FormatError, match="expected a native file"):
        native.read(path)
