"""Events for programs: one JSON object a line."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from r1fleet.console.interface import Renderer
from r1fleet.console.results import plain
from r1fleet.errors import FleetError
from r1fleet.events import Event

_WORD = re.compile(r"(?<!^)(?=[A-Z])")


class JsonRenderer(Renderer):
    """Writes every event whole, with its name and the time in seconds since 1970."""

    def __init__(
        self, stream: TextIO, *, verbosity: int = 0, diff: bool = False, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(stream, verbosity=verbosity, diff=diff)
        self._clock = clock

    def show(self, event: Event) -> None:
        """Write the event."""
        fields = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
        self._object(_WORD.sub("_", type(event).__name__).lower(), fields)

    def error(self, error: FleetError) -> None:
        """Write an error as an object."""
        where = str(error.where) if error.where else None
        fields = {"what": error.what, "where": where, "hint": error.hint, "exit_code": int(error.exit_code)}
        self._object("error", fields)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write a table as a list of objects."""
        self._object("table", {"title": title, "rows": [dict(zip(columns, row, strict=True)) for row in rows]})

    def _object(self, name: str, fields: dict[str, Any]) -> None:
        entry = {"event": name, "time": round(self._clock(), 3), **fields}
        self.lines(json.dumps(entry, default=_plain, skipkeys=True))


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return plain(value)
