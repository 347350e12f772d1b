"""A letter guessed while it is written: python -m examples.handwritten_letters [--plot FILE]."""

import argparse
import string

import numpy as np

from examples.originals import loaded, original

LETTERS = string.ascii_lowercase


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", metavar="FILE", help="draw the letters, with what was guessed along the way")
    arguments = parser.parse_args()
    folder = original("handwriting_gru")
    model = loaded(next(folder.glob("*.h5")))
    with np.load(folder / "io.npz") as io:
        strokes, expected = io["x"].astype(np.float32), io["expected_softmax_keras"]
        truth = [letter if isinstance(letter, str) else LETTERS[letter] for letter in io["labels"].tolist()]

    guesses, worst = [], 0.0
    for points, answer in zip(strokes, expected, strict=True):
        stream = model.stream()
        y = np.array([stream.step(point) for point in points])
        guesses.append([LETTERS[k] for k in y.argmax(axis=1)])
        worst = max(worst, float(np.abs(y[-1] - answer).max()))
    for letter, guessed in zip(truth, guesses, strict=True):
        print(f"{letter}: {''.join(guessed)}")
    right = sum(letter == guessed[-1] for letter, guessed in zip(truth, guesses, strict=True))
    print(f"{right} of {len(truth)} right at the last point; largest difference from Keras: {worst:.1e}")
    if arguments.plot:
        draw(arguments.plot, strokes, truth, guesses)


def draw(path, strokes, truth, guesses):
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 8, figsize=(8, 2.4), layout="constrained")
    for ax, points, letter, guessed in zip(axes.flat, strokes, truth, guesses, strict=False):
        right = np.array([guess == letter for guess in guessed])
        ax.plot(*points.T, color="0.8", lw=1)
        ax.scatter(*points.T, c=np.where(right, "C2", "C3"), s=6, zorder=2)
        ax.set_title(f"{letter}: {guessed[len(guessed) // 2]} {guessed[-1]}", fontsize=8)
        ax.set_aspect("equal", "datalim")
        ax.invert_yaxis()
        ax.axis("off")
    figure.savefig(path, dpi=110)


main()
