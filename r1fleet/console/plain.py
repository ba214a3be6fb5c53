"""Plain lines for pipes and logs: one event a line, stable, no colour, easy to search."""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatchmethod
from typing import Any, TextIO

from r1fleet.console.interface import Renderer
from r1fleet.console.results import BAD, details, diff_lines, host_name, message, spoken, stat_lines, title, would_lines
from r1fleet.console.text import amount, clean, duration, one_line, write
from r1fleet.events import (
    EndpointReady,
    Event,
    ItemResult,
    LogLines,
    Note,
    Output,
    PlayStarted,
    RankState,
    Recap,
    Step,
    TaskResult,
    TaskStarted,
    WouldRun,
)

_INDENT = "    "


class PlainRenderer(Renderer):
    """Writes ``status: host: what``; details of failures below, indented."""

    def __init__(self, stream: TextIO, *, verbosity: int = 0, diff: bool = False) -> None:
        super().__init__(stream, verbosity=verbosity, diff=diff)
        self._shares: dict[tuple[str, str], tuple[str, int]] = {}
        self._unfinished = False

    def show(self, event: Event) -> None:
        """Write the event's lines; a line that a job has not ended is ended before."""
        if self._unfinished and not isinstance(event, Output):
            write(self.stream, "\n")
            self._unfinished = False
        self._show(event)

    @singledispatchmethod
    def _show(self, event: Event) -> None:
        self.lines(one_line(event))

    @_show.register
    def _(self, event: Note) -> None:
        self.lines(": ".join(part for part in (event.level, event.host, one_line(event.text)) if part))

    @_show.register
    def _(self, event: Step) -> None:
        if event.state == "running" and not self._has_moved(event):
            return
        parts = (one_line(event.detail), amount(event.done, event.total, event.unit))
        more = ", ".join(part for part in parts if part)
        took = f" ({duration(event.seconds)})" if event.seconds else ""
        head = ": ".join(part for part in (event.state, event.host, one_line(event.name)) if part)
        self.lines(f"{head}{': ' if more else ''}{more}{took}")

    def _has_moved(self, step: Step) -> bool:
        """Tell whether a running step is new, has another detail or has passed a further tenth of its way."""
        key = (step.host, step.name)
        now = (step.detail, step.done * 10 // step.total if step.total else 0)
        moved = self._shares.get(key) != now
        self._shares[key] = now
        return moved

    @_show.register
    def _(self, event: PlayStarted) -> None:
        hosts = " ".join(event.hosts) if event.hosts else "no hosts"
        self.lines(f"play: {one_line(event.name)}: {one_line(hosts)}")

    @_show.register
    def _(self, event: TaskStarted) -> None:
        kind = "handler" if event.handler else "task"
        place = f" ({one_line(event.where)})" if event.where and self.verbosity else ""
        self.lines(f"{kind}: {title(event.role, event.name, event.action)}{place}")

    @_show.register
    def _(self, event: ItemResult) -> None:
        self._result(
            event.status, host_name(event), f"{one_line(event.task)} [{one_line(event.label)}]", event.result, ""
        )

    @_show.register
    def _(self, event: TaskResult) -> None:
        where = event.where if event.status in BAD else ""
        self._result(event.status, host_name(event), title(event.role, event.task, event.action), event.result, where)
        if event.status not in BAD:
            self.lines(*(f"{_INDENT}{line}" for line in spoken(event.action, event.result)))

    def _result(self, status: str, host: str, name: str, result: Mapping[str, Any], where: str) -> None:
        bad = status in BAD
        self.lines(f"{status}: {host}: {name}{f': {message(result)}' if bad else ''}")
        if bad:
            self.lines(*(f"{_INDENT}{line}" for line in details(result, where)))
        self.lines(*(f"{_INDENT}{line}" for line in diff_lines(result)))

    @_show.register
    def _(self, event: Recap) -> None:
        for host, counts in event.hosts.items():
            fields = ("ok", "changed", "unreachable", "failed", "skipped", "rescued", "ignored")
            self.lines(f"recap: {host}: {' '.join(f'{name}={getattr(counts, name)}' for name in fields)}")
        if event.seconds:
            self.lines(f"recap: {len(event.hosts)} hosts in {duration(event.seconds)}")
        self.lines(*(f"stats: {line}" for line in stat_lines(event)))

    @_show.register
    def _(self, event: RankState) -> None:
        detail = f": {one_line(event.detail)}" if event.detail else ""
        self.lines(f"rank: {event.deployment} {event.rank} on {event.host}: {event.state}{detail}")

    @_show.register
    def _(self, event: LogLines) -> None:
        if not self.verbosity:
            return
        head = f"{event.deployment} {event.rank} {event.host} | "
        self.lines(*(f"{head}{line}" for text in event.lines for line in clean(text).split("\n")))

    @_show.register
    def _(self, event: Output) -> None:
        if event.text:
            write(self.stream, clean(event.text))
            self._unfinished = not event.text.endswith("\n")

    @_show.register
    def _(self, event: WouldRun) -> None:
        self.lines(*would_lines(event))

    @_show.register
    def _(self, event: EndpointReady) -> None:
        took = duration(event.seconds)
        self.lines(f"ready: {event.deployment}: {one_line(event.model)} answers at {event.url} (after {took})")
        self.lines(f"sample: {event.deployment}: {one_line(event.sample)}")
