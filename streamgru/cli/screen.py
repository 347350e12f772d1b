"""The terminal: a screen of one's own for as long as it is needed, lines of styled text, curves of dots."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from streamgru.cli import Signalled

Line = list[tuple[str, str]]  # pieces of text, each with its style

STYLES = {
    "": "", "bold": "1", "dim": "2", "good": "32", "good bold": "1;32", "bad": "31", "bad bold": "1;31",
    "signal": "36", "other": "34",
}  # fmt: skip

# The other screen, no cursor, no wrapping; and the way back.
ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
LEAVE = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"


def is_terminal() -> bool:
    """Whether stdout is a terminal that can be drawn on."""
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb" and encoding == "utf8"


def has_colour() -> bool:
    """Whether colours are welcome; see https://no-color.org."""
    return is_terminal() and not os.environ.get("NO_COLOR")


def render(line: Line, width: int, colour: bool) -> str:
    """Join the pieces of a line, cut after *width* characters; every character here is one column wide."""
    parts = []
    for text, style in line:
        text, width = text[:width], width - len(text[:width])
        codes = STYLES[style]
        if not colour:  # bold and dim are not colours
            codes = ";".join(code for code in codes.split(";") if code in ("1", "2"))
        parts.append(f"\x1b[{codes}m{text}\x1b[0m" if codes and text else text)
    return "".join(parts)


class Screen:
    """Somewhere to draw frames."""

    def __init__(self) -> None:
        self.colour = has_colour()
        self._size = (0, 0)

    def size(self) -> tuple[int, int]:
        """Columns and rows, as they are now."""
        try:
            size = os.get_terminal_size(sys.stdout.fileno())
        except OSError:
            return 80, 24
        return (size.columns, size.lines) if size.columns and size.lines else (80, 24)

    def draw(self, lines: Sequence[Line]) -> None:
        """Show one frame; what does not fit is cut off."""
        size = self.size()
        clear = "\x1b[2J" if size != self._size else ""
        self._size = size
        rows = [render(line, size[0], self.colour) + "\x1b[K" for line in lines[: size[1]]]
        # Between the marks a terminal that knows them shows nothing half drawn.
        _write("\x1b[?2026h" + clear + "\x1b[H" + "\r\n".join(rows) + "\x1b[J\x1b[?2026l")


@contextlib.contextmanager
def own_screen() -> Iterator[Screen]:
    """Take the terminal over, and leave it as it was, whatever happens: also on SIGTERM and Ctrl-Z."""
    before = _silence_keyboard()

    def end(number: int, _frame: FrameType | None) -> None:
        raise Signalled(number)

    def pause(_number: int, _frame: FrameType | None) -> None:
        _write(LEAVE)
        _restore_keyboard(before)
        os.kill(os.getpid(), signal.SIGSTOP)
        _silence_keyboard()
        _write(ENTER)

    with contextlib.ExitStack() as undo:
        for name, handler in (("SIGTERM", end), ("SIGHUP", end), ("SIGTSTP", pause)):
            if hasattr(signal, name):
                undo.callback(_handle(getattr(signal, name), handler))
        undo.callback(_restore_keyboard, before)
        undo.callback(_write, LEAVE)
        _write(ENTER)
        yield Screen()


def _handle(number: int, handler: Callable[[int, FrameType | None], None]) -> Callable[[], Any]:
    old = signal.signal(number, handler)
    return lambda: signal.signal(number, old)


def _write(text: str) -> None:
    with contextlib.suppress(OSError):  # a terminal that has been closed
        sys.stdout.write(text)
        sys.stdout.flush()


def _silence_keyboard() -> list[Any] | None:
    """Stop the terminal from showing what is typed; give its settings as they were."""
    try:
        import termios  # not on Windows

        before = termios.tcgetattr(0)
        after = list(before)
        after[3] &= ~(termios.ECHO | termios.ICANON)
        termios.tcsetattr(0, termios.TCSANOW, after)
    except (ImportError, OSError, ValueError):
        return None
    except Exception as error:  # termios.error is no OSError
        if type(error).__module__ != "termios":
            raise
        return None
    return before


def _restore_keyboard(before: list[Any] | None) -> None:
    if before is not None:
        import termios

        with contextlib.suppress(termios.error):
            termios.tcsetattr(0, termios.TCSAFLUSH, before)


def curve(values: NDArray[np.floating[Any]], low: float, high: float, dots: int, per_dot: int, rows: int) -> list[str]:
    """Draw a signal in braille, the newest value at the right.

    Parameters
    ----------
    values : ndarray (n_steps,)
        From the start of the signal, so that a dot keeps its place among the steps while it moves left.
    low, high : float
        The values at the lower and the upper edge.
    dots : int
        Width; two dots are one character.
    per_dot : int
        Steps that share a dot.
    rows : int
        Height in characters of four dots.
    """
    grid = np.zeros((4 * rows, dots + dots % 2), bool)
    n_bins = -(-len(values) // per_dot)
    scaled = (np.clip((values - low) / (high - low), 0, 1) * (4 * rows - 1)).round().astype(int)
    for column in range(max(0, dots - n_bins), dots):
        begin = (n_bins - dots + column) * per_dot
        part = scaled[max(0, begin - 1) : begin + per_dot]  # with the step before, so that the line holds together
        grid[4 * rows - 1 - part.max() : 4 * rows - part.min(), column] = True
    cells = grid.reshape(rows, 4, -1, 2)
    weights = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
    codes = 0x2800 + np.einsum("rdcs,ds->rc", cells, weights)
    return ["".join(map(chr, row)) for row in codes]


def bar(share: float, width: int) -> str:
    """A bar of *width* characters, filled to eighths of a character."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    return ("█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()).ljust(width)


def fitted(text: str, width: int) -> str:
    """A text in exactly *width* characters."""
    return text.ljust(width) if len(text) <= width else text[: max(width - 1, 0)] + "…"[: max(width, 0)]


def usage(message: str) -> click.UsageError:
    """An error of the command line: exit code 2."""
    return click.UsageError(message)
