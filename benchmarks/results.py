"""Everything that one run has found, and the same as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.contenders import peak
from benchmarks.contenders.peak import PEAK
from benchmarks.many import Batch
from benchmarks.measure import Middle, middle, ratio
from benchmarks.process import Idle, Pipe
from benchmarks.single import READ, Steps

PYTHON = "streamgru, Python"
MOST_LOAD = 0.5  # a core, of others
MOST_SPREAD = 0.05  # of the peak loop, of its median


@dataclass
class Results:
    """What was measured."""

    machine: dict[str, object]
    absent: dict[str, str]
    steps: list[Steps]
    batches: list[Batch]
    idle: Idle
    starts: dict[str, Middle]
    pipe: Pipe

    def steps_of(self, n_hid: int) -> Steps | None:
        """The steps of one size, if it took part."""
        return next((steps for steps in self.steps if steps.n_hid == n_hid), None)

    def peak_gflops(self) -> Middle:
        """Multiplications and additions of a core, in 1e9 per second."""
        return middle(peak.operations() / 1e9 / t for batch in self.batches for t in batch.times[PEAK])


def read_gb_s(steps: Steps) -> Middle:
    """How fast the weights of a size are read."""
    return middle(steps.weight_bytes / 1e9 / steps.times[READ])


def warnings(results: Results) -> list[str]:
    """Why this run must not be published."""
    found = []
    cores = int(str(results.machine["cores"]))
    for when, key, ours in (("began", "load", 0), ("ended", "load_at_end", 1)):
        load = results.machine[key]
        assert isinstance(load, list)
        if (load[0] - ours) / cores > MOST_LOAD:
            less = ", of which 1 is the benchmark's own" if ours else ""
            found.append(f"the load was {load[0]} on {cores} cores when it {when}{less}")
    low, median, high = np.percentile([t for batch in results.batches for t in batch.times[PEAK]], (10, 50, 90))
    if high - low > MOST_SPREAD * median:
        found.append(f"the peak loop varied by {(high - low) / median:.0%} between rounds, from the 10th percentile "
                     f"to the 90th")  # fmt: skip
    return found


def plain(results: Results) -> dict[str, object]:
    """For JSON."""
    return {
        "warnings": warnings(results),
        "machine": results.machine,
        "left_out": results.absent,
        "steps": [_steps(steps) for steps in results.steps],
        "batches": [_batch(batch) for batch in results.batches],
        "peak_gflops": asdict(results.peak_gflops()),
        "idle_stream": asdict(results.idle),
        "starts_s": {name: asdict(found) for name, found in results.starts.items()},
        "ndjson_records_per_s": asdict(results.pipe),
    }


def _steps(steps: Steps) -> dict[str, object]:
    return {
        "n_in": steps.n_in,
        "n_hid": steps.n_hid,
        "weight_bytes": steps.weight_bytes,
        "read_gb_s": asdict(read_gb_s(steps)),
        "rounds": len(steps.times[READ]),
        "contenders": {
            name: {
                "us": asdict(middle(1e6 * times)),
                "over_read_once": asdict(ratio(steps.times, name, READ)),
                "over_ours_from_python": asdict(ratio(steps.times, name, PYTHON)),
            }
            for name, times in steps.times.items()
        },
        "single_steps_ns": steps.tails,
    }


def _batch(batch: Batch) -> dict[str, object]:
    two_threads, two_loops = batch.two_threads(), batch.two_loops()
    return {
        "n_in": batch.n_in,
        "n_hid": batch.n_hid,
        "n_streams": batch.n_streams,
        "contenders": {
            name: {"us": asdict(middle(1e6 * times)), "of_peak": asdict(batch.of_peak(name))}
            for name, times in batch.times.items()
        },
        "two_threads": two_threads and asdict(two_threads),
        "two_peak_loops": two_loops and asdict(two_loops),
    }
