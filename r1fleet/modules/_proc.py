"""Read the small files in which the kernel tells about itself."""

from __future__ import annotations

import os


def read(path: str, default: str = "") -> str:
    """Return a file's text without the white space around it; ``default`` where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().strip("\0 \t\n")
    except OSError:
        return default


def entries(path: str) -> list[str]:
    """Return a folder's names in order; none where it cannot be read."""
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def number(text: str, default: int = 0) -> int:
    """Return the whole number that ``text`` is, else ``default``."""
    try:
        return int(text)
    except ValueError:
        return default
