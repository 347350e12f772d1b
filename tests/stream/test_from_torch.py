import subprocess
import sys

import numpy as np
import pytest

import streamgru

torch = pytest.importorskip("torch", reason="needs torch")
nn = torch.nn
weight_norm = torch.nn.utils.parametrizations.weight_norm
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


class Tagger(nn.Module):
    """GRU and head; the ways in which such modules differ are arguments."""

    def __init__(self, batch_first=True, last=False, with_state=False, transpose=False):
        super().__init__()
        self.rnn = nn.GRU(3, 8, 2, batch_first=batch_first, dropout=0.5)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, 2)
        self.batch_first, self.last, self.with_state, self.transpose = batch_first, last, with_state, transpose

    def forward(self, x, h=None):
        if self.transpose:
            x = x.transpose(0, 1)
        out, h = self.rnn(x, h)
        if self.last:
            out = out[:, -1] if self.batch_first else out[-1]
        y = self.head(self.drop(out))
        return (y, h) if self.with_state else y


class Everything(nn.Module):
    """Every kind of layer that has tensors, and most that have none."""

    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(11, 5)
        self.inner = nn.Sequential(nn.Linear(5, 6), nn.Tanh())
        self.rnn = nn.GRU(6, 7, bias=False, batch_first=True)
        self.ln = nn.LayerNorm(7, eps=1e-3)
        self.bn = nn.BatchNorm1d(7)
        self.act = nn.ReLU()
        self.rnn2 = nn.GRU(7, 4, batch_first=True)
        self.head = nn.Linear(4, 3, bias=False)
        self.gate = nn.Hardsigmoid()
        self.soft = nn.Softmax(dim=-1)
        self.criterion = nn.CrossEntropyLoss()
        with torch.no_grad():
            for tensor in (*self.ln.parameters(), *self.bn.parameters(), self.bn.running_mean):
                tensor.uniform_(-1, 1)
            self.bn.running_var.uniform_(0.5, 2)

    def forward(self, token):
        x = self.ln(self.rnn(self.inner(self.emb(token)))[0])
        x = self.act(self.bn(x.transpose(1, 2)).transpose(1, 2))
        return self.soft(self.gate(self.head(self.rnn2(x)[0])))


class Stepper(nn.Module):
    """A cell that is stepped by its caller."""

    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(3, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, x, h):
        h = self.cell(x, h)
        return self.head(h), h


class Looper(Stepper):
    """A cell that is stepped by its own forward."""

    def forward(self, x):
        h, answers = x.new_zeros(len(x), 8), []
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
            answers.append(self.head(h))
        return torch.stack(answers, 1)


class OwnTanh(nn.Tanh):
    pass


def batch_first(module, x):
    with torch.no_grad():
        answer = module.eval()(torch.tensor(x)[None])
    return (answer[0] if isinstance(answer, tuple) else answer)[0].double().numpy()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_models_answers_are_the_modules(dtype):
    module = Tagger()
    x = np.random.default_rng(3).standard_normal((100, 3)).astype(np.float32)
    model = streamgru.from_torch(module, dtype=dtype)
    assert model.dtype == dtype
    np.testing.assert_allclose(model.stream().run(x), batch_first(module, x), rtol=0, atol=1e-6)


CALLED = {
    "batch first": lambda: Tagger(),
    "time first": lambda: Tagger(batch_first=False),
    "batch first outside, time first within": lambda: Tagger(batch_first=False, transpose=True),
    "with its state": lambda: Tagger(with_state=True),
    "last step only": lambda: Tagger(last=True),
    "last step only, time first": lambda: Tagger(batch_first=False, last=True),
    "everything": Everything,
    "a cell with a head": Stepper,
    "a cell in a loop": Looper,
    "a GRU": lambda: nn.GRU(3, 4),
    "a GRU, batch first, deep": lambda: nn.GRU(3, 4, 3, batch_first=True),
    "a GRU of size 1": lambda: nn.GRU(1, 1),
    "a cell": lambda: nn.GRUCell(3, 4, bias=False),
    "sequential": lambda: nn.Sequential(nn.Linear(3, 5), nn.Sigmoid(), nn.Identity(), nn.GRU(5, 4)),
    "an activation derived from PyTorch's": lambda: nn.Sequential(nn.Linear(3, 5), OwnTanh(), nn.GRU(5, 4)),
    "weights under a parametrization": lambda: nn.Sequential(weight_norm(nn.Linear(3, 5)), nn.GRU(5, 4)),
    "compiled": lambda: torch.compile(Tagger(), backend="eager"),
    "double": lambda: Tagger().double(),
    "half": lambda: Tagger().bfloat16(),
}


