"""The text of ansible-playbook's default output, where people and Molecule read it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import singledispatchmethod
from typing import Any, TextIO

from r1fleet.console.interface import Renderer
from r1fleet.console.plain import PlainRenderer
from r1fleet.console.results import diff_lines, dump, host_name, shown, stat_lines, title
from r1fleet.console.text import clean, one_line
from r1fleet.events import Event, ItemResult, Note, PlayStarted, Recap, TaskResult, TaskStarted

_WIDTH = 79
# Actions whose result ansible-playbook shows also when all is well.
_SPEAKING = frozenset({"assert", "debug"})
_INCLUDES = frozenset({"include_role", "include_tasks"})
_WORDS = {"ok": "ok", "changed": "changed", "skipped": "skipping"}
_YES = frozenset({"1", "on", "t", "true", "y", "yes"})
_COUNTS = ("ok", "changed", "unreachable", "failed", "skipped", "rescued", "ignored")


class AnsibleRenderer(Renderer):
    """Writes banners, one line for each result, and the recap."""

    def __init__(self, stream: TextIO, *, verbosity: int = 0, diff: bool = False) -> None:
        super().__init__(stream, verbosity=verbosity, diff=diff)
        self._other = PlainRenderer(stream, verbosity=verbosity, diff=diff)
        self._task: TaskStarted | None = None
        self._by_name: dict[str, TaskStarted] = {}  # the tasks of this play
        self._by_place: dict[tuple[str, str], TaskStarted] = {}
        self._ignoring: set[str] = set()
        self._included: dict[tuple[str, str], list[str]] = {}  # hosts by what was included, not yet told

    def show(self, event: Event) -> None:
        """Write the event's lines."""
        if not (_is_include(event) or _ends_includes(event)):
            self._tell_included()
        self._show(event)

    @singledispatchmethod
    def _show(self, event: Event) -> None:
        self._other.show(event)

    @_show.register
    def _(self, event: Note) -> None:
        host = f"{event.host}: " if event.host and f"[{event.host}]" not in event.text else ""
        level = "" if event.level == "info" else f"[{event.level.upper()}]: "
        self.lines(f"{level}{host}{one_line(event.text)}")

    @_show.register
    def _(self, event: PlayStarted) -> None:
        self._banner(f"PLAY [{one_line(event.name)}]")
        self._task = None
        self._by_name.clear()
        self._by_place.clear()
        if not event.hosts:
            self.lines("skipping: no hosts matched")

    @_show.register
    def _(self, event: TaskStarted) -> None:
        self._begin(event)

    @_show.register
    def _(self, event: ItemResult) -> None:
        self._return_to(self._by_place.get((event.role, event.where or event.task)) or self._by_name.get(event.task))
        host, item = _host(event), f"(item={one_line(event.label)})"
        if _is_include(event):
            self._included.setdefault((one_line(event.result.get("include")), f" => {item}"), []).append(event.host)
            return
        self._show_diff(event.result)
        if event.status in _WORDS:
            self.lines(*self._item_done(event, host, item).split("\n"))
            return
        self.lines(f"failed: [{host}] {item} => {_dump(event.result)}")
        if event.status == "ignored":
            self._ignoring.add(event.host)
            self.lines("...ignoring")

    @_show.register
    def _(self, event: TaskResult) -> None:
        self._return_to(self._begun(event))
        if _is_told_by_items(event):
            self._end_loop(event)
            return
        host = _host(event)
        if not event.looped:
            self._show_diff(event.result)
        if _is_include(event):
            self._included.setdefault((one_line(event.result.get("include")), ""), []).append(event.host)
            return
        if event.status in _WORDS:
            self.lines(*f"{_WORDS[event.status]}: [{host}]{self._spoken(event.action, event)}".split("\n"))
            return
        word = "UNREACHABLE" if event.result.get("unreachable") else "FAILED"
        indent = 4 if event.action.rpartition(".")[2] == "assert" else None
        self.lines(*f"fatal: [{host}]: {word}! => {_dump(event.result, indent=indent)}".split("\n"))
        if event.status == "ignored":
            self.lines("...ignoring")

    @_show.register
    def _(self, event: Recap) -> None:
        self._banner("PLAY RECAP")
        for host in sorted(event.hosts):
            counts = event.hosts[host]
            pairs = " ".join(f"{name}={getattr(counts, name):<4}" for name in _COUNTS)
            self.lines(f"{one_line(host):<26} : {pairs}")
        self.lines("")
        if event.stats and os.environ.get("ANSIBLE_SHOW_CUSTOM_STATS", "").lower() in _YES:
            self._banner("CUSTOM STATS:")
            for line in stat_lines(event, indent=1):
                self.lines(*([""] if line.startswith("RUN:") else []), f"\t{line}")
            self.lines("")

    def _begin(self, task: TaskStarted) -> None:
        self._task = task
        self._by_name[task.name or task.action] = self._by_place[task.role, task.where or task.name] = task
        word = "RUNNING HANDLER" if task.handler else "TASK"
        self._banner(f"{word} [{title(task.role, task.name, task.action)}]")
        if self.verbosity > 1 and task.where:
            self.lines(f"task path: {one_line(task.where)}")

    def _return_to(self, begun: TaskStarted | None) -> None:
        """Name a task again where results of several tasks come interleaved."""
        if begun is not None and begun is not self._task:
            self._begin(begun)

    def _begun(self, result: TaskResult) -> TaskStarted:
        """Find the task of a result: its place tells it apart, as its name may differ from host to host."""
        begun = self._by_place.get((result.role, result.where or result.task))
        return begun or TaskStarted(result.task, result.action, result.role, result.where)

    def _item_done(self, event: ItemResult, host: str, item: str) -> str:
        action = self._task.action if self._task else ""
        blank = " " if event.status == "skipped" else ""  # ansible-playbook writes one
        return f"{_WORDS[event.status]}: [{host}] => {item}{self._spoken(action, event) or blank}"

    def _spoken(self, name: str, event: TaskResult | ItemResult) -> str:
        action = name.rpartition(".")[2]
        if event.status != "skipped" and action in _SPEAKING and "censored" not in event.result:
            return f" => {clean(dump(_said(action, event.result), indent=4))}"
        return f" => {_dump(event.result)}" if self.verbosity else ""

    def _tell_included(self) -> None:
        """Name what was included once, with all hosts that included it."""
        for (what, item), hosts in self._included.items():
            self.lines(f"included: {what} for {', '.join(map(one_line, hosts))}{item}")
        self._included.clear()

    def _show_diff(self, result: Mapping[str, Any]) -> None:
        lines = list(diff_lines(result))
        if lines:
            self.lines(*lines, "")

    def _end_loop(self, event: TaskResult) -> None:
        """Say what the items, which have been shown, did not say: that their failures do not count."""
        if event.status == "ignored" and event.host not in self._ignoring:
            self.lines("...ignoring")
        self._ignoring.discard(event.host)

    def _banner(self, text: str) -> None:
        self.lines("", f"{text} {'*' * max(3, _WIDTH - len(text))}")


