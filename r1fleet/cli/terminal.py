"""What a person types, for a job that asks."""

from __future__ import annotations

import codecs
import os
import select
import sys

CHUNK = 4096


class Typed:
    """Standard input, read as it comes: a terminal's lines, or what is piped."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def read(self, seconds: float) -> str | None:
        """Return what was typed, empty where nothing was for so long; None at its end."""
        descriptor = sys.stdin.fileno()
        if not select.select([descriptor], [], [], seconds)[0]:
            return ""
        raw = os.read(descriptor, CHUNK)
        return self._decode(raw) if raw else None
