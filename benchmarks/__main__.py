"""``python -m benchmarks``: measure everything in one run; tables to stdout, numbers to benchmarks/results."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import threadpoolctl

from benchmarks import machine, many, process, single
from benchmarks.measure import FULL, QUICK, Effort
from benchmarks.native import HERE
from benchmarks.results import Results, plain, warnings
from benchmarks.table import report

QUICK_SIZES, QUICK_BATCHES = ((8, 32), (32, 128)), (1, 96)
OUTSIDE = Effort(rounds=25, round_s=0, n_each=0)  # processes: a round is one of each


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two sizes and short rounds: does it run at all?")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="write bench-*.png and bench-tables.txt into DIR")
    arguments = parser.parse_args()
    results = measured(arguments.quick)
    text = report(results)
    print(text)
    for warning in warnings(results):
        say(f"not to be published: {warning}")
    target = HERE / "results" / f"bench-{time.strftime('%Y%m%d-%H%M%S')}.json"
    target.write_text(json.dumps(plain(results), indent=1) + "\n")
    say(f"wrote {target}")
    if arguments.plots is not None:
        from benchmarks.plots import draw

        arguments.plots.mkdir(parents=True, exist_ok=True)
        draw(results, arguments.plots)
        (arguments.plots / "bench-tables.txt").write_text(text + "\n")
        say(f"drew into {arguments.plots}")


def measured(quick: bool) -> Results:
    """The whole run, on one core but where two are what is measured."""
    began, effort = time.perf_counter(), QUICK if quick else FULL
    sizes, batches = (QUICK_SIZES, QUICK_BATCHES) if quick else (single.SIZES, many.BATCHES)
    told = machine.described() | {"measured": time.strftime("%Y-%m-%d"), "quick": quick}
    machine.pin(machine.all_cores()[-1:])
    with threadpoolctl.threadpool_limits(1):
        absent = single.absent()
        for name, reason in absent.items():
            say(f"{name} is left out: {reason}")
        steps = []
        for n_in, n_hid in sizes:
            say(f"one stream, {n_in} -> {n_hid}")
            steps.append(single.measure(n_in, n_hid, effort))
        ticks = []
        for n_in, n_hid in sizes:
            for n_streams in batches:
                say(f"{n_streams} streams, {n_in} -> {n_hid}")
                ticks.append(many.measure(n_in, n_hid, n_streams, effort))
    machine.pin(machine.all_cores())
    say("processes")
    outside = QUICK if quick else OUTSIDE
    pipe = process.pipe(outside, 4000 if quick else 20_000)
    starts, idle = process.starts(outside), process.idle_stream()
    told |= {"load_at_end": machine.load(), "minutes": round((time.perf_counter() - began) / 60, 1)}
    return Results(told, absent, steps, ticks, idle, starts, pipe)


def say(text: str) -> None:
    """Tell on stderr how far it is."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
