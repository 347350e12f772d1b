"""Checkpoints that PyTorch writes, against PyTorch's own answers."""

import io

import numpy as np
import pytest

import streamgru
from streamgru.formats import torch_file, zip_file
from streamgru.model import spec as s

torch = pytest.importorskip("torch", reason="needs torch")
nn = torch.nn


class Net(nn.Module):
    def __init__(self, n_layers=2, both=False):
        super().__init__()
        torch.manual_seed(5)
        self.gru = nn.GRU(5, 7, n_layers, batch_first=True, bidirectional=both)
        self.fc = nn.Linear(14 if both else 7, 3)

    def forward(self, x):
        return self.fc(self.gru(x)[0])


def saved(content):
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def trained(net):
    """A network after a step of training, and the state of its optimiser."""
    optimiser = torch.optim.Adam(net.parameters())
    net(torch.randn(2, 6, 5)).sum().backward()
    optimiser.step()
    return net.eval(), optimiser.state_dict()


def same(data, net, tolerance=1e-6):
    x = torch.randn(2, 30, 5)
    with torch.no_grad():
        np.testing.assert_allclose(streamgru.load(data).run(x.numpy()), net(x).numpy(), atol=tolerance)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_a_state_dict(n_layers, both):
    net, _ = trained(Net(n_layers, both))
    same(saved(net.state_dict()), net)


CHECKPOINTS = {
    "with an optimiser": lambda net, adam: {"epoch": 3, "model": net.state_dict(), "optimizer": adam, "loss": 0.25},
    "deep": lambda net, adam: {"state": {"nets": {"tagger": net.state_dict()}}, "optimizer_states": [adam]},
    "of DataParallel": lambda net, adam: nn.DataParallel(net).state_dict(),
    "of torch.compile": lambda net, adam: {f"_orig_mod.module.{name}": it for name, it in net.state_dict().items()},
    "of parameters": lambda net, adam: {"state_dict": dict(net.named_parameters())},
    "in a plain dict": lambda net, adam: dict(net.state_dict()),
    "of views into one storage": lambda net, adam: packed(net.state_dict()),
    "transposed": lambda net, adam: {name: value.T.contiguous().T for name, value in net.state_dict().items()},
}  # fmt: skip


def packed(tensors):
    flat = torch.cat([torch.zeros(3), *(value.reshape(-1) for value in tensors.values())])
    at, views = 3, {}
    for name, value in tensors.items():
        views[name] = flat[at : at + value.numel()].view(value.shape)
        at += value.numel()
    return views


@pytest.mark.parametrize("how", CHECKPOINTS)
@pytest.mark.filterwarnings("ignore")
def test_checkpoints(how):
    net, adam = trained(Net())
    same(saved(CHECKPOINTS[how](net, adam)), net)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_all_that_a_training_keeps(protocol):
    """Optimisers, schedules, generators: whatever weights_only=True of PyTorch takes as well."""
    net, adam = trained(Net())
    sgd = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    schedules = [
        torch.optim.lr_scheduler.MultiStepLR(sgd, [3, 5]), torch.optim.lr_scheduler.OneCycleLR(sgd, 0.1, 10),
        torch.optim.lr_scheduler.ReduceLROnPlateau(sgd), torch.optim.lr_scheduler.CosineAnnealingLR(sgd, 10),
    ]  # fmt: skip
    content = {
        "net": net.state_dict(), "optimizers": [adam, sgd.state_dict()], "lr": [it.state_dict() for it in schedules],
        "rng": torch.get_rng_state(), "device": torch.device("cuda:1"), "shape": net.fc.weight.shape, "best": 1e-3,
        "scaler": torch.amp.GradScaler("cpu").state_dict(), "big": 1 << 80, "none": None, "flags": (True, False),
    }  # fmt: skip
    file = io.BytesIO()
    torch.save(content, file, pickle_protocol=protocol)
    same(file.getvalue(), net)


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-6), ("float16", 1e-3), ("bfloat16", 1e-6)])
def test_dtypes(dtype, tolerance):
    net, _ = trained(Net())
    small = {name: value.to(getattr(torch, dtype)) for name, value in net.state_dict().items()}
    net.load_state_dict(small)
    same(saved(small), net, tolerance)


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "bfloat16", "int64", "int32", "int8", "uint8", "bool"]
)
def test_the_arrays_are_those_that_torch_reads(dtype):
    value = torch.arange(-12, 12).reshape(4, 6).to(getattr(torch, dtype))
    content = {
        "weight_hh_l0": value, "turned": value.T, "part": value[1:3, ::2], "scalar": value[2, 3], "none": value[:0],
        "wide": value[:1].expand(5, 6),
    }  # fmt: skip
    data = saved(content)
    found, _ = torch_file.find(zip_file.members(data, "file"), "file")
    for name, expected in torch.load(io.BytesIO(data), weights_only=True).items():
        expected = expected.float() if dtype == "bfloat16" else expected
        assert found[name].dtype == expected.numpy().dtype and found[name].flags.c_contiguous
        np.testing.assert_array_equal(found[name], expected.numpy())


def test_a_cell_and_more_with_a_spec():
    torch.manual_seed(6)
    net = nn.ModuleDict({"cell": nn.GRUCell(3, 4), "norm": nn.BatchNorm1d(4), "out": nn.Linear(4, 2)}).eval()
    nn.init.normal_(net["norm"].running_mean)
    spec = s.sequential(
        s.Gru(name="cell", n_hid=4), s.BatchNorm(name="norm"), s.Dense(name="out", n_out=2),
        inputs=(s.Input(name="x", size=3),),
    )  # fmt: skip
    model, h = streamgru.load(saved(net.state_dict()), spec=spec), torch.zeros(1, 4)
    stream = model.stream()
    with torch.no_grad():
        for x in torch.randn(20, 3):
            h = net["cell"](x[None], h)
            np.testing.assert_allclose(stream.step(x.numpy()), net["out"](net["norm"](h))[0].numpy(), atol=1e-6)


def test_torchscript_is_refused():
    file = io.BytesIO()
    with pytest.warns(DeprecationWarning) if torch.__version__ > "2.8" else pytest.MonkeyPatch.context():
        torch.jit.save(torch.jit.script(nn.GRU(2, 3)), file)
    with pytest.raises(streamgru.UnsupportedError, match="TorchScript"):
        streamgru.load(file.getvalue())
