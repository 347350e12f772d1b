"""PyTorch modules that look at several steps, and activations with parameters, against PyTorch's own answers."""

import io

import numpy as np
import pytest

import streamgru
from streamgru.model import spec as s

torch = pytest.importorskip("torch", reason="needs torch")
nn = torch.nn
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


class Windowed(nn.Module):
    """Windows before a GRU; steps are the last axis there, as PyTorch wants them."""

    def __init__(self, *front, n=6, features_first=False):
        super().__init__()
        self.front = nn.Sequential(*front)
        self.gru = nn.GRU(n, 5, batch_first=True)
        self.head = nn.Linear(5, 2)
        self.features_first = features_first

    def forward(self, x):
        x = x if self.features_first else x.transpose(1, 2)
        return self.head(self.gru(self.front(x).transpose(1, 2))[0])


class Behind(nn.Module):
    """Windows behind a GRU of both directions, and only the last answer."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 3, batch_first=True, bidirectional=True)
        self.conv = nn.Conv1d(6, 2, 4, padding="same")

    def forward(self, x):
        return self.conv(self.gru(x)[0].transpose(1, 2))[:, :, -1]


class Chomped(nn.Module):
    """A causal convolution as many write it: zeros at both ends, and those at the end cut off again."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 6, 3, padding=2, groups=2)
        self.gru = nn.GRU(6, 5, batch_first=True)

    def forward(self, x):
        return self.gru(self.conv(x.transpose(1, 2))[:, :, :-2].transpose(1, 2))[0]


conv, mean, top, pad = nn.Conv1d, nn.AvgPool1d, nn.MaxPool1d, nn.ConstantPad1d
WINDOWS = {
    "a convolution": lambda: Windowed(conv(4, 6, 3)),
    "of one step": lambda: Windowed(conv(4, 6, 1, bias=False)),
    "with zeros": lambda: Windowed(conv(4, 6, 5, padding=2)),
    "the same length": lambda: Windowed(conv(4, 6, 4, padding="same", dilation=3)),
    "valid": lambda: Windowed(conv(4, 6, 4, padding="valid")),
    "with stride and dilation": lambda: Windowed(conv(4, 6, 3, stride=2, dilation=2, padding=1)),
    "in groups": lambda: Windowed(conv(4, 6, 3, groups=2)),
    "depthwise and pointwise": lambda: Windowed(conv(4, 4, 3, groups=4, padding=1), conv(4, 6, 1)),
    "causal": lambda: Windowed(nn.ConstantPad1d((4, 0), 0.0), conv(4, 6, 3, dilation=2)),
    "zeros on zeros": lambda: Windowed(nn.ZeroPad1d((1, 0)), conv(4, 6, 3, padding=1)),
    "longer than most inputs": lambda: Windowed(conv(4, 6, 100, stride=7)),
    "a block of many": lambda: Windowed(
        conv(4, 6, 3, padding=1), nn.BatchNorm1d(6), nn.GELU(), top(2), conv(6, 6, 3, padding=1), nn.ReLU(), mean(2)
    ),
    "features first": lambda: Windowed(conv(4, 6, 3), features_first=True),
    "a mean": lambda: Windowed(mean(3), n=4),
    "a mean with zeros": lambda: Windowed(mean(3, 1, padding=1), n=4),
    "a mean of what is there": lambda: Windowed(mean(4, 2, padding=2, count_include_pad=False), n=4),
    "a mean after zeros": lambda: Windowed(pad((2, 1), 0.0), mean(3, 2), n=4),
    "a maximum": lambda: Windowed(top(3, stride=2, padding=1), n=4),
    "a maximum that overlaps": lambda: Windowed(top(2, stride=1, ceil_mode=True), n=4),
    "behind both directions": Behind,
}


def expected(module, x, features_first=False):
    x = torch.tensor(x)[None]
    with torch.no_grad():
        return module.eval()(x.transpose(1, 2) if features_first else x)[0].numpy()


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("what", WINDOWS)
def test_windows(what):
    module = WINDOWS[what]()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d):
            nn.init.normal_(part.running_mean)
    model = streamgru.from_torch(module)
    x = np.random.default_rng(3).standard_normal((131, 4)).astype(np.float32)
    theirs = expected(module, x, what == "features first")
    ours = model.run(x[None])[0]
    if theirs.ndim == 1:
        ours = ours[-1]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-6)


def test_in_a_stream():
    """Zeros before the start are there; those at the end never come, so the last answers are missing."""
    module = Windowed(conv(4, 6, 5, padding=2), top(2))
    x = np.random.default_rng(4).standard_normal((40, 4)).astype(np.float32)
    stream = streamgru.from_torch(module).stream()
    answers = [y.copy() for y in map(stream.step, x) if y is not None]
    assert len(answers) == 19
    np.testing.assert_allclose(answers, expected(module, x)[:19], rtol=0, atol=2e-6)


