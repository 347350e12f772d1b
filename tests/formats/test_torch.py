"""A state_dict, from numpy arrays under PyTorch's names: what is taken, what is refused, and with which spec."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamgru.errors import LoadError, SpecError, UnsupportedError
from streamgru.formats.torch import find, map_tensors
from streamgru.model import spec as s
from streamgru.model.layout import ALIGN, lay_out
from streamgru.model.spec import from_json, from_toml, to_json
from tests.formats.networks import torch_gru, torch_linear


def found(tensors):
    """What find makes of it, checked to be a network that fits."""
    spec, mapped, findings = find(tensors, "file")
    lay_out(spec.main, mapped, ALIGN)
    return spec, mapped, findings


def kinds(spec):
    return [(layer.name, type(layer).__struct_config__.tag) for layer in spec.main.layers]


def refused(tensors, message):
    """The spec in the refusal."""
    with pytest.raises(SpecError, match=message) as caught:
        find(tensors, "file")
    return offered(caught.value)


def offered(error):
    _, _, text = str(error).partition("\n\n")
    return text


@pytest.mark.parametrize("prefix", ["", "rnn.", "module.encoder.rnn.", "0."])
@pytest.mark.parametrize("n_layers", [1, 2, 11])
@pytest.mark.parametrize("bias", [True, False])
def test_a_gru_of_any_depth_and_prefix(prefix, n_layers, bias):
    tensors = torch_gru(3, 4, n_layers, prefix, bias)
    spec, mapped, findings = found(tensors)
    name = prefix or "gru."
    assert kinds(spec) == [(f"{name}{k}", "gru") for k in range(n_layers)]
    assert {layer.variant for layer in spec.main.layers} == {"after"}
    assert spec.main.inputs[0].size == 3
    assert len(findings) == n_layers
    for k in range(n_layers):
        for key in ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if bias else ())):
            np.testing.assert_array_equal(tensors[f"{prefix}{key}_l{k}"], mapped[f"{name}{k}.{key}"])


@pytest.mark.parametrize("prefix", ["", "cell."])
def test_a_cell(prefix):
    tensors = {name.removesuffix("_l0"): tensor for name, tensor in torch_gru(3, 4, 1, prefix).items()}
    spec, mapped, _ = found(tensors)
    assert kinds(spec) == [(prefix[:-1] or "gru", "gru")]
    assert len(mapped) == 4


@pytest.mark.parametrize("bias", [True, False])
def test_a_head(bias):
    spec, mapped, findings = found(torch_gru(3, 4, 2, "rnn.") | torch_linear(4, 2, "fc.", bias))
    assert kinds(spec) == [("rnn.0", "gru"), ("rnn.1", "gru"), ("fc", "dense")]
    assert spec.main.layers[-1].function == "linear"
    assert ("fc.bias" in mapped) == bias
    assert re.search(r"rnn\.weight_ih_l0 \(12, 3\).* -> layer rnn\.0: gru, .*3 -> 4", findings[0])
    assert re.search(r"fc\.weight \(2, 4\).* -> layer fc: dense, linear, 4 -> 2", findings[2])
    assert "activation" in findings[3]


def test_a_head_that_answers_as_many_numbers_as_come_in_goes_by_its_name():
    """A forecaster of its own input; the same sizes as a projection before the GRU."""
    tensors = torch_gru(3, 4, 1, "rnn.")
    assert kinds(found(tensors | torch_linear(4, 3, "net.head."))[0])[-1] == ("net.head", "dense")
    for name in ("project", "fc", "linear", "decoder"):
        refused(tensors | torch_linear(4, 3, f"{name}."), f"'{name}' stands before or behind")


def test_grus_in_a_row_whose_sizes_tell_their_order():
    spec, _, _ = found(torch_gru(3, 8, 2, "b.") | torch_gru(8, 4, 1, "a.") | torch_linear(4, 2, "head."))
    assert [name for name, _ in kinds(spec)] == ["b.0", "b.1", "a.0", "head"]


def test_counters_of_the_training_are_left_out():
    tensors = torch_gru(3, 4) | {"num_batches_tracked": np.array(7)}
    assert "num_batches_tracked" not in found(tensors)[1]


AMBIGUOUS = {
    "linear before": (torch_linear(5, 3, "fc.") | torch_gru(3, 4, 1, "rnn."), "its place cannot be told"),
    "two linears": (
        torch_gru(3, 4, 1, "rnn.") | torch_linear(4, 6, "fc1.") | torch_linear(6, 2, "fc2."),
        "what stands between",
    ),
    "linears around": (
        torch_linear(5, 3, "inp.") | torch_gru(3, 4, 1, "rnn.") | torch_linear(4, 2, "out."),
        "'inp', 'out'",
    ),
    "embedding": (torch_linear(3, 9, "emb.", False) | torch_gru(3, 4, 1, "rnn."), "'emb'"),
    "embedding or head": (torch_linear(4, 9, "table.", False) | torch_gru(4, 4, 1, "rnn."), "before or behind"),
    "equal grus": (torch_gru(4, 4, 1, "enc.") | torch_gru(4, 4, 1, "dec."), "order of 'dec', 'enc'"),
    "grus that do not meet": (torch_gru(3, 4, 1, "a.") | torch_gru(5, 6, 1, "b."), "order of 'a', 'b'"),
    "layer norm": (torch_gru(3, 4, 1, "rnn.") | {"ln.weight": np.ones(4), "ln.bias": np.ones(4)}, "what 'ln' is for"),
    "convolution": (torch_gru(3, 4, 1, "rnn.") | {"conv.weight": np.ones((3, 2, 5))}, "what 'conv' is for"),
    "unknown": (torch_gru(3, 4, 1, "rnn.") | {"conv.weight": np.ones((3, 3, 5, 5))}, "what 'conv.weight' is for"),
    "learned start": (torch_gru(3, 4) | {"h0": np.ones((1, 1, 4))}, "what 'h0' is for"),
    "many equal grus": (
        {name: tensor for k in range(9) for name, tensor in torch_gru(4, 4, 1, f"g{k}.").items()},
        "order of",
    ),
}


@pytest.mark.parametrize("what", AMBIGUOUS)
def test_what_names_cannot_tell_is_refused_with_a_spec(what):
    tensors, message = AMBIGUOUS[what]
    text = refused(tensors, message)
    assert from_toml(text).main.layers
    assert "nn.GRU" in text


@pytest.mark.parametrize(
    "what", ["linear before", "two linears", "linears around", "embedding", "layer norm", "convolution"]
)
def test_the_offered_spec_loads_as_it_is(what):
    """Its guess may be wrong, but it must be a network."""
    tensors, message = AMBIGUOUS[what]
    spec = from_toml(refused(tensors, message))
    mapped, _ = map_tensors(spec, tensors)
    lay_out(spec.main, mapped, ALIGN)


def test_the_offered_spec_can_be_completed():
    tensors = torch_linear(3, 9, "emb.", False) | torch_gru(3, 4, 2, "rnn.") | torch_linear(4, 2, "out.")
    text = refused(tensors, "'emb', 'out'") + '\n[[programs.main.layers]]\nname = "p"\nkind = "softmax"\n'
    spec = from_toml(text)
    assert kinds(spec) == [("emb", "embedding"), ("rnn.0", "gru"), ("rnn.1", "gru"), ("out", "dense"), ("p", "softmax")]
    assert spec.main.inputs[0].vocab == 9
    mapped, findings = map_tensors(spec, tensors)
    lay_out(spec.main, mapped, ALIGN)
    assert "rnn.weight_hh_l1 -> rnn.1.weight_hh" in findings


def test_batchnorm_goes_by_pytorchs_names():
    norm = {"bn.weight": np.ones(4), "bn.bias": np.ones(4), "bn.running_mean": np.ones(4), "bn.running_var": np.ones(4)}
    counter = {"bn.num_batches_tracked": np.array(3)}
    tensors = torch_gru(3, 4, 1, "rnn.") | norm | counter
    spec = from_toml(refused(tensors, "what 'bn' is for"))
    assert kinds(spec) == [("rnn.0", "gru"), ("bn", "batchnorm")]
    mapped, _ = map_tensors(spec, tensors)
    assert {"bn.mean", "bn.var", "bn.weight", "bn.bias"} <= mapped.keys()
    assert "bn.num_batches_tracked" not in mapped


def test_a_convolution_goes_step_by_step_the_oldest_first():
    kernel = np.arange(24.0).reshape(2, 3, 4)  # n_out, n_in, size
    tensors = torch_gru(2, 4, 1, "rnn.") | {"conv.weight": kernel, "conv.bias": np.ones(2)}
    spec = s.sequential(
        s.Conv1d(name="conv", n_out=2, size=4), s.Gru(name="rnn.0", n_hid=4), inputs=(s.Input(name="x", size=3),)
    )
    mapped, findings = map_tensors(spec, tensors)
    np.testing.assert_array_equal(mapped["conv.weight"][1, 6:9], kernel[1, :, 2])
    assert "conv.weight (2, 3, 4) -> conv.weight, step by step, the oldest first" in findings
    lay_out(spec.main, mapped, ALIGN)
    again, _ = map_tensors(spec, mapped)  # a native file has them like this
    assert again["conv.weight"] is mapped["conv.weight"]


def test_a_spec_finds_native_names_first():
    tensors = {"rnn.weight_ih": np.ones((12, 3)), "rnn.weight_hh": np.ones((12, 4))}
    spec = s.sequential(s.Gru(name="rnn", n_hid=4), inputs=(s.Input(name="x", size=3),))
    assert map_tensors(spec, tensors)[0].keys() == tensors.keys()


def test_a_spec_of_other_layers_leaves_tensors_that_the_layout_refuses():
    tensors = torch_gru(3, 4, 2, "rnn.")
    spec = s.sequential(s.Gru(name="rnn.0", n_hid=4), inputs=(s.Input(name="x", size=3),))
    mapped, _ = map_tensors(spec, tensors)
    with pytest.raises(SpecError, match=r"no layer of the spec uses the tensor 'rnn\."):
        lay_out(spec.main, mapped, ALIGN)


def test_both_directions_become_two_layers_each_and_their_concat():
    forward, deep = torch_gru(3, 4, 1, "rnn."), torch_gru(8, 4, 1, "rnn.")
    tensors = forward | {name.replace("_l0", "_l1"): tensor for name, tensor in deep.items()}
    tensors |= {f"{name}_reverse": tensor + 1 for name, tensor in tensors.items()}
    spec, mapped, findings = find(tensors, "file")
    assert [(layer.name, layer.inputs) for layer in spec.main.layers] == [
        ("rnn.0.forward", ("x",)), ("rnn.0.reverse", ("x",)), ("rnn.0", ("rnn.0.forward", "rnn.0.reverse")),
        ("rnn.1.forward", ("rnn.0",)), ("rnn.1.reverse", ("rnn.0",)), ("rnn.1", ("rnn.1.forward", "rnn.1.reverse")),
    ]  # fmt: skip
    assert [layer.direction for layer in spec.main.layers if isinstance(layer, s.Gru)] == ["forward", "reverse"] * 2
    assert mapped["rnn.1.reverse.weight_hh"] is tensors["rnn.weight_hh_l1_reverse"]
    assert "rnn.0.reverse: gru, reset after the product, reads from the end, 3 -> 4" in findings[1]
    assert "last states (h_n)" in findings[-1]
    lay_out(spec.main, mapped, ALIGN)
    again, _ = map_tensors(spec, tensors)
    assert again.keys() == mapped.keys()


def test_a_direction_without_the_other_is_refused():
    tensors = torch_gru(3, 4, 2, "rnn.")
    tensors |= {f"{name}_reverse": tensor for name, tensor in tensors.items() if "_l0" in name}
    with pytest.raises(SpecError, match="without gaps"):
        find(tensors, "file")


@pytest.mark.parametrize(("factor", "kind"), [(4, "an LSTM"), (1, "a plain RNN"), (2, "no GRU")])
def test_other_recurrent_layers_are_refused_by_name(factor, kind):
    tensors = {"rnn.weight_ih_l0": np.ones((factor * 4, 3)), "rnn.weight_hh_l0": np.ones((factor * 4, 4))}
    with pytest.raises(UnsupportedError, match=f"'rnn' is {kind}"):
        find(tensors, "file")


MALFORMED = {
    "no gru": torch_linear(3, 4, "fc."),
    "nothing": {},
    "a gap": {name: tensor for name, tensor in torch_gru(3, 4, 3).items() if "_l1" not in name},
    "no weight_hh": {"weight_ih_l0": np.ones((12, 3))},
    "no weight_ih": {"weight_hh_l0": np.ones((12, 4))},
    "rows differ": {"weight_ih_l0": np.ones((9, 3)), "weight_hh_l0": np.ones((12, 4))},
    "no matrix": {"weight_ih_l0": np.ones(9), "weight_hh_l0": np.ones(12)},
    "scalars": {"weight_ih_l0": np.array(1.0), "weight_hh_l0": np.array(1.0)},
    "empty": {"weight_ih_l0": np.ones((0, 0)), "weight_hh_l0": np.ones((0, 0))},
    "empty norm": torch_gru(3, 4, 1, "rnn.") | {"n.running_mean": np.array(1.0), "n.running_var": np.array(1.0)},
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_state_dicts_are_spec_errors(what):
    with pytest.raises(SpecError):
        found(MALFORMED[what])


SIZES = st.sampled_from([0, 1, 2, 3, 4, 6, 9, 12])
SHAPES = st.lists(SIZES, max_size=3).map(tuple)
LEAVES = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked", "h0", "weight_ih", "weight_hh"] + [
    f"{key}_l{index}" for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh") for index in ("0", "1", "00", "٠", "")
]
NAMES = st.builds(
    str.__add__, st.sampled_from(["", "a.", "a.0.", "gru.", "gru.0.", ".", "..", "a/b."]), st.sampled_from(LEAVES)
)


@settings(max_examples=500, deadline=None)
@given(st.dictionaries(NAMES, SHAPES, max_size=8), st.booleans())
def test_whatever_the_names_a_load_error_or_a_network(shapes, with_gru):
    tensors = {name: np.zeros(shape) for name, shape in shapes.items()}
    if with_gru:
        tensors |= torch_gru(3, 4, 2, "a.")
    try:
        spec, mapped, _ = find(tensors, "file")
        lay_out(from_json(to_json(spec)).main, mapped, ALIGN)
    except LoadError as error:
        assert len(str(error)) < 10_000
