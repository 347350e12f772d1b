"""The benchmark: what it makes of times, that it holds answers against the equations, and that it runs at all."""

import contextlib
import json

import numpy as np
import pytest

from benchmarks import machine, many, single
from benchmarks.contenders import ours
from benchmarks.contenders.base import Calls, FromPython
from benchmarks.contenders.peak import PEAK
from benchmarks.figures import Figure, figures
from benchmarks.measure import Effort, Middle, check, middle, ratio, tails
from benchmarks.network import inputs, network
from benchmarks.process import Pipe, idle_stream
from benchmarks.results import Results, plain, warnings
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
    "at_least, low, median, high, verdict",
    [
        (True, 2, 2.5, 3, "met"),
        (True, 1.9, 2.5, 3, "undecided"),
        (True, 1, 1.5, 2, "undecided"),
        (True, 0.5, 1, 1.9, "missed by 50%"),
        (False, 1, 1.5, 2, "met"),
        (False, 1, 1.5, 2.1, "undecided"),
        (False, 2, 2.5, 3, "undecided"),
        (False, 2.1, 3, 4, "missed by 50%"),
    ],
)
def test_a_verdict_is_that_of_the_whole_interval(at_least, low, median, high, verdict):
    assert Figure("", "", 2, at_least, Middle(median, low, high)).verdict == verdict


def test_statements_keep_their_names_from_loop_to_loop_within_a_context():
    entered = []

    @contextlib.contextmanager
    def within():
        entered.append(True)
        yield

    contender = FromPython("", "h = h + 1", lambda names: names["h"], within=within, h=0)
    contender.take(3)
    contender.take(2)
    contender.each_ns(4)
    assert (contender.answer(), len(entered)) == (9, 3)


def test_the_digest_of_a_folder_changes_with_any_of_its_files(tmp_path):
    (tmp_path / "a.h").write_text("1")
    (tmp_path / "b.h").write_text("2")
    before = machine.digest(tmp_path)
    assert machine.digest(tmp_path) == before
    (tmp_path / "b.h").write_text("3")
    assert machine.digest(tmp_path) != before


def test_an_idle_stream_has_all_that_the_pool_keeps_for_it():
    idle = idle_stream()
    assert idle.state_bytes < idle.bytes < 4 * idle.state_bytes
    assert idle.lanes_bytes > 0


@pytest.mark.parametrize(
    "load, load_at_end, peak, warned",
    [
        (0.9, 1.9, [1.0, 1.04], []),
        (1.1, 1.9, [1.0, 1.04], ["the load was 1.1 on 2 cores when it began"]),
        (0.9, 2.1, [1.0, 1.04], ["the load was 2.1 on 2 cores when it ended, of which 1 is the benchmark's own"]),
        (0.9, 1.9, [1.0, 1.2], ["the peak loop varied by 15% between rounds, from the 10th percentile to the 90th"]),
    ],
)
def test_a_disturbed_run_says_so(load, load_at_end, peak, warned):
    told = {"cores": 2, "load": [load, 9, 9], "load_at_end": [load_at_end, 9, 9]}
    batch = many.Batch(8, 32, 96, {PEAK: np.array(peak)})
    assert warnings(Results(told, {}, [], [batch], None, {}, None)) == warned


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
    told = machine.described() | {"measured": "today", "load_at_end": [5.0, 0.0, 0.0], "cores": 2}
    results = Results(
        told, {"torch": "it is elsewhere"}, [steps], [batch], idle_stream(), started, Pipe(middle([1.0]), None, None)
    )
    text = report(results)
    assert text.startswith("**Not to be published: ")
    assert "Left out: torch, since it is elsewhere." in text
    assert all(figure.what in text for figure in figures(results))
    assert json.loads(json.dumps(plain(results)))["steps"][0]["contenders"].keys() == steps.times.keys()
