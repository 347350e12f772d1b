"""A captured terminal screen (``tmux capture-pane -e -p``) from stdin, as an SVG picture on stdout.

Text stays text, held to its columns. What is drawn with characters, braille dots, bars and lines,
becomes shapes, so that it looks alike whatever fonts the reader has.
"""

import re
import sys
from html import escape

CELL_W, CELL_H, MARGIN = 8.4, 18, 14
BACKGROUND, FOREGROUND = "#16181d", "#e6e6e6"
COLOURS = {"31": "#f2777a", "32": "#8ac96f", "33": "#f2c66d", "34": "#6fa8f2", "35": "#c996e0", "36": "#5fc9cf"}
BRAILLE_DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))  # column and row of each bit
EIGHTHS = "▏▎▍▌▋▊▉█"


def main():
    """Read a screen, write a picture."""
    lines = sys.stdin.read().rstrip("\n").split("\n")
    style = {"colour": FOREGROUND, "bold": False, "dim": False}
    shapes, n_columns = [], 0
    for row, line in enumerate(lines):
        column = 0
        for text, codes in re.findall(r"([^\x1b]+)|\x1b\[([0-9;]*)m", line):
            if text:
                shapes += draw(text, column, row, style)
                column += len(text)
            else:
                restyle(style, codes)
        n_columns = max(n_columns, column)
    width, height = n_columns * CELL_W + 2 * MARGIN, len(lines) * CELL_H + 2 * MARGIN
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img">')
    print("<title>streamgru demo in a terminal</title>")
    print(f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>')
    print('<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14">')
    print("\n".join(shapes))
    print("</g>\n</svg>")


def restyle(style, codes):
    """Apply the codes of one escape sequence."""
    for code in codes.split(";"):
        if code in ("", "0"):
            style.update(colour=FOREGROUND, bold=False, dim=False)
        elif code in ("1", "2"):
            style["bold" if code == "1" else "dim"] = True
        elif code == "39" or code in COLOURS:
            style["colour"] = COLOURS.get(code, FOREGROUND)


def draw(text, column, row, style):
    """The shapes of one run of characters of one style."""
    paint = f'fill="{style["colour"]}"' + (' opacity="0.6"' if style["dim"] else "")
    path = []
    words = list(text)
    for i, character in enumerate(text):
        x, y = MARGIN + (column + i) * CELL_W, MARGIN + row * CELL_H
        drawn = strokes(character, x, y)
        if drawn is not None:
            path.append(drawn)
            words[i] = " "
    shapes = [f'<path {paint} d="{"".join(path)}"/>'] if any(path) else []
    weight = ' font-weight="bold"' if style["bold"] else ""
    for match in re.finditer(r"\S+(?: \S+)*", "".join(words)):
        x, y = MARGIN + (column + match.start()) * CELL_W, MARGIN + row * CELL_H + 13.5
        length = len(match[0]) * CELL_W
        shapes.append(
            f'<text x="{x:.1f}" y="{y:g}" textLength="{length:.1f}" lengthAdjust="spacingAndGlyphs" {paint}{weight}>'
            f"{escape(match[0])}</text>"
        )
    return shapes


def strokes(character, x, y):
    """The path of a character that is a drawing; None for one that is a letter."""
    if "\u2800" <= character <= "\u28ff":
        bits = ord(character) - 0x2800
        dots = [dot for bit, dot in enumerate(BRAILLE_DOTS) if bits >> bit & 1]
        return "".join(box(x + 1.1 + 4.2 * i, y + 1.3 + 4.5 * j, 2, 2) for i, j in dots)
    if character in EIGHTHS:
        return box(x, y + 2, CELL_W * (EIGHTHS.index(character) + 1) / 8, CELL_H - 4)
    if character == "━":
        return box(x, y + 8, CELL_W, 2.4)
    if character == "╌":
        return box(x + 0.8, y + 8.6, 2.6, 1.2) + box(x + 5, y + 8.6, 2.6, 1.2)
    return None


def box(x, y, width, height):
    return f"M{x:.1f} {y:.1f}h{width:.1f}v{height:.1f}h-{width:.1f}z"


if __name__ == "__main__":
    main()
