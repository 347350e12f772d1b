"""Which word is being said, frame by frame: python -m examples.spoken_commands."""

from pathlib import Path

import numpy as np

import streamgru
from examples.originals import original

FRAME_MS = 40
BAR = 30  # characters of certainty


def main():
    folder = original("arm_kws_gru")
    model = streamgru.load(folder / "weights.npz", map=Path(__file__).with_name("arm_kws.toml"))
    with np.load(folder / "io.npz") as io:
        names, recordings, expected = io["names"], io["mfcc"], io["expected_softmax_tf"]
    worst = 0.0
    for name, frames, answer in zip(names, recordings, expected, strict=True):
        print(f"\n{name}: {len(frames)} frames of {FRAME_MS} ms")
        stream, before = model.stream(), -1
        for i, frame in enumerate(frames):
            y = stream.step(frame)
            guess = int(y.argmax())
            if guess != before or i == len(frames) - 1:  # a line for every change of mind, and for the last word
                bar = "█" * round(BAR * y[guess])
                print(f"  {(i + 1) * FRAME_MS:4} ms  {model.labels[guess]:10} {bar} {y[guess]:.2f}")
            before = guess
        worst = max(worst, float(np.abs(y - answer).max()))
    print(f"\nlargest difference from TensorFlow: {worst:.1e}")


main()
