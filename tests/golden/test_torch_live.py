"""Against PyTorch itself, over many steps and sizes; the float64 oracle says who is right.

Exactness promised: float32 at most twice as far from the oracle as PyTorch's float32 on the same data,
and within 1e-6 up to n_hid 256; float64 within 1e-12.
"""

import numpy as np
import pytest

import streamgru
from tests.oracle import gru_numpy

torch = pytest.importorskip("torch", reason="needs torch")
nn = torch.nn
save = pytest.importorskip("safetensors.torch").save
torch.set_num_threads(1)

# n_in, n_hid, n_layers, n_out, n_steps
SHORT = [
    (1, 1, 1, 1, 300),
    (1, 2, 3, 1, 300),
    (3, 5, 2, 4, 300),
    (7, 31, 1, 2, 300),
    (16, 64, 3, 8, 300),
    (33, 127, 2, 5, 200),
    (40, 256, 1, 12, 200),
    (64, 256, 3, 3, 100),
    (129, 511, 1, 7, 100),
    (512, 512, 2, 512, 60),
]
LONG = [
    (1, 1, 1, 1, 10_000),
    (3, 16, 2, 2, 10_000),
    (8, 32, 3, 4, 10_000),
    (16, 128, 1, 4, 10_000),
    (16, 256, 1, 4, 10_000),
    (16, 256, 3, 4, 10_000),
    (16, 512, 1, 4, 10_000),
]


class Network(nn.Module):
    def __init__(self, n_in, n_hid, n_layers, n_out):
        super().__init__()
        self.rnn = nn.GRU(n_in, n_hid, n_layers, batch_first=True)
        self.head = nn.Linear(n_hid, n_out)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


def build(sizes):
    """The network, its input within [-1, 1], the bytes of its state_dict, and the oracle's answer."""
    n_in, n_hid, n_layers, n_out, n_steps = sizes
    torch.manual_seed(sum(sizes))
    module = Network(n_in, n_hid, n_layers, n_out).eval()
    x = np.random.default_rng(0).uniform(-1, 1, (n_steps, n_in)).astype(np.float32)
    tensors = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    h = x
    for k in range(n_layers):
        h = gru_numpy.gru(h, *(tensors[f"rnn.{key}_l{k}"] for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")))
    exact = h @ tensors["head.weight"].astype(np.float64).T + tensors["head.bias"]
    return module, x, save(module.state_dict()), exact


def answers(module, x):
    with torch.no_grad():
        return module(torch.tensor(x)[None])[0].numpy()


@pytest.mark.parametrize("sizes", SHORT + LONG, ids=lambda sizes: "_".join(map(str, sizes)))
def test_exactness(sizes):
    module, x, data, exact = build(sizes)
    torchs = np.abs(answers(module, x) - exact).max()
    ours = np.abs(streamgru.load(data).stream().run(x) - exact).max()
    # Half a unit in the last place of 1 is granted: below that it is chance who is nearer.
    assert ours <= max(2 * torchs, 2**-24), f"ours {ours:.3g}, PyTorch's {torchs:.3g}"
    if sizes[1] <= 256:
        assert ours <= 1e-6
    double = streamgru.load(data, dtype="float64").stream().run(x.astype(np.float64))
    np.testing.assert_allclose(double, exact, rtol=0, atol=1e-12)
    np.testing.assert_allclose(answers(module.double(), x.astype(np.float64)), exact, rtol=0, atol=1e-12)


def test_a_cell_in_float64():
    torch.manual_seed(0)
    cell = nn.GRUCell(5, 12).double()
    x = np.random.default_rng(0).uniform(-1, 1, (200, 5))
    h, expected = None, []
    with torch.no_grad():
        for x_t in torch.tensor(x):
            h = cell(x_t[None], h)
            expected.append(h[0].numpy())
    actual = streamgru.load(save(cell.state_dict()), dtype="float64").stream().run(x)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12)


def test_large_weights_saturate_alike():
    """Gates that are all but 0 or 1, as in trained networks."""
    torch.manual_seed(1)
    module = Network(4, 24, 1, 3).eval()
    with torch.no_grad():
        for name, parameter in module.rnn.named_parameters():
            parameter.mul_(20 if "ih" in name else 1)
    x = np.random.default_rng(0).uniform(-1, 1, (2000, 4)).astype(np.float32)
    single, double = answers(module, x), answers(module.double(), x.astype(np.float64))
    actual = streamgru.load(save(module.float().state_dict())).stream().run(x)
    assert np.abs(actual - double).max() <= max(2 * np.abs(single - double).max(), 2**-24)
