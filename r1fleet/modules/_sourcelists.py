"""The one-line format of package sources: sources.list and the .list files beside it."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from r1fleet.agent.files import read_bytes

MAIN = "/etc/apt/sources.list"
PARTS = "/etc/apt/sources.list.d"
_LINE = re.compile(r"^\s*(?P<off>#\s*)?(?P<source>(?:deb|deb-src)\s[^#]*?)\s*(?:#\s*(?P<comment>.*?)\s*)?$")


class Line(NamedTuple):
    """A line that names a source; one behind a # is switched off."""

    source: str
    enabled: bool
    comment: str

    @property
    def text(self) -> str:
        """The line as it stands in a file."""
        return "{}{}{}\n".format(
            "" if self.enabled else "# ", self.source, " # " + self.comment if self.comment else ""
        )


def parse_line(text: str) -> Line | None:
    """Read a line; None for one that names no source."""
    match = _LINE.match(text.rstrip("\n"))
    if match is None:
        return None
    return Line(" ".join(match.group("source").split()), match.group("off") is None, match.group("comment") or "")


def list_files() -> list[str]:
    """Return the files that apt reads in this format."""
    names = sorted(os.listdir(PARTS)) if os.path.isdir(PARTS) else []
    return [path for path in [MAIN, *(os.path.join(PARTS, name) for name in names)] if _counts(path)]


def _counts(path: str) -> bool:
    return path.endswith(".list") and os.path.isfile(path)


def text_of(path: str) -> str:
    """Return a file's text; an absent one is empty."""
    return (read_bytes(path) or b"").decode("utf-8", "surrogateescape")


def with_source(texts: dict[str, str], source: str, path: str) -> dict[str, str]:
    """Switch every line of ``source`` on, or add one to ``path`` where no file has any."""
    found = False
    after = {}
    for name, text in texts.items():
        rows = [(row, parse_line(row)) for row in text.splitlines(keepends=True)]
        found = found or any(line and line.source == source for _, line in rows)
        after[name] = "".join(_switched_on(row, line, source) for row, line in rows)
    if not found:
        before = after.get(path, "")
        after[path] = before + ("" if not before or before.endswith("\n") else "\n") + Line(source, True, "").text
    return after


def _switched_on(row: str, line: Line | None, source: str) -> str:
    if line is None or line.source != source or line.enabled:
        return row
    return line._replace(enabled=True).text


def without_source(texts: dict[str, str], source: str) -> dict[str, str]:
    """Take every line of ``source`` away."""
    after = {}
    for name, text in texts.items():
        rows = text.splitlines(keepends=True)
        after[name] = "".join(row for row in rows if not _names(row, source))
    return after


def _names(row: str, source: str) -> bool:
    line = parse_line(row)
    return line is not None and line.source == source


def file_name(source: str) -> str:
    """Propose a file for a source: its address without scheme and credentials, joined by underscores."""
    bare = re.sub(r"\w+://", "", re.sub(r"\[[^\]]+\]", "", source))
    address = next(word for word in [*bare.split(), ""] if word not in ("deb", "deb-src"))
    return "_".join(re.sub("[^a-zA-Z0-9]", " ", address.partition("@")[2] or address).split())
