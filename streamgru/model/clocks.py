"""When the values of a network are made: not every one of them is new at every step."""

from __future__ import annotations

from dataclasses import dataclass

from streamgru.errors import SpecError

LATEST = 1 << 31  # steps: no clock is slower, or begins later


@dataclass(frozen=True)
class Clock:
    """The steps at which a value is new: *first*, and every *stride*-th from there on.

    Steps count from 0, the start of the stream. The n-th value that is new is the n-th of the sequence that a
    framework would compute at once.
    """

    first: int = 0
    stride: int = 1

    def due(self, step: int) -> bool:
        """Whether the value is new at *step*."""
        return step >= self.first and (step - self.first) % self.stride == 0

    def count(self, n_steps: int) -> int:
        """How often it was new in the first *n_steps* steps."""
        return max(0, -((self.first - n_steps) // self.stride))

    def after_window(self, reach: int, before: int, stride: int) -> Clock:
        """The clock of what looks at windows, the last row of which is *reach* rows behind the first.

        The first window begins with *before* rows of padding; each next one *stride* rows later.
        """
        return Clock(self.first + self.stride * (reach - before), self.stride * stride)


EVERY = Clock()  # of the inputs


def common(layer: str, clocks: tuple[Clock, ...]) -> Clock:
    """The clock of a layer with several inputs: that of the one which comes last.

    Raises
    ------
    SpecError
        If they are not all made equally often.
    """
    strides = sorted({clock.stride for clock in clocks})
    if len(strides) > 1:
        raise SpecError(
            f"layer {layer!r}: expected inputs that are made equally often, got one at every {strides[0]}. step "
            f"and one at every {strides[-1]}.; give the layers before them the same strides"
        )
    return max(clocks, key=lambda clock: clock.first)