def _host(event: TaskResult | ItemResult) -> str:
    """Name the host, and where the work was done elsewhere that host with its address."""
    return f"{host_name(event)}({one_line(event.address)})" if event.address else host_name(event)


def _is_include(event: Event) -> bool:
    """Tell the good result of an include, of one item or of a task without a loop."""
    if not isinstance(event, (TaskResult, ItemResult)) or event.status != "ok" or "include" not in event.result:
        return False
    return isinstance(event, ItemResult) or (event.action in _INCLUDES and not event.looped)


def _ends_includes(event: Event) -> bool:
    return isinstance(event, TaskResult) and event.action in _INCLUDES and _is_told_by_items(event)


def _dump(result: Mapping[str, Any], *, indent: int | None = None) -> str:
    """Write what people see of a result; that it failed stands before it."""
    return clean(dump({key: value for key, value in shown(result).items() if key != "failed"}, indent=indent))


def _is_told_by_items(event: TaskResult) -> bool:
    """Tell a loop whose items have said all; one that is hidden shows no results."""
    hidden = "censored" in event.result and event.status in ("ok", "changed")
    return event.looped and ("results" in event.result or hidden) and event.status not in ("skipped", "unreachable")


def _said(action: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a debug task says: its message, or its variable, and nothing else."""
    values = {key: value for key, value in shown(result).items() if key != "failed"}
    if action != "debug":
        return {"changed": False, **values}
    if "msg" in values:
        return {"msg": values["msg"]}
    return {key: value for key, value in values.items() if key != "changed"}
