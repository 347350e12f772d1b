"""What to compare with: two compressors, and counting what followed the last few letters."""

from __future__ import annotations

import gzip
import lzma
import math
from collections import Counter, defaultdict


def gzipped(play: str) -> float:
    """Return the bits per character of gzip, which sees the play alone."""
    return 8 * len(gzip.compress(play.encode(), 9)) / len(play)


def xz_behind(training: str, play: str) -> float:
    """Return the bits per character that the play costs xz behind the training text."""
    both, alone = (len(lzma.compress(text.encode(), preset=9)) for text in (training + play, training))
    return 8 * (both - alone) / len(play)


def counted(training: str, play: str, order: int) -> float:
    """Return the bits per character of a table of what followed the last *order* letters in the training text.

    Where the table has seen little, it is mixed with those of fewer letters (Witten and Bell's rule: by the number
    of different letters that followed).
    """
    tables: list[defaultdict[str, Counter[str]]] = [defaultdict(Counter) for _ in range(order + 1)]
    for i, letter in enumerate(training):
        for n in range(min(order, i) + 1):
            tables[n][training[i - n : i]][letter] += 1
    sums = [{context: (after.total(), len(after)) for context, after in table.items()} for table in tables]
    n_letters, bits = len(set(training)), 0.0
    for i, letter in enumerate(play):
        p = 1 / n_letters
        for n in range(min(order, i) + 1):
            context = play[i - n : i]
            if context in sums[n]:
                total, kinds = sums[n][context]
                p = (tables[n][context][letter] + kinds * p) / (total + kinds)
        bits -= math.log2(p)
    return bits / len(play)


def measure(training: str, play: str) -> dict[str, float]:
    """Return the bits per character of every baseline."""
    return {
        "gzip": gzipped(play),
        "xz_behind_training": xz_behind(training, play),
        **{f"order_{order}": counted(training, play, order) for order in (3, 5)},
    }
