"""A live display in a terminal: what runs now at the bottom, what matters stays above."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from functools import singledispatchmethod
from typing import Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from r1fleet.console.board import Board, Tally, few
from r1fleet.console.colours import COLOURS
from r1fleet.console.errors import render_error
from r1fleet.console.interface import Renderer
from r1fleet.console.results import BAD, details, diff_lines, host_name, message, spoken, stat_lines, title, would_lines
from r1fleet.console.text import amount, clean, duration, one_line, size
from r1fleet.errors import FleetError
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
    Transfer,
    WouldRun,
)

_COUNTS = ("ok", "changed", "unreachable", "failed", "skipped", "rescued", "ignored")
_MOST_ROWS = 8
_WIDTH = 12


class LiveRenderer(Renderer):
    """Keeps the events that matter as lines and shows the rest as they pass.

    Two locks: the inherited one keeps the order of printed lines, ``_state`` guards the board. rich's refresh
    thread takes only the second, so that it never waits for a thread that waits for it.
    """

    def __init__(
        self, stream: TextIO, *, verbosity: int = 0, diff: bool = False, console: Console | None = None
    ) -> None:
        super().__init__(stream, verbosity=verbosity, diff=diff)
        self._console = console or Console(file=stream, markup=False, highlight=False, emoji=False)
        self._state = threading.Lock()
        self._board = Board()
        self._spinner = Spinner("dots")
        self._began = time.monotonic()
        self._rest = ""  # of a line that a job has not ended yet
        self._live = Live(get_renderable=self._picture, console=self._console, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def close(self) -> None:
        """Print what is left and end the live display."""
        with self._lock:
            with self._state:
                ended = self._board.end()
            self._print_tallies(ended)
            if self._rest:
                self._print(Text(clean(self._rest)))
            self._live.stop()

    def show(self, event: Event) -> None:
        """Take the event in and print what stays of it."""
        with self._state:
            ended = self._board.note(event)
        if isinstance(event, (PlayStarted, Recap)):
            self._print_tallies(ended)
            self._show(event)
        else:
            self._show(event)
            self._print_tallies(ended)

    def error(self, error: FleetError) -> None:
        """Print an error among the events."""
        first, *rest = render_error(error).split("\n")
        self._print(Text(first, "bold red"))
        self.lines(*rest)

    def lines(self, *lines: str) -> None:
        """Print lines as they are."""
        with self._lock:
            for line in lines:
                self._print(Text(line))

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print rows below their columns; cells that name a state have its colour."""
        table = Table(title=Text(title) if title else None, title_justify="left", box=None, pad_edge=False)
        for column in columns:
            table.add_column(Text(column, "bold"))
        for row in rows:
            table.add_row(*(Text(one_line(cell), COLOURS.get(str(cell), "")) for cell in row))
        with self._lock:
            self._console.print(table)

    # --- what stays ---

    @singledispatchmethod
    def _show(self, event: Event) -> None:
        """Keep nothing of events that only the live part shows."""

    @_show.register
    def _(self, event: Note) -> None:
        self._line(event.level if event.level != "info" else "", event.host, event.text)

    @_show.register
    def _(self, event: PlayStarted) -> None:
        hosts = f"{len(event.hosts)} hosts: {few(event.hosts)}" if event.hosts else "no hosts"
        self._print(Text.assemble(("\nplay  ", "bold"), (one_line(event.name), "bold"), (f"  {hosts}", "dim")))

    @_show.register
    def _(self, event: ItemResult) -> None:
        if event.status in BAD:
            task = f"{one_line(event.task)} [{one_line(event.label)}]"
            self._line(event.status, host_name(event), f"{task}: {message(event.result)}")
            self._print_below(details(event.result, ""))
        self._print_diff(event)

    @_show.register
    def _(self, event: TaskResult) -> None:
        name = title(event.role, event.task, event.action)
        if event.status in BAD:
            self._line(event.status, host_name(event), f"{name}: {message(event.result)}")
            self._print_below(details(event.result, event.where))
        elif spoken(event.action, event.result) and event.status != "skipped":
            self._line("", host_name(event), name)
            self._print_below(spoken(event.action, event.result))
        elif self.verbosity or ((self.diff or event.result.get("diff")) and event.status == "changed"):
            self._line(event.status, host_name(event), name)
        self._print_diff(event)

    @_show.register
    def _(self, event: Step) -> None:
        if event.state == "running":
            return
        detail = f": {one_line(event.detail)}" if event.detail else ""
        took = f"  {duration(event.seconds)}" if event.seconds else ""
        self._line(event.state, event.host, f"{one_line(event.name)}{detail}{took}")

    @_show.register
    def _(self, event: RankState) -> None:
        if event.state in ("ready", "done", "failed", "stopped"):
            detail = f": {one_line(event.detail)}" if event.detail else ""
            self._line(event.state, event.host, f"{event.deployment} rank {event.rank}{detail}")

    @_show.register
    def _(self, event: LogLines) -> None:
        if not self.verbosity:
            return
        head = (f"{event.deployment} {event.rank} {one_line(event.host)} │ ", "dim")
        for line in (line for text in event.lines for line in clean(text).split("\n")):
            self._print(Text.assemble(head, line))

    @_show.register
    def _(self, event: Output) -> None:
        *whole, self._rest = (self._rest + event.text).split("\n")
        for line in whole:
            self._print(Text(clean(line)))

    @_show.register
    def _(self, event: WouldRun) -> None:
        self.lines(*would_lines(event))

    @_show.register
    def _(self, event: EndpointReady) -> None:
        rows = Table.grid(padding=(0, 2))
        for name, value in (("endpoint", event.url), ("model", event.model), ("it says", event.sample)):
            rows.add_row(Text(name, "dim"), Text(clean(value).strip()))
        heading = Text(f"{event.deployment} is ready after {duration(event.seconds)}", "bold green")
        self._console.print(Panel(rows, title=heading, title_align="left", border_style="green", expand=False))

    @_show.register
    def _(self, event: Recap) -> None:
        table = Table(box=None, pad_edge=False)
        table.add_column(Text("host", "bold"))
        for name in _COUNTS:
            table.add_column(Text(name, "bold"), justify="right")
        for host, counts in event.hosts.items():
            numbers = [(name, getattr(counts, name)) for name in _COUNTS]
            bad = counts.failed or counts.unreachable
            cells = (Text(str(number), COLOURS[name] if number else "dim") for name, number in numbers)
            table.add_row(Text(one_line(host), "bold red" if bad else ""), *cells)
        self._print(Text(""))
        self._console.print(table)
        if event.seconds:
            self._print(Text(f"{len(event.hosts)} hosts in {duration(event.seconds)}", "dim"))
        for line in stat_lines(event):
            self._print(Text(f"stats {line}"))

    def _print_tallies(self, tallies: Sequence[Tally]) -> None:
        for tally in tallies:
            if tally.changed and not self.diff:  # each host's difference has stood below its own line
                self._line("changed", "", tally.title, few(tally.changed))

    def _print_diff(self, event: TaskResult | ItemResult) -> None:
        for line in diff_lines(event.result):
            colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
            self._print(Text(f"{'':{_WIDTH}}{line}", colour))

    def _print_below(self, lines: Sequence[str] | Iterator[str]) -> None:
        for line in lines:
            self._print(Text(f"{'':{_WIDTH}}{line}", "dim"))

    def _line(self, status: str, host: str, text: str, more: str = "") -> None:
        word = (f"{status:<{_WIDTH}}", COLOURS.get(status, ""))
        name = (f"{one_line(host)}  " if host else "", "bold")
        self._print(Text.assemble(word, name, one_line(text), (f"  {more}" if more else "", "dim")))

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)

    # --- what passes ---

    def _picture(self) -> RenderableType:
        """Draw the board; called by rich's refresh thread, too."""
        with self._state:
            rows = [*self._tasks(), *self._steps(), *self._ranks()]
            counts = [(name, number) for name, number in self._board.counts.items() if number]
        if not rows:
            return Text("")
        foot = Text("  ").join(Text(f"{number} {name}", COLOURS.get(name, "")) for name, number in counts)
        foot.append(f"{'  ' if counts else ''}{duration(time.monotonic() - self._began)}", "dim")
        return Group(*rows, foot)

    def _tasks(self) -> list[RenderableType]:
        tallies = self._board.tasks()
        return [self._task(tally) for tally in tallies[-_MOST_ROWS:]]

    def _task(self, tally: Tally) -> RenderableType:
        row = Table.grid(padding=(0, 1))
        left = Text.assemble((tally.title, "bold"), (f"  on {few(tally.waiting)}", "dim"))
        row.add_row(self._spinner, left)
        return row

    def _steps(self) -> list[RenderableType]:
        steps = list(self._board.steps.values())
        if not steps:
            return []
        table = Table.grid(padding=(0, 1))
        for step in steps[:_MOST_ROWS]:
            bar: RenderableType = ProgressBar(step.total, min(step.done, step.total), 20) if step.total else Text("")
            now = f"{amount(step.done, step.total, step.unit)}  {_passing(step)}".rstrip()
            more = f"{now}  {one_line(step.detail)}".strip()
            table.add_row(self._spinner, Text(one_line(step.name), "bold"), Text(step.host), bar, Text(more, "dim"))
        left_out = len(steps) - _MOST_ROWS
        return [table] if left_out <= 0 else [table, Text(f"and {left_out} more", "dim")]

    def _ranks(self) -> list[RenderableType]:
        ranks = [rank for _, rank in sorted(self._board.ranks.items())]
        if not ranks or all(rank.state in ("ready", "done", "stopped", "failed") for rank in ranks):
            return []
        table = Table.grid(padding=(0, 2))
        for rank in ranks:
            state = Text(rank.state, COLOURS.get(rank.state, ""))
            name = f"{rank.deployment} rank {rank.rank}"
            said = rank.detail or self._board.said.get((rank.deployment, rank.rank), "")
            last = Text(one_line(said), "dim", no_wrap=True, overflow="ellipsis")
            table.add_row(Text(name), Text(rank.host, "bold"), state, last)
        return [table]


def _passing(step: Step) -> str:
    """Spell what moves right now: rate, peers, time left, what is being verified."""
    if not isinstance(step, Transfer):
        return ""
    parts = (
        f"{size(step.rate)}/s" if step.rate else "",
        f"sends {size(step.sending)}/s" if step.sending else "",
        f"{step.peers} peers" if step.peers else "",
        f"{duration(step.left)} left" if step.left else "",
        f"verifies {few(step.verifying)}" if step.verifying else "",
    )
    return ", ".join(filter(None, parts))
