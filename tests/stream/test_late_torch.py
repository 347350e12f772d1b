"""A network that looks ahead and answers at every 4th step, against PyTorch on the whole sequence."""

import numpy as np
import pytest

from streamgru.model import spec as s
from streamgru.stream.model import Model
from tests.networks import spec_of

torch = pytest.importorskip("torch", reason="needs torch")
nn = torch.nn
RTOL = {"float32": 1e-5, "float64": 1e-12}  # float32 is held against float32, several layers deep
N_STEPS, N_IN = 101, 4

LAYERS = (
    s.Conv1d(name="conv", n_out=6, size=5, dilation=2, before=4, after=4),
    s.AveragePool1d(name="pool", size=3, stride=2, before=1, after=1),
    s.Conv1d(name="ahead", n_out=6, size=3, before=1, after=1, function="relu"),
    s.Add(name="sum", inputs=("pool", "ahead")),
    s.MaxPool1d(name="top", size=2, stride=2),
    s.Gru(name="gru", n_hid=8),
)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(N_IN, 6, 5, padding=4, dilation=2)
        self.pool = nn.AvgPool1d(3, 2, 1, count_include_pad=False)
        self.ahead = nn.Conv1d(6, 6, 3, padding=1)
        self.top = nn.MaxPool1d(2, 2)
        self.gru = nn.GRU(6, 8, batch_first=True)

    def forward(self, x):
        y = self.pool(self.conv(x.transpose(1, 2)))
        return self.gru(self.top(y + torch.relu(self.ahead(y))).transpose(1, 2))[0]


@pytest.mark.parametrize("dtype", RTOL)
def test_convolutions_and_pools_of_pytorch(dtype, rng):
    torch.manual_seed(0)
    module, x = Network().to(getattr(torch, dtype)).eval(), rng.standard_normal((N_STEPS, N_IN)).astype(dtype)
    tensors = {}
    for name in ("conv", "ahead"):
        weight = getattr(module, name).weight.detach().numpy()  # (n_out, n_in, size)
        tensors[f"{name}.weight"] = weight.transpose(0, 2, 1).reshape(len(weight), -1)
        tensors[f"{name}.bias"] = getattr(module, name).bias.detach().numpy()
    tensors |= {f"gru.{name[:-3]}": value.detach().numpy() for name, value in module.gru.named_parameters()}
    model = Model(spec_of(*LAYERS, n_in=N_IN), tensors, dtype=dtype)
    with torch.no_grad():
        expected = module(torch.from_numpy(x)[None])[0].numpy()
    got = model.stream().run(x)
    assert (model.stride, model.delay) == (4, 9)
    assert len(got) == len(range(9, N_STEPS, 4)) == len(expected) - 2  # these look beyond the end
    np.testing.assert_allclose(got, expected[: len(got)], rtol=0, atol=RTOL[dtype])
