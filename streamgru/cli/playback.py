"""The demonstration itself: the built-in network steps through recordings, and is timed and scored."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamgru.formats.builtin import Recording, Recordings
from streamgru.stream.model import Model


class Score(NamedTuple):
    """What became of one recording, as far as it was played."""

    number: int  # of the recording, from 1
    steps: int
    right: int  # steps whose likeliest class was the truth
    truth: int
    guess: int  # the class with the highest mean log-probability
    latency_ns: NDArray[np.int64]  # of every step


class Playback:
    """Steps a model through recordings, each from the start.

    Parameters
    ----------
    model : Model
    data : Recordings
    numbers : tuple of int
        Which recordings, counted from 1, in this order.
    """

    def __init__(self, model: Model, data: Recordings, numbers: tuple[int, ...]) -> None:
        self.model = model
        self.data = data
        self.numbers = numbers
        longest = max(len(data.items[number - 1].x) for number in numbers)
        self.y = np.empty((longest, model.n_out), model.dtype)
        self.latency_ns = np.empty(longest, np.int64)
        self.done: list[Score] = []
        self.steps_before = self.steps_right = 0  # in the recordings that are done
        self._begin()

    def _begin(self) -> None:
        self.recording: Recording = self.data.items[self.numbers[len(self.done)] - 1]
        self.stream = self.model.stream()
        self.at = 0

    @property
    def finished(self) -> bool:
        """Whether every recording has been played."""
        return len(self.done) == len(self.numbers)

    @property
    def total(self) -> int:
        """Steps of all recordings that are to be played."""
        return sum(len(self.data.items[number - 1].x) for number in self.numbers)

    def advance(self, n_steps: int) -> int:
        """Play at most *n_steps*, and not beyond the end of a recording; tell how many it were."""
        clock, step = time.perf_counter_ns, self.stream.step
        first, last = self.at, min(self.at + n_steps, len(self.recording.x))
        for i in range(first, last):
            x, y = self.recording.x[i], self.y[i]
            before = clock()
            step(x, out=y)
            self.latency_ns[i] = clock() - before
        self.at = last
        return last - first

    def finish(self) -> Score:
        """Close the recording that is being played, and go to the next."""
        score = self.score()
        self.done.append(score)
        self.steps_before += score.steps
        self.steps_right += score.right
        if not self.finished:
            self._begin()
        return score

    def score(self) -> Score:
        """The score of the recording that is being played, after at least one step."""
        y, truth = self.y[: self.at], self.recording.label
        return Score(
            number=self.numbers[len(self.done)],
            steps=self.at,
            right=int((y.argmax(axis=1) == truth).sum()),
            truth=truth,
            guess=int(np.log(np.maximum(y, np.finfo(y.dtype).tiny)).mean(axis=0).argmax()),
            latency_ns=self.latency_ns[: self.at].copy(),
        )


def summary(scores: list[Score], data: Recordings) -> dict[str, Any]:
    """All that the demonstration has to say, ready for JSON.

    The majority class is the best that somebody could do who always gives the same answer.
    """
    steps = sum(score.steps for score in scores)
    by_class = np.bincount([score.truth for score in scores], [score.steps for score in scores], len(data.labels))
    latency_ns = np.concatenate([score.latency_ns for score in scores])
    return {
        "recordings": [_record(score, data) for score in scores],
        "steps": steps,
        "accuracy_per_step": sum(score.right for score in scores) / steps,
        "accuracy_per_recording": sum(score.guess == score.truth for score in scores) / len(scores),
        "majority_class": data.labels[int(by_class.argmax())],
        "majority_per_step": float(by_class.max()) / steps,
        "step_p50_us": percentile_us(latency_ns, 50),
        "step_p99_us": percentile_us(latency_ns, 99),
        "steps_per_s": steps / (int(latency_ns.sum()) * 1e-9),
    }


def _record(score: Score, data: Recordings) -> dict[str, Any]:
    item = data.items[score.number - 1]
    return {
        "number": score.number,
        "subject": item.subject,
        "side": item.side,
        "truth": data.labels[score.truth],
        "guess": data.labels[score.guess],
        "right": score.guess == score.truth,
        "steps": score.steps,
        "accuracy": score.right / score.steps,
        "step_p50_us": percentile_us(score.latency_ns, 50),
        "step_p99_us": percentile_us(score.latency_ns, 99),
    }


def percentile_us(latency_ns: NDArray[np.int64], percent: float) -> float:
    """A percentile of some latencies, in microseconds."""
    return float(np.percentile(latency_ns, percent)) / 1000
