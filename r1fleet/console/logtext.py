"""Logs of ranks as text: led by host and rank only where lines of more than one are shown."""

from __future__ import annotations

from typing import TextIO

from r1fleet.console.text import clean, one_line, write
from r1fleet.events import Event, LogLines, LogSources, Note


class LogText:
    """An observer that writes log lines to one stream, and what is to be known about them to another."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out = out
        self._err = err
        self._generation = 0
        self._many = False
        self._replicas = False

    def __call__(self, event: Event) -> None:
        """Show an event."""
        match event:
            case LogSources():
                self._begin(event)
            case LogLines():
                head = self._head(event)
                write(self._out, "".join(f"{head}{line}\n" for text in event.lines for line in clean(text).split("\n")))
                self._out.flush()
            case Note():
                write(self._err, ": ".join(filter(None, (event.level, event.host, one_line(event.text)))) + "\n")
                self._err.flush()

    def _begin(self, event: LogSources) -> None:
        if self._generation:
            write(self._err, f"generation {event.generation} of {event.deployment} has begun\n")
            self._err.flush()
        self._generation = event.generation
        self._many = len(event.ranks) > 1
        self._replicas = len({replica for replica, _, _ in event.ranks}) > 1

    def _head(self, event: LogLines) -> str:
        if not self._many:
            return ""
        replica = f"replica {event.replica}, " if self._replicas else ""
        return f"({event.host}, {replica}rank {event.rank}) "
