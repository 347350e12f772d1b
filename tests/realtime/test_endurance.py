"""The program of `make endurance`, for a short life; and that it would tell."""

import sys

import pytest

from tests.realtime import endurance

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs the tools of Linux")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return endurance.endure(100_000, tmp_path_factory.mktemp("endurance"))


def test_a_short_life_is_good(report):
    assert list(endurance.failures(report)) == []
    assert [decade.stop for decade in report.decades] == [1000, 10_000, 100_000]
    assert all(0 < decade.rms <= decade.largest for decade in report.decades)  # float32 is not double


def test_another_life_has_another_hash(report, tmp_path):
    assert endurance.endure(99_999, tmp_path).hashes[0] != report.hashes[0]


def test_what_is_wrong_is_told():
    good, worse = endurance.Decade(1000, 1e-7, 3e-8), endurance.Decade(10_000, 2e-6, 9e-8)
    assert list(endurance.failures(endurance.Report([1, 1], 0, [good]))) == []
    assert len(list(endurance.failures(endurance.Report([1, 2], 3, [good, worse])))) == 4
