"""A model for the tests of the command line."""

import pytest

from tests import support


@pytest.fixture(scope="session")
def file(tmp_path_factory):
    """A native file."""
    return tmp_path_factory.mktemp("model") / "m.safetensors"


@pytest.fixture(scope="session")
def model(file):
    """What is in it."""
    return support.write_model(file)


@pytest.fixture(scope="session")
def labelled_file(tmp_path_factory):
    """A native file with one output that has labels."""
    path = tmp_path_factory.mktemp("model") / "labelled.safetensors"
    support.write_model(path, support.labelled())
    return path


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    """Nothing of the tester's own settings."""
    for name in ("EMIT", "FROM", "TO", "CODEC", "TO_CODEC", "ON_ERROR", "CONFIG", "DTYPE", "KERNEL", "MAX_STREAMS"):
        monkeypatch.delenv(f"STREAMGRU_{name}", raising=False)
