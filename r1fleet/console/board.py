"""What is going on right now, gathered from events: the state behind a live display."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from r1fleet.console.results import title
from r1fleet.console.text import one_line
from r1fleet.events import Event, LogLines, PlayStarted, RankState, Recap, Step, TaskResult, TaskStarted

_SHOWN_HOSTS = 4
_OVER = frozenset({"done", "failed", "skipped"})


@dataclass(slots=True)
class Tally:
    """One task on its way through the play's hosts."""

    title: str
    waiting: dict[str, None]
    changed: list[str] = field(default_factory=list)


class Board:
    """The play, the tasks that hosts are at, running steps, and ranks."""

    def __init__(self) -> None:
        self.play = ""
        self.hosts: tuple[str, ...] = ()
        self.counts: Counter[str] = Counter()
        self.steps: dict[tuple[str, str], Step] = {}
        self.ranks: dict[tuple[str, int], RankState] = {}
        self.said: dict[tuple[str, int], str] = {}
        self._tallies: dict[tuple[str, str], Tally] = {}

    def note(self, event: Event) -> list[Tally]:
        """Take the event in; return the tasks that it ends."""
        match event:
            case PlayStarted():
                ended = self.end()
                self.play, self.hosts = event.name, event.hosts
                return ended
            case TaskStarted():
                return self._start(event)
            case TaskResult():
                return self._result(event)
            case Recap():
                return self.end()
            case Step():
                self._step(event)
            case RankState():
                self.ranks[event.deployment, event.rank] = event
            case LogLines():
                for line in filter(str.strip, event.lines):
                    self.said[event.deployment, event.rank] = line
        return []

    def tasks(self) -> list[Tally]:
        """Return the tasks that hosts are at, the oldest first."""
        return list(self._tallies.values())

    def end(self) -> list[Tally]:
        """End the play: forget its tasks, return them."""
        ended = self.tasks()
        self._tallies.clear()
        self.play, self.hosts = "", ()
        return ended

    def _start(self, event: TaskStarted) -> list[Tally]:
        key = (event.role, event.where or event.name)
        before = self._tallies.pop(key, None)
        self._tallies[key] = Tally(title(event.role, event.name, event.action), dict.fromkeys(self.hosts))
        return [] if before is None else [before]

    def _result(self, event: TaskResult) -> list[Tally]:
        self.counts[event.status] += 1
        key = (event.role, event.where or event.task)  # a name may differ from host to host
        tally = self._tallies.setdefault(
            key, Tally(title(event.role, event.task, event.action), dict.fromkeys(self.hosts))
        )
        tally.waiting.pop(event.host, None)
        if event.status == "changed":
            tally.changed.append(event.host)
        if event.status in ("failed", "unreachable"):  # such a host does none of the play's later tasks
            self.hosts = tuple(host for host in self.hosts if host != event.host)
        if tally.waiting:
            return []
        del self._tallies[key]
        return [tally]

    def _step(self, event: Step) -> None:
        if event.state in _OVER:
            self.steps.pop((event.host, event.name), None)
        else:
            self.steps[event.host, event.name] = event


def few(hosts: Iterable[str]) -> str:
    """Name some hosts and count the others: ``h1 h2 h3 h4 and 60 more``."""
    names = [one_line(host) for host in hosts]
    more = len(names) - _SHOWN_HOSTS
    return " ".join(names) if more <= 1 else f"{' '.join(names[:_SHOWN_HOSTS])} and {more} more"
