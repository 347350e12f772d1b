"""The rule about skips, held against small test files of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")
SKIPS = """
import pytest

def test_allowed():
    pytest.skip("fixtures are absent")

def test_refused():
    pytest.skip("no time")

@pytest.mark.skip(reason="no time")
def test_refused_before_it_begins():
    pass

@pytest.mark.xfail(reason="known", strict=True)
def test_xfail():
    assert False
"""


@pytest.fixture
def outcomes(tmp_path):
    """Run a test file under our conftest; the counts of outcomes."""
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "allowed_skips.txt").write_text(CONFTEST.with_name("allowed_skips.txt").read_text())

    def run(source, ci):
        (tmp_path / "test_it.py").write_text(source)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=", str(tmp_path)]
        environment = {**os.environ, "CI": ci}
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
        return done.stdout.splitlines()[-1]

    return run


def test_a_skip_is_a_failure_in_ci(outcomes):
    assert "1 failed, 1 skipped, 1 xfailed, 1 error" in outcomes(SKIPS, "true")


def test_a_skip_is_a_skip_elsewhere(outcomes):
    assert "3 skipped, 1 xfailed" in outcomes(SKIPS, "")


def test_a_skipped_module_is_a_failure_in_ci(outcomes):
    source = 'import pytest\npytest.skip("no time", allow_module_level=True)\n'
    assert "1 error" in outcomes(source, "true")
    assert "1 skipped" in outcomes(source, "")
