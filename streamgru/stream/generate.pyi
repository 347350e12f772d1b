"""A network that is fed its own answers.

A draw is the same on every machine. Its random number is that of SplitMix64 (Steele, Lea and Flood 2014) at a
counter: with *k* answers before it, ``u = mix(seed + (k + 1) * 0x9E3779B97F4A7C15) >> 11``, a number of 53 bits. The
token is the first at which the sum of ``exp((y - max y) / temperature)`` passes ``u / 2**53`` of the whole sum; the
sums are of double precision, in the order of the tokens.
"""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamgru.stream.stream import Stream
from streamgru.stream.vocabulary import Vocabulary

CHOICES: dict[str, int]

class Generator:
    """Answers one by one, each of them fed back as the next input.

    Made by :meth:`Model.generator <streamgru.Model.generator>`; iterating gives the tokens, or the numbers, until
    it ends.

    Thread-safety: one owner, as a stream.
    """
    def __init__(
        self,
        stream: Stream,
        x: ArrayLike,
        part: slice,
        choose: Literal["argmax", "sample", "value"],
        *,
        stop: int | None = None,
        limit: int = 1000,
        temperature: float = 1.0,
        seed: int = 0,
        vocabulary: Vocabulary | None = None,
        n: int = 0,
    ) -> None: ...
    @property
    def stream(self) -> Stream: ...
    @property
    def seed(self) -> int: ...
    @property
    def vocabulary(self) -> Vocabulary | None: ...
    @property
    def ended(self) -> Literal["stop", "limit"] | None:
        """What ended it, ``stop`` or ``limit``; None as long as there is more."""
    @property
    def n_steps(self) -> int:
        """Answers so far."""
    def run(self, n: int) -> tuple[NDArray[np.int64], NDArray[np.floating[Any]]]:
        """Answer *n* times, or until it ends, if that is sooner.

        Parameters
        ----------
        n : int

        Returns
        -------
        tokens : ndarray of int64 (n_answers,)
            What was chosen, the token that ends it included; all 0 where numbers themselves are fed back.
        values : ndarray (n_answers, n_out)
            What they were chosen from: y of every step.

        Raises
        ------
        NonFiniteError
            If the next state would not be finite. What was answered before is handed out first.
        StreamBusy
            If another thread uses this generator, or its stream.

        Notes
        -----
        The GIL is released once, for all of them.
        """
    def rest(self) -> tuple[NDArray[np.int64], NDArray[np.floating[Any]]]:
        """Answer until it ends; returns as :meth:`run`. ShapeError if the answers fill more than 1 GiB."""
    def settings(self) -> tuple[NDArray[np.floating[Any]], int, int, int, int, int, int, int, float]:
        """The next input, the choice, first and size of what it is made from, stop, limit, count, seed, temperature.

        StreamBusy if another thread uses this generator.
        """
    def snapshot(self) -> bytes:
        """All that it takes to go on as bytes: the stream's snapshot, the next input, and where the draws are.

        :meth:`Model.restore_generator <streamgru.Model.restore_generator>` goes on from it, also in another process.
        """
    def __iter__(self) -> Iterator[Any]: ...
    def __next__(self) -> Any: ...
