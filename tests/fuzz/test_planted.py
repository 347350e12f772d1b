"""The fuzzer finds a bug that is there, and says so; `make fuzz` looks for those that should not be."""

import pytest

pytest.importorskip("atheris", reason="needs atheris")
pytest.importorskip("h5py", reason="needs h5py")

from tests.fuzz import __main__ as fuzzing


def test_the_planted_bug_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzzing, "FOUND", tmp_path)
    for _ in range(2):  # and again, when its input is there already
        runs, edges, found, reason = fuzzing.fuzz("planted", 100)
        assert runs > 100 and edges > 5
        assert len(found) == 1 and "the planted bug" in reason
