"""One page after another: in place on a terminal, below each other in a pipe."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TextIO

from r1fleet.console.choose import can_be_live
from r1fleet.console.text import write

Show = Callable[[Sequence[str]], None]


def pages(stream: TextIO, interval: float) -> AbstractContextManager[Show]:
    """Return what shows a page of lines in place of the one before it, or below it where nothing can be redrawn."""
    return _in_place(stream, interval) if can_be_live(stream, os.environ) else _below(stream)


@contextmanager
def _below(stream: TextIO) -> Iterator[Show]:
    def show(lines: Sequence[str]) -> None:
        write(stream, "\n".join((f"--- {time.strftime('%Y-%m-%d %H:%M:%S')}", *lines, "")))
        stream.flush()

    yield show


@contextmanager
def _in_place(stream: TextIO, interval: float) -> Iterator[Show]:
    """Draw over the last page; the last one stays when it is over, and the cursor comes back."""
    live = importlib.import_module("rich.live")  # rich takes long to import
    text = importlib.import_module("rich.text").Text
    group = importlib.import_module("rich.console").Group
    console = importlib.import_module("rich.console").Console(file=stream, highlight=False)
    with live.Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as display:

        def show(lines: Sequence[str]) -> None:
            head = f"{time.strftime('%H:%M:%S')}, every {interval:g} s; Ctrl-C leaves"
            rows = [text.from_ansi(line, no_wrap=True, overflow="ellipsis", end="") for line in (head, *lines)]
            display.update(group(*rows), refresh=True)

        yield show
