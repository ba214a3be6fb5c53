"""Logs whose middle has given back its space: where their data goes on, and their text without what is left of it."""

from __future__ import annotations

import os
import re
from typing import BinaryIO

_NOTHING = re.compile(rb"\0+")
LEFT_OUT = b"\n[... left out: this log has reached its log_limit ...]\n"


def data_from(stream: BinaryIO, offset: int) -> int:
    """Return where data goes on from ``offset``; the offset itself where a file system does not tell."""
    try:
        return os.lseek(stream.fileno(), offset, os.SEEK_DATA)
    except OSError:
        return offset


def without_holes(raw: bytes) -> bytes:
    """Say in one line what a hole has taken."""
    return _NOTHING.sub(LEFT_OUT, raw) if b"\0" in raw else raw
