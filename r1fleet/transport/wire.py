"""The bytes below a link: one duplex stream to an agent's process."""

from __future__ import annotations

from typing import Protocol

TICK_SECONDS = 2.0
"""How long ``read`` waits before it says that nothing came."""


class Wire(Protocol):
    """A duplex stream; reads come from one thread, writes from one thread at a time, ``cut`` from any."""

    def read(self, size: int) -> bytes:
        """Return what has come, b"" at the end; raise TimeoutError when nothing came for a tick."""

    def write(self, data: bytes) -> None:
        """Send all of ``data``; raise OSError where the stream is broken or cut."""

    def complaint(self) -> str:
        """Return what the other side wrote to its standard error, as far as it has come."""

    def cut(self) -> None:
        """Break the stream at once, from any thread, without waiting: pending reads and writes end."""

    def release(self) -> None:
        """Let go of a stream that has ended; what carries it may serve for others."""
