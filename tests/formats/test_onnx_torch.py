"""Files that PyTorch writes, by both of its exporters, against PyTorch's own answers."""

import io
import logging
import warnings

import numpy as np
import pytest

import streamgru
from tests.formats.onnx_support import answer, close, found, layers

torch = pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("onnx", reason="needs onnx")
EXPORTERS = ["torchscript", "dynamo"]
N_STREAMS, N_STEPS = 2, 7


def exported(module, inputs, exporter, named=True, names=("x", "h", "k"), opset=None):
    """The bytes of a file; the sizes of streams and steps are left open where the exporter can do that."""
    if exporter == "dynamo":
        pytest.importorskip("onnxscript", reason="needs onnxscript")
    file = io.BytesIO()
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if exporter == "dynamo":
                program = torch.onnx.export(module, inputs, dynamo=True, verbose=False)
                program.save(file)
            else:
                axes = {"x": {0: "n", 1: "m"}, "lengths": {0: "n"}} if named else None
                settings = {"input_names": list(names[: len(inputs)]), "dynamic_axes": axes, "opset_version": opset}
                torch.onnx.export(module, inputs, file, dynamo=False, **settings)
    finally:
        logging.disable(logging.NOTSET)
    return file.getvalue()


class Net(torch.nn.Module):
    """A module from its parts and a function of these and the inputs."""

    def __init__(self, run, **parts):
        super().__init__()
        torch.manual_seed(0)
        self.run = run
        for name, part in parts.items():
            setattr(self, name, part())
        self.eval()

    def forward(self, *inputs):
        return self.run(self, *inputs)


def gru(n_in, n_hid, **more):
    return lambda: torch.nn.GRU(n_in, n_hid, **({"batch_first": True} | more))


def linear(n_in, n_out):
    return lambda: torch.nn.Linear(n_in, n_out)


def normal():
    norm = torch.nn.BatchNorm1d(5)
    torch.nn.init.normal_(norm.running_mean)
    torch.nn.init.uniform_(norm.running_var, 0.5, 2)
    return norm


def last_of_both(m, x):
    _, h = m.g(x)
    return m.l(torch.cat([h[-2], h[-1]], 1))


def repeated(m, x):
    y, _ = m.g(x)
    return m.l(y.reshape(-1, 4)).reshape(x.shape[0], x.shape[1], 2)


def normalised_by_hand(m, x):
    y = m.g(x)[0]
    y = y - y.mean(-1, keepdim=True)
    return m.l(y * m.l(y)[..., :1])


NETS = {
    "linear": (lambda m, x: m.l(m.g(x)[0]), {"g": gru(3, 4, num_layers=2), "l": linear(4, 2)}),
    "with its state": (lambda m, x: m.g(x), {"g": gru(3, 4)}),
    "last step": (lambda m, x: m.l(m.g(x)[0][:, -1]).softmax(-1), {"g": gru(3, 4), "l": linear(4, 2)}),
    "last state": (lambda m, x: m.l(m.g(x)[1][-1]), {"g": gru(3, 4, num_layers=2), "l": linear(4, 2)}),
    "both directions": (lambda m, x: m.l(m.g(x)[0]),
        {"g": gru(3, 4, num_layers=2, bidirectional=True), "l": linear(8, 2)}),
    "last of both": (last_of_both, {"g": gru(3, 4, num_layers=2, bidirectional=True), "l": linear(8, 2)}),
    "layer norm": (
        lambda m, x: m.l(torch.tanh(m.q(m.g(m.p(x))[0]))),
        {"p": lambda: torch.nn.LayerNorm(3), "g": gru(3, 4), "q": lambda: torch.nn.LayerNorm(4), "l": linear(4, 2)},
    ),
    "rows": (repeated, {"g": gru(3, 4), "l": linear(4, 2)}),
    "by hand": (normalised_by_hand, {"g": gru(3, 4), "l": linear(4, 4)}),
    "residual": (lambda m, x: m.l(m.g(x)[0] + m.i(x)), {"i": linear(3, 4), "g": gru(3, 4), "l": linear(4, 2)}),
    "chunks": (
        lambda m, x: (lambda a, b: torch.sigmoid(a) * torch.tanh(b))(*m.g(x)[0].chunk(2, -1)), {"g": gru(3, 4)}
    ),
    "learned start": (
        lambda m, x: m.l(m.g(x, m.s.weight[None].expand(-1, x.shape[0], -1).contiguous())[0]),
        {"s": lambda: torch.nn.Linear(4, 1, bias=False), "g": gru(3, 4), "l": linear(4, 2)},
    ),
    "without biases": (lambda m, x: m.g(x)[0], {"g": gru(3, 4, bias=False)}),
}  # fmt: skip


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("name", NETS)
def test_networks_of_one_input(name, exporter):
    run, parts = NETS[name]
    net = Net(run, **parts)
    x = torch.randn(N_STREAMS, N_STEPS, 3)
    data = exported(net, (x,), exporter)
    with torch.no_grad():
        expected = net(x)
    expected = (expected[0] if isinstance(expected, tuple) else expected).numpy()
    for row, y in zip(x.numpy(), expected, strict=True):
        close(answer(data, row), y if y.ndim == 2 else y[None])


