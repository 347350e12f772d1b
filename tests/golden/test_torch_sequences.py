"""Whole sequences against PyTorch: both directions, several layers, sequences of different lengths packed."""

import numpy as np
import pytest

from streamgru.model.spec import Concat, Gru, Input, sequential
from streamgru.stream.model import Model

torch = pytest.importorskip("torch", reason="needs torch")


def ours(module, dtype):
    """The network of an nn.GRU in both directions; PyTorch's convention is ours."""
    layers, tensors, before = [], {}, "x"
    for k in range(module.num_layers):
        for name, ending, direction in ((f"fore{k}", "", "forward"), (f"back{k}", "_reverse", "reverse")):
            layers.append(Gru(name=name, n_hid=module.hidden_size, inputs=(before,), direction=direction))
            for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                tensors[f"{name}.{key}"] = getattr(module, f"{key}_l{k}{ending}").detach().numpy()
        layers.append(Concat(name=f"both{k}", inputs=(f"fore{k}", f"back{k}")))
        before = f"both{k}"
    spec = sequential(*layers, inputs=(Input(name="x", size=module.input_size),))
    return Model(spec, tensors, dtype=dtype)


@pytest.mark.parametrize("n_layers", [1, 3])
@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-6), ("float64", 1e-12)])
def test_bidirectional(n_layers, dtype, tolerance):
    torch.manual_seed(n_layers)
    module = torch.nn.GRU(6, 33, n_layers, bidirectional=True, batch_first=True).to(getattr(torch, dtype)).eval()
    model = ours(module, dtype)
    x, lengths = np.random.default_rng(1).uniform(-1, 1, (5, 40, 6)).astype(dtype), [40, 7, 1, 39, 20]
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        torch.tensor(x), lengths, batch_first=True, enforce_sorted=False
    )  # fmt: skip
    with torch.no_grad():
        answers, finals = module(packed)
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(answers, batch_first=True)
    np.testing.assert_allclose(model.run(x, lengths), expected.numpy(), rtol=0, atol=tolerance)
    for i, length in enumerate(lengths):
        states = model.finals(x[i, :length])
        for k in range(n_layers):
            for way, name in enumerate((f"fore{k}", f"back{k}")):
                np.testing.assert_allclose(states[name], finals[2 * k + way, i].numpy(), rtol=0, atol=tolerance)
