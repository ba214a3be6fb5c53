"""Tables, and the colours of states."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from r1fleet.console.text import one_line

COLOURS = {
    "ready": "\x1b[32m",
    "done": "\x1b[32m",
    "starting": "\x1b[33m",
    "running": "\x1b[33m",
    "degraded": "\x1b[31m",
    "failed": "\x1b[31m",
    "unreachable": "\x1b[31m",
}
_PLAIN = "\x1b[0m"


def columns(head: Sequence[str], rows: Sequence[Sequence[str]], *, colour: bool = False) -> Iterator[str]:
    """Align rows below their heads, indented by two."""
    cells = [[name.upper() for name in head], *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    for cell in cells:
        padded = [text.ljust(width) for text, width in zip(cell, widths, strict=True)]
        shown = [painted(text, colour=colour) for text in padded]
        yield "  " + "  ".join(shown).rstrip()


def painted(text: str, *, colour: bool) -> str:
    """Colour a state."""
    paint = COLOURS.get(text.strip())
    return f"{paint}{text}{_PLAIN}" if colour and paint else text
