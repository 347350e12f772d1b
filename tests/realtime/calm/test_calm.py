"""A packed step takes no memory and no lock, makes no system call, and leaves the floating-point control alone."""

import pytest

from streamgru.kernels.packed import isas
from streamgru.stream.model import FAST
from tests.realtime.calm.counting import N_STEPS, WHY_NOT, Counting, table

pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))

CALM = {"allocations": {}, "locks": {}, "system_calls": 0, "control": 0, "control_within": 0, "refused": 0}
N_PLANTED = 1000
FREED = {"free": N_PLANTED}
# What each plant does in every step, as it must be counted; system calls of an allocator are its own affair.
PLANTED = {
    **{
        name: {"allocations": {name: N_PLANTED} | FREED}
        for name in ("malloc", "calloc", "realloc", "aligned_alloc", "memalign", "posix_memalign")
    },
    "nothing": {},
    "mmap": {"allocations": {"mmap": N_PLANTED, "munmap": N_PLANTED}, "system_calls": 2 * N_PLANTED},
    "mremap": {"allocations": {"mremap": N_PLANTED}, "system_calls": N_PLANTED},
    "madvise": {"allocations": {"madvise": N_PLANTED}, "system_calls": N_PLANTED},
    "sbrk": {"allocations": {"sbrk": N_PLANTED}},
    **{
        name: {"locks": {f"pthread_{name}": N_PLANTED}}
        for name in (
            "mutex_lock", "mutex_trylock", "mutex_timedlock", "rwlock_rdlock", "rwlock_tryrdlock", "rwlock_wrlock",
            "rwlock_trywrlock", "spin_lock", "spin_trylock", "barrier_wait", "once",
        )
    },
    "cond_timedwait": {"locks": {"pthread_mutex_lock": N_PLANTED, "pthread_cond_timedwait": N_PLANTED}},
    **{name: {"locks": {name: N_PLANTED}} for name in ("sem_wait", "sem_trywait", "sem_timedwait")},
    "system_call": {"system_calls": N_PLANTED},
    "rounding": {"control": N_PLANTED},
    "flush_to_zero": {"control": N_PLANTED},
    "rounding_and_back": {},
}  # fmt: skip


@pytest.fixture(scope="module")
def counting(tmp_path_factory):
    return Counting(tmp_path_factory.mktemp("calm"))


@pytest.mark.parametrize("isa", [isa if isa in FAST else pytest.param(isa, marks=pytest.mark.slow) for isa in isas()])
def test_a_step_is_calm(isa, counting):
    reports = counting.run("networks", isa)
    print(*table(reports), sep="\n")
    assert {name: {kind: report[kind] for kind in CALM} for name, report in reports.items()} == dict.fromkeys(
        reports, CALM
    )
    assert max(report["n_steps"] for report in reports.values()) == (N_STEPS if isa in FAST else N_STEPS // 50)
    for name, report in reports.items():
        assert report["taken"] == report["n_steps"] + report["n_watched"], name
        assert report["instructions"] >= 100 * report["n_watched"], name
    assert any(report["n_watched"] for report in reports.values())


@pytest.fixture(scope="module")
def planted(counting):
    return counting.run("plants", isas()[0], N_PLANTED)


def test_there_is_a_plant_for_everything(planted):
    assert sorted(planted) == sorted(PLANTED)


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_counted(name, planted):
    report = planted[name]
    expected = {"allocations": {}, "locks": {}, "control": 0} | PLANTED[name]
    assert {kind: report[kind] for kind in expected} == expected
    assert report["taken"] == N_PLANTED + report["n_watched"]


@pytest.mark.parametrize("name", ["rounding", "flush_to_zero", "rounding_and_back"])
def test_a_change_within_a_step_is_seen(name, planted):
    """Also one that is taken back before the step ends: each instruction is followed by a look."""
    report = planted[name]
    least = 2 * report["n_watched"] if name == "rounding_and_back" else 1
    assert report["control_within"] >= least > 0
    assert planted["nothing"]["control_within"] == 0