@pytest.mark.parametrize("how", CALLED)
def test_modules_of_all_manners(how):
    model = streamgru.from_torch(CALLED[how]())
    assert np.isfinite(model.stream().step(np.zeros(model.n_in))).all()


def test_everything_in_detail():
    module = Everything()
    model = streamgru.from_torch(module, dtype="float64")
    kinds = [type(layer).__struct_config__.tag for layer in model.spec.main.layers]
    assert kinds == ["embedding", "dense", "activation", "gru", "layernorm", "batchnorm", "activation", "gru", "dense",
                     "activation", "softmax"]  # fmt: skip
    tokens = np.random.default_rng(0).integers(11, size=50)
    with torch.no_grad():
        expected = module.double().eval()(torch.tensor(tokens)[None])[0].numpy()
    np.testing.assert_allclose(model.stream().run(tokens[:, None]), expected, rtol=0, atol=1e-6)


class Relu(Tagger):
    def forward(self, x):
        return self.head(torch.relu(self.rnn(x)[0]))


class Softmax(Tagger):
    def forward(self, x):
        return torch.softmax(self.head(self.rnn(x)[0]), -1)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 3, batch_first=True)

    def forward(self, x):
        return x + self.rnn(x)[0]


class Backwards(nn.Module):
    """Registered in another order than used, with sizes that do not tell."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 3)
        self.rnn = nn.GRU(3, 3, batch_first=True)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


class Forgetful(Tagger):
    """Starts anew every 10 steps."""

    def forward(self, x):
        return torch.cat([self.head(self.rnn(part)[0]) for part in x.split(10, 1)], 1)


class Scaled(Tagger):
    """A difference of one percent."""

    def forward(self, x):
        return 1.01 * super().forward(x)


class Nan(Tagger):
    def forward(self, x):
        return super().forward(x) * float("nan")


@pytest.mark.parametrize("cls", [Relu, Softmax, Residual, Backwards, Forgetful, Scaled, Nan])
def test_a_forward_that_does_more_than_its_modules_tell_is_refused(cls):
    with pytest.raises(streamgru.SpecError, match=r"differ .* by \S+ at step \d+ \(forward") as caught:
        streamgru.from_torch(cls())
    assert "[[programs.main.layers]]" in str(caught.value)


def test_the_step_of_a_difference_is_named():
    with pytest.raises(streamgru.SpecError, match=r"at step [123]\d \(forward\(x\), batch first"):
        streamgru.from_torch(Forgetful())


def test_the_offered_spec_can_be_corrected(tmp_path):
    module = Relu()
    with pytest.raises(streamgru.SpecError) as caught:
        streamgru.from_torch(module)
    text = str(caught.value).partition("\n\n")[2]
    head = '[[programs.main.layers]]\nname = "head"'
    assert head in text
    path = tmp_path / "spec.toml"
    path.write_text(
        text.replace(head, f'[[programs.main.layers]]\nname = "a"\nkind = "activation"\nfunction = "relu"\n{head}')
    )
    model = streamgru.from_torch(module, spec=path)
    assert model.spec.main.layers[2].name == "a"
    path.write_text(text)
    with pytest.raises(streamgru.SpecError, match="differ"):
        streamgru.from_torch(module, spec=path)


class WithParameter(Tagger):
    def __init__(self):
        super().__init__()
        self.h0 = nn.Parameter(torch.zeros(2, 1, 8))


class WithChild(Tagger):
    def __init__(self, child):
        super().__init__()
        self.child = child


UNSUPPORTED = {
    "lstm": (lambda: WithChild(nn.LSTM(3, 4)), "child is an nn.LSTM"),
    "transposed convolution": (lambda: WithChild(nn.ConvTranspose1d(3, 4, 5)), "child is an nn.ConvTranspose1d"),
    "mish": (lambda: WithChild(nn.Mish()), "child is an nn.Mish"),
    "a steeper softplus": (lambda: WithChild(nn.Softplus(beta=2)), "child is an nn.Softplus with beta=2"),
    "another floor": (lambda: WithChild(nn.Threshold(0.5, 0.5)), "value=0.5; expected 0"),
    "own parameter": (WithParameter, "parameter 'h0'"),
    "batch statistics": (lambda: WithChild(nn.BatchNorm1d(3, track_running_stats=False)), "no running statistics"),
    "layer norm over two": (lambda: WithChild(nn.LayerNorm((3, 4))), "one dimension"),
    "max_norm": (lambda: WithChild(nn.Embedding(3, 4, max_norm=1.0)), "max_norm"),
    "no module": (lambda: {"a": 1}, r"expected a torch\.nn\.Module, got dict"),
}


@pytest.mark.parametrize("what", UNSUPPORTED)
def test_what_has_no_layer_is_refused_by_name(what):
    make, message = UNSUPPORTED[what]
    with pytest.raises(streamgru.UnsupportedError, match=message):
        streamgru.from_torch(make())


def test_a_module_without_a_gru():
    with pytest.raises(streamgru.SpecError, match="expected a module with an nn\\.GRU"):
        streamgru.from_torch(nn.Linear(3, 4))


class TwoInputs(Tagger):
    def forward(self, x, context):
        raise RuntimeError("context is needed")


def test_a_module_that_cannot_be_called():
    with pytest.raises(streamgru.SpecError, match=r"no way was found to call the module: .*context"):
        streamgru.from_torch(TwoInputs())


class Messy(Tagger):
    """Remembers what it saw, counts, draws random numbers."""

    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(()))
        self.seen = None

    def forward(self, x):
        self.count += 1
        self.seen = x
        torch.rand(3)
        return super().forward(x)


@pytest.mark.parametrize("training", [True, False])
def test_the_module_and_torch_stay_as_they_were(training):
    module = Messy().train(training)
    module.drop.train(not training)
    modes = [part.training for part in module.modules()]
    tensors = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    generator, threads, gradients = torch.get_rng_state(), torch.get_num_threads(), torch.is_grad_enabled()
    numpy_state = np.random.get_state()[1].copy()
    streamgru.from_torch(module)
    assert [part.training for part in module.modules()] == modes
    assert module.seen is None
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in module.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator)
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == (threads, gradients)
    assert (np.random.get_state()[1] == numpy_state).all()
    assert all(parameter.requires_grad for parameter in module.parameters())


def test_training_on_does_not_reach_the_model():
    module = Tagger()
    model = streamgru.from_torch(module)
    before = model.stream().run(np.ones((5, 3)))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1)
    np.testing.assert_array_equal(before, model.stream().run(np.ones((5, 3))))


def test_a_file_of_the_state_dict_is_the_same_network(tmp_path):
    from safetensors.torch import save_file

    module = Tagger()
    save_file(module.state_dict(), tmp_path / "m.safetensors")
    model, loaded = streamgru.from_torch(module), streamgru.load(tmp_path / "m.safetensors")
    assert loaded.spec == model.spec
    assert loaded.fingerprint == model.fingerprint


@pytest.mark.parametrize("whole, legacy", [(True, False), (True, True), (False, True)])
def test_a_checkpoint_that_may_hold_code_is_not_opened_but_explained(tmp_path, legacy, whole):
    module = Tagger()
    content = module if whole else module.state_dict()
    torch.save(content, tmp_path / "m.pt", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(streamgru.UnsupportedError, match=r"checkpoint.*from_torch"):
        streamgru.load(tmp_path / "m.pt")


@pytest.mark.parametrize("n_layers", [1, 2])
def test_both_directions_are_checked_as_well(n_layers):
    torch.manual_seed(3)
    module = nn.GRU(3, 4, n_layers, bidirectional=True, batch_first=True)
    model = streamgru.from_torch(module)
    x = torch.randn(2, 9, 3)
    np.testing.assert_allclose(model.run(x.numpy()), module(x)[0].detach().numpy(), atol=1e-6)


def test_loading_does_not_import_torch(tmp_path):
    """It takes seconds, and hundreds of megabytes."""
    path = tmp_path / "m.safetensors"
    path.write_bytes(pytest.importorskip("safetensors.torch").save(Tagger().state_dict()))
    code = "import sys, streamgru; streamgru.load(sys.argv[1]); streamgru.from_torch; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, path], timeout=60).returncode == 0