def test_with_a_spec_a_convolution_may_be_what_forward_makes_of_it():
    module = Chomped()
    with pytest.raises(streamgru.SpecError, match="no way was found to call the module"):
        streamgru.from_torch(module)
    spec = s.sequential(
        s.Conv1d(name="conv", n_out=6, size=3, before=2), s.Gru(name="gru.0", n_hid=5),
        inputs=(s.Input(name="x", size=4),),
    )  # fmt: skip
    model = streamgru.from_torch(module, spec=spec)
    x = np.random.default_rng(5).standard_normal((30, 4)).astype(np.float32)
    np.testing.assert_allclose(model.stream().run(x), expected(module, x), rtol=0, atol=1e-6)


def test_a_checkpoint_with_a_convolution_and_its_spec(tmp_path):
    module = Windowed(conv(4, 6, 3, padding=1, dilation=2), nn.BatchNorm1d(6), nn.LeakyReLU(0.2))
    file = io.BytesIO()
    torch.save({"model": module.state_dict()}, file)
    with pytest.raises(streamgru.SpecError, match="padding, stride and dilation cannot be seen") as caught:
        streamgru.load(file.getvalue())
    text = str(caught.value).partition("\n\n")[2]
    conv_lines = 'kind = "conv1d"\n'
    assert conv_lines in text
    text = text.replace(conv_lines, conv_lines + "before = 1\nafter = 1\ndilation = 2\n")
    # What has no tensors is not seen either, and where the norm stands is a guess.
    gru, norm, act = (f'[[programs.main.layers]]\nname = "{name}"' for name in ("gru.0", "front.1", "act"))
    text = text.replace(norm, "").replace('kind = "batchnorm"\n', "")
    text = text.replace(
        gru, f'{norm}\nkind = "batchnorm"\n\n{act}\nkind = "activation"\nfunction = {{ function = "leaky_relu", '
        f"alpha = 0.2 }}\n\n{gru}",
    )  # fmt: skip
    (tmp_path / "spec.toml").write_text(text)
    model = streamgru.load(file.getvalue(), spec=tmp_path / "spec.toml")
    x = np.random.default_rng(6).standard_normal((30, 4)).astype(np.float32)
    np.testing.assert_allclose(model.run(x[None])[0], expected(module, x), rtol=0, atol=1e-6)


REFUSED = {
    "another padding": (lambda: Windowed(conv(4, 6, 3, padding=1, padding_mode="circular")), "mode='circular'"),
    "a maximum after zeros": (lambda: Windowed(pad((1, 0), 0.0), top(2), n=4), "zeros; expected an nn.Conv1d"),
    "zeros before a GRU": (lambda: Windowed(pad((1, 0), 0.0), n=4), "pads with zeros"),
    "zeros twice": (lambda: Windowed(pad((1, 0), 0.0), pad((1, 0), 0.0), conv(4, 6, 3)), "pads with zeros"),
    "zeros at the end": (lambda: nn.Sequential(nn.GRU(3, 4), pad((1, 0), 0.0)), "pads with zeros"),
    "ones": (lambda: Windowed(pad((1, 0), 1.0), conv(4, 6, 3)), "pads with 1.0"),
    "a cut": (lambda: Windowed(pad((-1, 0), 0.0), conv(4, 6, 3)), "pads with 0.0, -1 and 0"),
    "zeros that count and others": (
        lambda: Windowed(pad((1, 0), 0.0), mean(3, padding=1, count_include_pad=False), n=4), "pads with zeros",
    ),
    "a last window that is not full": (lambda: Windowed(mean(3, ceil_mode=True), n=4), "ceil_mode"),
    "a dilated maximum": (lambda: Windowed(top(3, dilation=2), n=4), "dilation"),
    "positions": (lambda: Windowed(top(3, return_indices=True), n=4), "return_indices"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_layer_does_is_refused(what):
    make, message = REFUSED[what]
    with pytest.raises(streamgru.UnsupportedError, match=message):
        streamgru.from_torch(make())


def test_windows_too_long_to_be_checked():
    with pytest.raises(streamgru.SpecError, match="expected at least 10 answers over 2560 steps, got 2"):
        streamgru.from_torch(Windowed(conv(4, 6, 1, stride=2000)))


FUNCTIONS = [
    nn.LeakyReLU(0.3), nn.ELU(0.7), nn.SELU(), nn.Softplus(), nn.Softsign(), nn.SiLU(), nn.GELU(), nn.GELU("tanh"),
    nn.ReLU6(), nn.Hardtanh(-0.5, 0.25), nn.Threshold(0.1, 0.0), nn.Hardsigmoid(), nn.Sigmoid(), nn.Tanh(), nn.ReLU(),
]  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS, ids=str)
def test_functions(function):
    wide = nn.Linear(3, 6)
    nn.init.normal_(wide.weight, std=5)
    module = nn.Sequential(wide, function, nn.GRU(6, 4))
    model = streamgru.from_torch(module, dtype="float64")
    x = np.random.default_rng(7).standard_normal((50, 3))
    with torch.no_grad():
        theirs = module.double()(torch.tensor(x)[:, None])[0][:, 0].numpy()
    np.testing.assert_allclose(model.stream().run(x), theirs, rtol=0, atol=1e-8)