@pytest.mark.parametrize("opset", [9, 11, 13])
@pytest.mark.parametrize("name", [name for name in NETS if name != "layer norm"])
def test_opsets_of_older_files(name, opset):
    run, parts = NETS[name]
    net = Net(run, **parts)
    x = torch.randn(N_STREAMS, N_STEPS, 3)
    data = exported(net, (x,), "torchscript", opset=opset)
    with torch.no_grad():
        expected = net(x)
    expected = (expected[0] if isinstance(expected, tuple) else expected).numpy()
    for row, y in zip(x.numpy(), expected, strict=True):
        close(answer(data, row), y if y.ndim == 2 else y[None])


def packed(m, x, lengths):
    y, _ = m.g(torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True))
    return m.l(torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True)[0])


def test_packed_sequences():
    """Of several lengths: what tells them is no input of the stream."""
    net = Net(packed, g=gru(3, 4, bidirectional=True), l=linear(8, 2))
    x, lengths = torch.randn(N_STREAMS, N_STEPS, 3), torch.tensor([7, 5])
    data = exported(net, (x, lengths), "torchscript", names=("x", "lengths"))
    with torch.no_grad():
        expected = net(x, lengths).numpy()
    for row, length, y in zip(x.numpy(), lengths.tolist(), expected, strict=True):
        close(answer(data, row[:length]), y[:length])


