"""Text that is safe to show: what hosts say is text, never a terminal command or markup."""

from __future__ import annotations

import re
from typing import TextIO

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor movements
    r"|\x1b[\]PX^_].*?(?:\x1b\\|\x07|\x9c|$)"  # OSC, DCS and their like, up to their end
    r"|\x1b[ -/]*[0-~]"  # two-character sequences
    r"|\x9b[0-?]*[ -/]*[@-~]",  # CSI in one byte
    re.DOTALL,
)
# C0 and C1 controls without tab and newline, and characters that turn the direction of a line.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def clean(text: object) -> str:
    """Remove escape sequences and spell out other control characters; newlines and tabs stay."""
    plain = _ESCAPES.sub("", str(text)).replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub(lambda match: ascii(match[0])[1:-1], plain)


def one_line(text: object) -> str:
    """Clean ``text`` and keep it on one line."""
    return clean(text).strip().replace("\n", "\\n").replace("\t", " ")


def tail(text: object, lines: int) -> list[str]:
    """Return the last ``lines`` cleaned lines, led by a note of how many were left out."""
    every = clean(text).strip("\n").split("\n")
    left_out = len(every) - lines
    return every if left_out <= 0 else [f"... {left_out} lines before", *every[-lines:]]


def size(count: float) -> str:
    """Spell a number of bytes for people: 1.5 GiB."""
    unit = 0
    while count >= 1024 and unit < len(_UNITS) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 else f"{count:.1f} {_UNITS[unit]}"


def amount(done: int, total: int, unit: str) -> str:
    """Spell progress: ``3/8 files``, ``1.5 GiB/4.0 GiB``, or what is done where the total is not known."""
    spell = size if unit in ("bytes", "B") else str
    suffix = f" {unit}" if unit and spell is str else ""
    if total:
        return f"{spell(done)}/{spell(total)}{suffix}"
    return f"{spell(done)}{suffix}" if done else ""


def duration(seconds: float) -> str:
    """Spell a time span: 0.4 s, 12 s, 3 min 05 s, 2 h 07 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def write(stream: TextIO, text: str) -> None:
    """Write ``text``; what the stream's encoding lacks is written as an escape."""
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
