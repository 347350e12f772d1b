"""Text to tokens and back, for token inputs whose tokens have labels."""

from __future__ import annotations

from collections.abc import Iterable

from streamgru.errors import TokenError
from streamgru.model.spec import Input


class Vocabulary:
    """The labels of a token input.

    Parameters
    ----------
    item : Input
        With labels.
    """

    def __init__(self, item: Input) -> None:
        self._item = item
        self.labels = item.labels or ()
        self._tokens = {label: token for token, label in enumerate(self.labels)}

    @property
    def separator(self) -> str:
        """What stands between two labels of a text."""
        return " " if self._item.split == "words" else ""

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, and behind them the one that ends a text, if there is one.

        Raises
        ------
        TokenError
            If a part of it is no label, and there is no token for what is unknown.
        """
        found = []
        for i, label in enumerate(text.split() if self._item.split == "words" else text):
            token = self._tokens.get(label, self._item.unknown)
            if token is None:
                raise TokenError(f"text[{i}]: expected a label of {self._item.name!r}, got {label!r}")
            found.append(token)
        return found if self._item.end is None else [*found, self._item.end]

    def token(self, label: str) -> int:
        """The token of one label, or of a number that stands for itself; TokenError for neither."""
        if label in self._tokens:
            return self._tokens[label]
        if label.isdecimal() and len(label) < 10 and int(label) < (self._item.vocab or 0):
            return int(label)
        raise TokenError(f"expected a label or a token of {self._item.name!r}, got {label!r}")

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of some tokens."""
        return self.separator.join(self.labels[token] for token in tokens)


def vocabulary_of(item: Input) -> Vocabulary | None:
    """The vocabulary of an input; None if its tokens have no labels."""
    return Vocabulary(item) if item.labels is not None else None
