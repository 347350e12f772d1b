"""One stream for a very long time: finite, the same twice, and no further from the equations at the end.

    python -m tests.realtime.endurance [--steps 100000000]

A hundred million steps are taken twice, from C; the first time beside the same GRU in double.
"""

import ctypes as c
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from streamgru.kernels.packed import isa
from streamgru.model.spec import Gru
from streamgru.stream import embed
from streamgru.stream.model import Model
from tests.compiling import compiled
from tests.networks import gru_tensors, spec_of
from tests.realtime.embedded import function, pointer_to

N_IN, N_HID = 2, 8
CHUNK = 200_000
MAX_ERROR = 1e-6  # of a float32 state of unit size
MAX_GROWTH = 1.1  # of the root mean square of the error, from one decade to a later one


class Life(c.Structure):
    """life of endurance.c."""

    _fields_ = [
        ("step", c.c_void_p), ("stream", c.c_void_p), ("n_hid", c.c_long),
        *((name, c.c_void_p) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")),
        ("h", c.c_double * 64), ("random", c.c_uint64), ("hash", c.c_uint64),
        ("largest", c.c_double), ("squares", c.c_double), ("n_bad", c.c_long),
    ]  # fmt: skip


@dataclass
class Decade:
    """The error of the steps up to *stop*, from where the decade before ends."""

    stop: int
    largest: float
    rms: float


@dataclass
class Report:
    """What a life of so many steps showed."""

    hashes: list[int]
    n_bad: int
    decades: list[Decade]


def decades(n_steps):
    """Where the report stops: 1000, 10,000 ... and at the end."""
    stops = [10**k for k in range(3, 19) if 10**k < n_steps]
    return [*stops, n_steps]


def endure(n_steps, folder, progress=lambda n: None):
    """Live twice; *progress* is told of the steps that were made."""
    library = c.CDLL(str(compiled(folder / "endurance.so", Path(__file__).with_name("endurance.c"), flags=["-O2"])))
    tensors = gru_tensors(np.random.default_rng(5), "gru", N_IN, N_HID)
    model = Model(spec_of(Gru(name="gru", n_hid=N_HID), n_in=N_IN), tensors, kernel="packed")
    doubles = {key.removeprefix("gru."): np.ascontiguousarray(value, np.float64) for key, value in tensors.items()}
    report = Report([], 0, [])
    for compare in (True, False):
        stream = model.stream()
        life = Life(step=function(embed, "sg_step"), stream=pointer_to(stream), n_hid=N_HID, random=1)
        for name, value in doubles.items():
            setattr(life, name, value.ctypes.data)
        done = 0
        for stop in decades(n_steps):
            begin, life.largest, life.squares = done, 0, 0
            while done < stop:
                n = min(CHUNK, stop - done)
                library.live(c.byref(life), c.c_long(n), compare)
                done += n
                progress(n)
            if compare:
                report.decades.append(Decade(stop, life.largest, (life.squares / (stop - begin)) ** 0.5))
        assert stream.n_steps == n_steps - life.n_bad
        report.hashes.append(life.hash)
        report.n_bad += life.n_bad
    return report


def failures(report):
    """What is wrong with a report, in words."""
    if report.n_bad:
        yield f"{report.n_bad} steps were refused or gave what is not finite"
    if len(set(report.hashes)) != 1:
        yield "the second life was another one"
    for decade in report.decades:
        if not decade.largest <= MAX_ERROR:
            yield f"an error of {decade.largest:.2e} up to step {decade.stop:,}; expected at most {MAX_ERROR:.0e}"
        if not decade.rms <= MAX_GROWTH * report.decades[0].rms:
            yield f"the error has grown from {report.decades[0].rms:.2e} to {decade.rms:.2e} at step {decade.stop:,}"


@click.command()
@click.option("--steps", default=100_000_000, show_default=True, type=click.IntRange(1000), help="Of each life.")
def main(steps):
    """Live twice and tell."""
    begin_s = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, click.progressbar(length=2 * steps, label="steps") as bar:
        report = endure(steps, Path(folder), bar.update)
    click.echo(f"{N_IN} -> {N_HID}, {isa}, twice {steps:,} steps in {time.perf_counter() - begin_s:.0f} s")
    click.echo(f"hashes of all outputs: {' and '.join(f'{value:016x}' for value in report.hashes)}")
    click.echo(f"{'up to step':>13} {'largest error':>14} {'rms error':>10}")
    for decade in report.decades:
        click.echo(f"{decade.stop:13,} {decade.largest:14.2e} {decade.rms:10.2e}")
    wrong = list(failures(report))
    for line in wrong:
        click.echo(f"wrong: {line}", err=True)
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
