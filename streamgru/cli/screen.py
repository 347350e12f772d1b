"""The terminal: a screen of one's own for as long as it is needed, and lines of styled text."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from io import TextIOWrapper
from types import FrameType
from typing import Any

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
    if sys.stdout is None or not sys.stdout.isatty():
        return False
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    return os.environ.get("TERM", "dumb") != "dumb" and encoding == "utf8"


def has_colour() -> bool:
    """Whether colours are welcome; see https://no-color.org."""
    return is_terminal() and not os.environ.get("NO_COLOR")


def forgive_encoding() -> None:
    """Write a question mark where the encoding of stdout lacks a character, rather than fail."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


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
    if os.name != "posix" or not os.isatty(0):
        return None
    import termios

    before = termios.tcgetattr(0)
    after = list(before)
    after[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(0, termios.TCSANOW, after)
    return before


def _restore_keyboard(before: list[Any] | None) -> None:
    if before is not None:
        import termios

        with contextlib.suppress(termios.error):
            termios.tcsetattr(0, termios.TCSAFLUSH, before)