def convolved(m, x, h, k):
    x = torch.nn.functional.pad(x.transpose(1, 2), (2, 0))
    x = torch.relu(m.b(m.c(x))).transpose(1, 2)
    y, h = m.g(x, h)
    y, k = m.f(y, k)
    return m.l(y), h, k


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_convolution_norm_and_two_grus_with_their_states_in_and_out(exporter):
    """Piece by piece in PyTorch, its states handed on by hand, and our stream: the same answers."""
    net = Net(convolved, c=lambda: torch.nn.Conv1d(3, 5, 3), b=normal, g=gru(5, 4, num_layers=2), f=gru(4, 6),
              l=linear(6, 2))  # fmt: skip
    x, h, k = torch.randn(N_STREAMS, N_STEPS, 3), torch.zeros(2, N_STREAMS, 4), torch.zeros(1, N_STREAMS, 6)
    data = exported(net, (x, h, k), exporter)
    spec, _, findings = found(data)
    assert [item.size for item in spec.main.inputs] == [3]
    assert [layer for layer in layers(spec) if layer != "batchnorm"] == ["conv1d", "gru", "gru", "gru", "dense"]
    assert sum("kept by the stream itself" in line for line in findings) == 4
    with torch.no_grad():
        expected = net(x, h, k)[0].numpy()
    for row, y in zip(x.numpy(), expected, strict=True):
        close(answer(data, row), y)
    starts = {layer.name: torch.randn(N_STREAMS, layer.n_hid) for layer in spec.main.layers if hasattr(layer, "n_hid")}
    first, second, third = starts.values()
    with torch.no_grad():
        expected = net(x, torch.stack([first, second]), third[None])[0].numpy()
    for i, row in enumerate(x.numpy()):
        close(answer(data, row, {name: start[i].numpy() for name, start in starts.items()}), expected[i])


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_single_step_with_its_state(exporter):
    """What people export who carry the state themselves: sizes of 1, and both outputs."""
    net = Net(lambda m, x, h: (lambda y, h: (m.l(y), h))(*m.g(x, h)), g=gru(3, 4, num_layers=2), l=linear(4, 2))
    data = exported(net, (torch.randn(1, 1, 3), torch.zeros(2, 1, 4)), exporter, named=False)
    x = torch.randn(1, N_STEPS, 3)
    with torch.no_grad():
        expected = net(x, torch.zeros(2, 1, 4))[0][0].numpy()
    close(answer(data, x[0].numpy()), expected)
    model = streamgru.load(data)
    close(model.stream().run(x[0].numpy()), expected)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_single_step_whose_state_is_all_there_is(exporter):
    net = Net(lambda m, x, h: (lambda h: (m.l(h[-1]), h))(m.g(x, h)[1]), g=gru(3, 4), l=linear(4, 2))
    data = exported(net, (torch.randn(1, 1, 3), torch.zeros(1, 1, 4)), exporter, named=False)
    x = torch.randn(1, N_STEPS, 3)
    with torch.no_grad():
        expected = net.l(net.g(x)[0])[0].numpy()
    close(streamgru.load(data).stream().run(x[0].numpy()), expected)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_tokens(exporter):
    net = Net(lambda m, x: m.l(m.g(m.e(x))[0]), e=lambda: torch.nn.Embedding(10, 3), g=gru(3, 4), l=linear(4, 10))
    x = torch.randint(0, 10, (N_STREAMS, N_STEPS))
    data = exported(net, (x,), exporter)
    with torch.no_grad():
        expected = net(x).numpy()
    for row, y in zip(x.numpy(), expected, strict=True):
        close(streamgru.load(data).stream().run(row[:, None]), y)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_steps_first(exporter):
    net = Net(lambda m, x, h: m.g(x, h), g=gru(3, 4, batch_first=False))
    x, h = torch.randn(N_STEPS, N_STREAMS, 3), torch.zeros(1, N_STREAMS, 4)
    data = exported(net, (x, h), exporter, named=False)
    with torch.no_grad():
        expected = net(x, h)[0].numpy()
    for i in range(N_STREAMS):
        close(streamgru.load(data).stream().run(x[:, i].numpy()), expected[:, i])


def test_what_an_exporter_has_forgotten_is_reported():
    """onnxscript#2852: GRU without linear_before_reset, from PyTorch, whose GRU resets after the product."""
    from tests.formats import onnx_bytes as o

    def lines(producer, **attributes):
        nodes = [o.node("GRU", "x W R B", "y", hidden_size=4, **attributes)]
        data = o.model(nodes, [o.port("x", ["t", "b", 3])], [o.field(1, "y")], o.gru_weights(3, 4), producer=producer)
        return [line for line in found(data)[2] if "onnxscript#2852" in line]

    assert len(lines("pytorch")) == 1
    assert lines("pytorch", linear_before_reset=1) == lines("keras2onnx") == []


def test_streams_of_a_file_are_the_answers_of_pytorch():
    """The public way, from a file to the answers."""
    net = Net(lambda m, x: m.l(m.g(x)[0]), g=gru(3, 4, num_layers=2), l=linear(4, 2))
    x = torch.randn(1, N_STEPS, 3)
    model = streamgru.load(exported(net, (x,), "torchscript"), dtype="float64")
    with torch.no_grad():
        expected = net.double()(x.double())[0].numpy()
    np.testing.assert_allclose(model.stream().run(x[0].numpy()), expected, rtol=0, atol=1e-12)
