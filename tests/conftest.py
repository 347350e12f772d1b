"""What all tests share: a seeded generator, and skips that cannot go unnoticed."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "repeatable", derandomize=True, deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")


def allowed_skips():
    """The reasons for which a test may be skipped in CI."""
    lines = Path(__file__).with_name("allowed_skips.txt").read_text().splitlines()
    return tuple(reason for line in lines if (reason := line.partition("#")[0].strip()))


def refused_skip(report):
    """The reason of a skip that CI does not allow; None for anything else."""
    if not report.skipped or hasattr(report, "wasxfail") or os.environ.get("CI") != "true":
        return None
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ").removeprefix("Skipped: ")
    return None if reason.startswith(allowed_skips()) else reason


def _fail_refused_skip(report):
    reason = refused_skip(report)
    if reason is not None:
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, and the reason is not in tests/allowed_skips.txt: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A skipped test is a failure in CI."""
    return _fail_refused_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """So is a skipped module."""
    return _fail_refused_skip((yield))


@pytest.fixture
def rng():
    """The same numbers in every run."""
    return np.random.default_rng(20261123)


@pytest.fixture(scope="session")
def sdist(tmp_path_factory):
    """The sdist of this checkout."""
    from tests.environments import build_sdist  # not for those who copy this file alone, as test_conftest.py does

    return build_sdist(tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def wheel(sdist, tmp_path_factory):
    """The wheel, built once for all who install it."""
    from tests.environments import build_wheel

    return build_wheel(sdist, tmp_path_factory.mktemp("wheel"))
