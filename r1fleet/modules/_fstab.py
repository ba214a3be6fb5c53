"""The table of file systems: its lines, changed one at a time, and what is mounted now."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

MOUNTS = "/proc/self/mountinfo"


class Entry(NamedTuple):
    """One line of fstab, its fields as people write them."""

    src: str
    path: str
    fstype: str
    opts: str
    dump: str
    passno: str

    def line(self) -> str:
        """Write the line; blanks and backslashes within a field become octal."""
        return " ".join(_escaped(field) for field in self) + "\n"


class Mounted(NamedTuple):
    """One mount that stands: where, of what device or folder, with which root within it."""

    path: str
    root: str
    fstype: str
    source: str


def with_entry(text: str, entry: Entry) -> str:
    """Return the table with one line for the entry's place: the one that is there, changed, or a new one at the end."""
    lines, found = [], False
    for line in text.splitlines(True):
        fields = _fields(line)
        if fields is None or not _same_place(fields, entry):
            lines.append(line)
            continue
        if not found and fields == list(entry):
            lines.append(line)  # as it was written, blanks and all
        elif not found:
            lines.append(entry.line())
        found = True
    if not found:
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        lines.append(entry.line())
    return "".join(lines)


def without(text: str, path: str, src: str | None) -> str:
    """Return the table without the lines for a place; swap has no place, and goes by its source."""
    return "".join(line for line in text.splitlines(True) if not _is_of(_split(line), path, src))


def mounted(path: str, table: str) -> Mounted | None:
    """Return what is mounted at a path now; of several over one another, the last."""
    real = os.path.realpath(path)
    found = None
    for line in table.splitlines():
        words = line.split(" ")
        try:
            rest = words.index("-")
        except ValueError:
            continue
        if _plain(words[4]) == real:
            found = Mounted(real, _plain(words[3]), words[rest + 1], _plain(words[rest + 2]))
    return found


def _is_of(fields: list[str] | None, path: str, src: str | None) -> bool:
    if fields is None or fields[1] != path:
        return False
    return path != "none" or src in (None, fields[0])


def _same_place(fields: list[str], entry: Entry) -> bool:
    if entry.fstype == "swap" or entry.path == "none":
        return fields[0] == entry.src and fields[2] == entry.fstype
    return fields[1] == entry.path


def _fields(line: str) -> list[str] | None:
    """Return a line's six fields, those that are left out with their meaning; None for a line that is no entry."""
    fields = _split(line)
    if fields is None or not 4 <= len(fields) <= 6:
        return None
    return [*fields, "0", "0"][:6]


def _split(line: str) -> list[str] | None:
    text = line.strip()
    if not text or text.startswith("#"):
        return None
    fields = [_plain(field) for field in text.split()]
    return fields if len(fields) >= 4 else None


def _escaped(field: str) -> str:
    return field.replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011").replace("&", "\\046")


def _plain(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), field)
