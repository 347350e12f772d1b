"""One timestep of one GRU layer from Python: streamgru beside NumPy and, if it is installed, PyTorch.

    python benchmarks/step.py [--sizes 6:32,6:128,64:512] [--rounds 15]

Every round times each contender once, one after the other, so that what the machine does meanwhile
hits all of them; what is printed is the median over the rounds, and as a factor the median of the
ratios of the pairs within the rounds. All run on one thread, on the same weights, and must agree before they are timed.
"""

import argparse
import contextlib
import importlib
import os
import platform
import statistics
import time
from pathlib import Path

import numpy as np
import threadpoolctl

import streamgru
from streamgru.model.spec import Gru, Input, sequential

ROUND_S = 0.02  # what each contender gets in a round


def main() -> None:
    """Time every size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="6:32,6:128,64:512", help="pairs n_in:n_hid")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    print(machine())
    print(f"x streamgru: median of the ratios of interleaved pairs, {arguments.rounds} rounds")
    print(f"{'n_in -> n_hid':>14}  {'contender':18} {'us per step':>11} {'x streamgru':>11}")
    for pair in arguments.sizes.split(","):
        n_in, n_hid = map(int, pair.split(":"))
        X = np.random.default_rng(1).standard_normal((100, n_in)).astype(np.float32)
        contenders = make(n_in, n_hid)
        check(contenders, X)
        with threadpoolctl.threadpool_limits(1):
            times = interleaved(contenders, X[0], arguments.rounds)
        ours = times["streamgru"]
        for name, ones in times.items():
            ratio = statistics.median(one / our for one, our in zip(ones, ours, strict=True))
            print(f"{f'{n_in} -> {n_hid}':>14}  {name:18} {1e6 * statistics.median(ones):11.2f} {ratio:11.2f}")


def machine() -> str:
    """What this was measured on."""
    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    versions = [f"Python {platform.python_version()}", f"streamgru {streamgru.__version__}"]
    for name in ("numpy", "scipy", "torch"):
        try:
            versions.append(f"{name} {importlib.import_module(name).__version__}")
        except ImportError:
            versions.append(f"{name}: not installed")
    return f"{cpu}, {os.cpu_count()} cores; {', '.join(versions)}; float32, one thread"


def make(n_in: int, n_hid: int) -> dict:
    """One function per contender: it takes x (n_in,), advances its own state, and returns h (n_hid,)."""
    rng = np.random.default_rng(0)
    rows = 3 * n_hid
    shapes = {"weight_ih": (rows, n_in), "weight_hh": (rows, n_hid), "bias_ih": rows, "bias_hh": rows}
    weights = {name: rng.uniform(-1, 1, shape).astype(np.float32) * n_hid**-0.5 for name, shape in shapes.items()}
    return {
        "streamgru": ours(weights, n_in, n_hid),
        "numpy": with_numpy(weights, n_hid),
    } | with_torch(weights, n_in, n_hid)


def ours(weights: dict, n_in: int, n_hid: int):
    spec = sequential(Gru(name="gru", n_hid=n_hid), inputs=(Input(name="x", size=n_in),))
    stream = streamgru.Model(spec, {f"gru.{name}": array for name, array in weights.items()}).stream()
    y = np.empty(n_hid, np.float32)
    return lambda x: stream.step(x, out=y)


def with_numpy(weights: dict, n_hid: int):
    """What one writes without a library, with nothing computed twice."""
    w, u, b, c = (weights[name] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    h = np.zeros(n_hid, np.float32)
    k = 2 * n_hid

    def step(x):
        nonlocal h
        a = w @ x + b
        v = u @ h + c
        gates = 1 / (1 + np.exp(-(a[:k] + v[:k])))
        n = np.tanh(a[k:] + gates[:n_hid] * v[k:])
        z = gates[n_hid:]
        h = (1 - z) * n + z * h
        return h

    return step


def with_torch(weights: dict, n_in: int, n_hid: int) -> dict:
    """An nn.GRUCell in inference mode, if there is a torch."""
    try:
        import torch
    except ImportError:
        return {}
    torch.set_num_threads(1)
    cell = torch.nn.GRUCell(n_in, n_hid)
    cell.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    h = torch.zeros(1, n_hid)

    def step(x):
        nonlocal h
        with torch.inference_mode():
            h = cell(torch.from_numpy(x)[None], h)
        return h[0].numpy()

    return {"torch GRUCell": step}


def check(contenders: dict, X: np.ndarray) -> None:
    """Hold all contenders against each other over a hundred steps."""
    for x in X:
        answers = {name: np.array(step(x)) for name, step in contenders.items()}
        for name, answer in answers.items():
            np.testing.assert_allclose(answer, answers["streamgru"], atol=1e-5, err_msg=name)


def interleaved(contenders: dict, x: np.ndarray, rounds: int) -> dict[str, list[float]]:
    """Seconds per step of each contender in each round."""
    repeats = {name: max(1, round(ROUND_S / seconds(step, x, 50))) for name, step in contenders.items()}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, step in contenders.items():
            times[name].append(seconds(step, x, repeats[name]))
    return times


def seconds(step, x: np.ndarray, repeats: int) -> float:
    """Seconds per call."""
    started = time.perf_counter()
    for _ in range(repeats):
        step(x)
    return (time.perf_counter() - started) / repeats


if __name__ == "__main__":
    main()
