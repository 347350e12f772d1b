"""Gait phase ahead of time, from a sensor at the hip: python -m examples.gait_phase [--plot FILE]."""

import argparse

import numpy as np

from examples.originals import loaded, original, seconds

WINDOW = 200  # steps that the makers' own deployment computes again for every answer
RATE_HZ = 100
AHEAD = 20  # steps: an answer is meant for so much later


def phase(y):
    """The angle of each (sin, cos), in radians."""
    return np.arctan2(y[..., 0], y[..., 1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", metavar="FILE", help="draw the phase of some steps")
    arguments = parser.parse_args()
    folder = original("gait_phase")
    model = loaded(folder / "gru_model.keras")
    with np.load(folder / "io.npz") as io:
        x, target = io["x_scaled"].astype(np.float32), io["target_sin_cos"]
        ends, windowed = io["window_end_index"], io["expected_window_y_keras"]

    stream = model.stream()
    y = np.array([stream.step(row) for row in x])
    print(f"{len(x)} steps of {len(x) / RATE_HZ:.0f} s, one at a time, the state carried")
    print(f"largest difference from the makers' windows of {WINDOW}: {np.abs(y[ends] - windowed).max():.1e}")
    error = np.abs(np.angle(np.exp(1j * (phase(y[:-AHEAD]) - phase(target[AHEAD:])))))
    print(f"mean error of the phase, {AHEAD / RATE_HZ} s ahead: {error.mean():.2f} rad")
    answer = np.empty(model.n_out, np.float32)
    step, window = seconds(lambda: stream.step(x[0], out=answer)), seconds(lambda: model.stream().run(x[:WINDOW]))
    print(f"a step {step * 1e6:.2f} µs, {WINDOW} of them {window * 1e6:.1f} µs: {window / step:.0f} times as long")
    if arguments.plot:
        draw(arguments.plot, y, target)


def draw(path, y, target):
    from matplotlib import pyplot as plt

    part = slice(2000, 2600)
    t = np.arange(part.start, part.stop) / RATE_HZ
    figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
    axes.plot(t, phase(target[part]), ".", ms=3, color="0.6", label="what the leg did")
    axes.plot(t + AHEAD / RATE_HZ, phase(y[part]), ".", ms=2, color="C0", label="predicted 0.2 s before")
    axes.set(xlabel="time (s)", ylabel="gait phase (rad)")
    axes.legend(loc="upper right")
    figure.savefig(path, dpi=100)


main()
