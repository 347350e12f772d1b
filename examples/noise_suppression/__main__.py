"""What to let through of a noisy voice: python -m examples.noise_suppression [--plot FILE]."""

import argparse
from pathlib import Path

import numpy as np

import streamgru
from examples.originals import original, seconds

FRAMES_PER_S = 100


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", metavar="FILE", help="draw the gains over time")
    arguments = parser.parse_args()
    folder = original("rnnoise_v01")
    model = streamgru.load(folder / "weights_int8.npz", map=Path(__file__).with_name("rnnoise.toml"))
    with np.load(folder / "io.npz") as io:
        features, gains, voice = io["features"], io["expected_gains_c"], io["expected_vad_c"]

    stream = model.stream()
    y = np.array([stream.step(frame) for frame in features])
    print(f"{len(y)} frames: 42 features in, 22 gains and the probability of a voice out")
    print(f"largest difference from RNNoise's own C code: gains {np.abs(y[:, :22] - gains).max():.1e}, "
          f"voice {np.abs(y[:, 22] - voice).max():.1e} (its tanh is a table)")  # fmt: skip
    answer = np.empty(model.n_out, np.float32)
    step = seconds(lambda: stream.step(features[0], out=answer))
    print(f"a frame {step * 1e6:.1f} µs: {1 / (step * FRAMES_PER_S):,.0f} voices at once on one core")
    if arguments.plot:
        draw(arguments.plot, y)


def draw(path, y):
    from matplotlib import pyplot as plt

    t = (0, len(y) / FRAMES_PER_S)
    figure, (above, below) = plt.subplots(2, 1, figsize=(8, 4), sharex=True, layout="constrained", height_ratios=(3, 1))
    image = above.imshow(y[:, :22].T, aspect="auto", origin="lower", extent=(*t, 0, 22), vmin=0, vmax=1, cmap="magma")
    figure.colorbar(image, ax=above, label="gain")
    above.set_ylabel("band")
    below.plot(np.linspace(*t, len(y)), y[:, 22])
    below.set(xlabel="time (s)", ylabel="voice", ylim=(-0.05, 1.05))
    figure.savefig(path, dpi=100)


main()
