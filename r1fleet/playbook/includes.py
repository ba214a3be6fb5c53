"""include_tasks and include_role: what to run becomes known only on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from r1fleet.errors import FleetError, PlaybookError
from r1fleet.events import ItemResult
from r1fleet.inventory.source import Block as Written
from r1fleet.playbook.filters import to_bool
from r1fleet.playbook.inherit import handed_down
from r1fleet.playbook.library import Library
from r1fleet.playbook.loops import Item, items_of, shown_label, turns
from r1fleet.playbook.model import Node, Settings, Task
from r1fleet.playbook.nodes import read_file, read_role
from r1fleet.playbook.outcome import Outcome, failure, finished, of_items, skipped
from r1fleet.playbook.perform import arguments, labelled, with_item
from r1fleet.playbook.problems import Problems
from r1fleet.playbook.reading import Reader, Search
from r1fleet.playbook.scope import Scope
from r1fleet.playbook.state import HostState, RunState
from r1fleet.playbook.templating import truth
from r1fleet.playbook.variables import scope_of

INCLUDES = frozenset({"include_tasks", "include_role"})
_DEEPEST = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one host wants included; hosts that want the same run it together."""

    args: Mapping[str, Any]
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Includes:
    """Finds and reads what tasks include."""

    run: RunState
    search: Search
    library: Library

    def wanted(self, task: Task, state: HostState) -> tuple[Outcome, list[Wanted]]:
        """Return a host's result of an include task, and what is to run for it."""
        scope = scope_of(self.run, state, task)
        if task.loop is None:
            outcome, wanted = self._one(task, scope, None)
            return outcome, [wanted] if wanted else []
        try:
            items = turns(task.loop, scope, items_of(task.loop, scope))
        except FleetError as error:
            return failure(error), []
        found = [(item, *self._one(task, item.scope, item)) for item in items]
        pairs = [(labelled(task.loop, item, outcome), wanted) for item, outcome, wanted in found]
        for item, (outcome, _) in zip(items, pairs, strict=True):
            self._tell(task, state, shown_label(task.loop, item), outcome)
        done = [wanted for outcome, wanted in pairs if wanted and not outcome.bad]
        return of_items([outcome for outcome, _ in pairs]), done

    def _tell(self, task: Task, state: HostState, label: str, outcome: Outcome) -> None:
        role = task.role.title if task.role else ""
        self.run.observer(
            ItemResult(state.name, task.title, label, outcome.status, outcome.result, role, str(task.where))
        )

    def read(self, task: Task, wanted: Wanted) -> tuple[Node, ...]:
        """Read what is wanted; raise PlaybookError with all that is wrong with it."""
        if task.depth >= _DEEPEST:
            what = f"includes go deeper than {_DEEPEST}: does one of them include itself without end?"
            raise PlaybookError(what, where=task.where, hint="give it a condition that ends it, or a loop")
        problems = Problems()
        settings = _around(task)
        apply = task.args.get("apply")
        if isinstance(apply, Mapping):
            settings = handed_down(settings, Written(task.where, apply), problems)
        params = {**task.params, **_own_vars(task), **wanted.params}
        reader = Reader(
            self.search,
            problems,
            self.run.current.play.folder,
            {**wanted.params, **self.run.options.extra_vars},
            settings,
            task.role,
            task.folder,
            depth=task.depth + 1,
            params=params,
            library=self.library,
        )
        nodes = (
            self._tasks(reader, task, wanted) if task.action == "include_tasks" else self._role(reader, task, wanted)
        )
        problems.raise_all()
        return nodes

    def _tasks(self, reader: Reader, task: Task, wanted: Wanted) -> tuple[Node, ...]:
        path = reader.find(str(wanted.args.get("file")), "tasks", task.where)
        return read_file(reader, path, task.where) if path is not None else ()

    def _role(self, reader: Reader, task: Task, wanted: Wanted) -> tuple[Node, ...]:
        role = read_role(reader, wanted.args, task.where)
        play = self.run.current
        known = {(handler.name, handler.where) for handler in play.handlers}
        play.handlers.extend(handler for handler in role.handlers if (handler.name, handler.where) not in known)
        if to_bool(wanted.args.get("public", False)):
            play.uses.extend(role.uses)
        return role.body

    def _one(self, task: Task, scope: Scope, item: Item | None) -> tuple[Outcome, Wanted | None]:
        try:
            for condition in task.settings.when:
                if not truth(condition, scope):
                    left_out = skipped(str(condition))
                    return (with_item(left_out, item) if item else left_out), None
            args = arguments(task, scope)
        except FleetError as error:
            outcome = failure(error)
            return (with_item(outcome, item) if item else outcome), None
        outcome = finished({"changed": False, "include": args.get("file") or args.get("name"), "include_args": {}})
        params = dict(item.variables) if item else {}
        return (with_item(outcome, item) if item else outcome), Wanted(args, params)


def _around(task: Task) -> Settings:
    """Return what an include hands down: what surrounds it, not its own condition and tags."""
    return task.outer if task.outer is not None else replace(task.settings, when=(), tags=())


def _own_vars(task: Task) -> Mapping[str, Any]:
    merged: dict[str, Any] = {}
    inherited = len(task.outer.vars) if task.outer is not None else 0
    for part in task.settings.vars[inherited:]:
        merged.update(part)
    return merged
