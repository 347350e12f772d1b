"""The benchmark: what it makes of times, that it holds answers against the equations, and that it runs at all."""

import json

import numpy as np
import pytest

from benchmarks import machine, many, single
from benchmarks.contenders import ours
from benchmarks.contenders.base import Calls
from benchmarks.figures import Figure, figures
from benchmarks.measure import Effort, Middle, check, middle, ratio, tails
from benchmarks.network import inputs, network
from benchmarks.process import Pipe, idle_stream
from benchmarks.results import Results, plain
from benchmarks.table import report, table

SHORT = Effort(rounds=3, round_s=0.0002, n_each=20)


def test_the_interval_holds_the_median_in_95_of_100_cases(rng):
    """Of a distribution with a long tail, whose median is 1."""
    samples = np.exp(rng.standard_normal((2000, 25)))
    held = np.mean([found.low <= 1 <= found.high for found in map(middle, samples)])
    assert 0.94 < held < 0.99


def test_a_ratio_is_of_pairs():
    """What slows a whole round down leaves it as it is."""
    slowed = np.array([1.0, 50.0, 1.0, 9.0, 2.0])
    assert ratio({"a": 3 * slowed, "b": 2 * slowed}, "a", "b") == Middle(1.5, 1.5, 1.5)


def test_tails():
    assert tails(np.arange(1, 1002)) == pytest.approx({"p50": 501, "p99": 991, "p99.9": 1000, "max": 1001})


@pytest.mark.parametrize(
    "limit, at_least, measured, verdict",
    [(2, True, 2, "met"), (2, True, 1, "missed by 50%"), (2, False, 2, "met"), (2, False, 3, "missed by 50%")],
)
def test_verdicts(limit, at_least, measured, verdict):
    assert Figure("", "", limit, at_least, Middle(measured, measured, measured)).verdict == verdict


def test_a_wrong_answer_is_caught():
    net, x, X = network(4, 16), np.zeros(4, np.float32), inputs(4)
    right = ours.from_c("right", net.model(), x)
    check([right], x, X, net.answers(X))
    wrong = ours.from_c("wrong", network(4, 16, variant="before").model(), x)
    with pytest.raises(AssertionError, match="wrong, step 0"):
        check([wrong], x, X, net.answers(X))


def test_what_gives_no_answer_is_not_asked():
    check([Calls("loop", lambda n: None)], np.zeros(1), np.zeros((1, 1)), np.zeros((1, 1)))


def test_columns_of_a_table_are_aligned():
    assert table(["a", "b"], [["long", "1"], ["x", "22"]]) == [
        "| a    |  b |", "| ---- | -: |", "| long |  1 |", "| x    | 22 |",
    ]  # fmt: skip


@pytest.fixture
def _any_core():
    """Back on all cores, for the tests that come."""
    yield
    machine.pin(machine.all_cores())


@pytest.mark.usefixtures("_any_core")
def test_a_short_run():
    """Of whatever runtimes are installed: every door of ours takes part and agrees with the equations."""
    steps, batch = single.measure(8, 32, SHORT), many.measure(8, 32, 96, SHORT)
    assert {"streamgru, C", "streamgru, Cython", "streamgru, bound", "streamgru, Python", "streamgru int8, C",
            "streamgru float16, C", "streamgru blas, C", "numpy", single.READ, single.BEFORE, single.STACK,
            single.PARTS} <= set(steps.times)  # fmt: skip
    assert all((times > 0).all() for times in steps.times.values())
    started = dict.fromkeys(("streamgru --help over python", "import streamgru over import numpy"), middle([0.01]))
    told = machine.described() | {"measured": "today"}
    results = Results(
        told, {"torch": "it is elsewhere"}, [steps], [batch], idle_stream(), started, Pipe(middle([1.0]), None, None)
    )
    text = report(results)
    assert "Left out: torch, since it is elsewhere." in text
    assert all(figure.what in text for figure in figures(results))
    assert json.loads(json.dumps(plain(results)))["steps"][0]["contenders"].keys() == steps.times.keys()
