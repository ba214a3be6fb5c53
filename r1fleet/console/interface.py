"""What every renderer is: an observer of events that writes to one stream."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self, TextIO

from r1fleet.console.errors import render_error
from r1fleet.console.text import one_line, write
from r1fleet.errors import FleetError
from r1fleet.events import Event


class Renderer:
    """Shows events as they come, from any thread; a context manager, because a live display has an end."""

    def __init__(self, stream: TextIO, *, verbosity: int = 0, diff: bool = False) -> None:
        self.stream = stream
        self.verbosity = verbosity
        self.diff = diff
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __call__(self, event: Event) -> None:
        """Observe one event."""
        with self._lock:
            self.show(event)
            self.stream.flush()

    def show(self, event: Event) -> None:
        """Show one event; called by one thread at a time."""
        raise NotImplementedError

    def error(self, error: FleetError) -> None:
        """Show an error among the events."""
        self.lines(*render_error(error).split("\n"))

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Show rows below their columns, aligned."""
        cells = [[column.upper() for column in columns], *([one_line(cell) for cell in row] for row in rows)]
        widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
        body = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
        self.lines(*([title] if title else []), *body)

    def lines(self, *lines: str) -> None:
        """Write lines."""
        with self._lock:
            write(self.stream, "".join(f"{line}\n" for line in lines))

    def close(self) -> None:
        """End the display; nothing is shown afterwards."""
        self.stream.flush()
