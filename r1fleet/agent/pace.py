"""A limit on how much moves in a second."""

from __future__ import annotations

import time

_CHUNK, _PAUSE = 65536, 0.5


class Pace:
    """Lets so many bytes a second pass, 0 without limit; what was not used is made up for during half a second."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._due = time.monotonic()
        self.chunk = min(_CHUNK, max(1, int(rate * _PAUSE))) if rate else _CHUNK
        """How many bytes to move at once, so that no pause is long."""

    def wait(self, count: int) -> None:
        """Wait until ``count`` more bytes may pass."""
        if self._rate:
            now = time.monotonic()
            self._due = max(self._due, now - _PAUSE) + count / self._rate
            time.sleep(max(0.0, self._due - now))
