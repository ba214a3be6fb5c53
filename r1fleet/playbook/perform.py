"""Does one task on one host: condition, loop, retries, and what the result means."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from r1fleet.agent.arguments import ArgumentError, check_names
from r1fleet.errors import FleetError
from r1fleet.events import ItemResult, Note
from r1fleet.playbook import catalogue
from r1fleet.playbook.actions.registry import act
from r1fleet.playbook.handlers import notify
from r1fleet.playbook.kinds import described
from r1fleet.playbook.learn import learn, register
from r1fleet.playbook.loops import Item, items_of, label_of, turns
from r1fleet.playbook.model import Loop, Task
from r1fleet.playbook.outcome import Outcome, failure, finished, of_items, skipped, told
from r1fleet.playbook.scope import Scope, where_of
from r1fleet.playbook.sessions import Sessions
from r1fleet.playbook.state import HostState, RunState
from r1fleet.playbook.templating import TemplateFailed, explained, render, render_number, truth
from r1fleet.playbook.variables import scope_of
from r1fleet.playbook.work import Work, flag, manner_of
from r1fleet.transport import Call, Reply

_RAW = {
    "debug": frozenset({"var"}),
    "assert": frozenset({"that"}),
    "include_tasks": frozenset({"apply"}),
    "include_role": frozenset({"apply"}),
}
"""Arguments that are expressions or keywords, and rendered by their action."""


@dataclass(frozen=True, slots=True)
class Performer:
    """Performs tasks."""

    run: RunState
    sessions: Sessions

    async def perform(self, task: Task, state: HostState) -> Outcome:
        """Do a task on a host, keep what it registers and finds; never raises for the host's failure."""
        scope = scope_of(self.run, state, task)
        outcome = await (
            self._once(task, state, scope) if task.loop is None else self._loop(task, task.loop, state, scope)
        )
        register(task, state, outcome.result)
        return outcome

    async def _loop(self, task: Task, loop: Loop, state: HostState, scope: Scope) -> Outcome:
        try:
            values = items_of(loop, scope)
            items = turns(loop, scope, values)
            pause = render_number(loop.pause, scope, "pause")
        except FleetError as error:
            return self.not_looped(task, scope, error)
        outcomes: list[Outcome] = []
        for index, item in enumerate(items):
            if index and pause:
                await asyncio.sleep(pause)
            scope = item.scope.over({task.register: outcomes[-1].result}) if task.register and outcomes else item.scope
            outcome = with_item(await self._once(task, state, scope), item)
            if task.register:
                item = replace(item, scope=item.scope.over({task.register: outcome.result}))
            outcome, last = _ended(loop, item, labelled(loop, item, outcome))
            outcomes.append(outcome)
            self.tell_item(task, state, loop, item, outcome)
            if last:
                break
        return of_items(outcomes)

    def planned(self, task: Task, state: HostState, scope: Scope, plan: Callable[[Work], Call]) -> Outcome | Call:
        """Return the call that a task becomes, or how it ends without one."""
        try:
            return self._condition(task, scope) or plan(self.prepare(task, state, scope))
        except FleetError as error:
            return failure(explained(error, scope))

    def notified(self, task: Task, state: HostState, outcome: Outcome) -> Outcome:
        """Notify the handlers of a task that changed something."""
        if outcome.status != "changed" or not task.settings.notify:
            return outcome
        try:
            notify(self.run, task, state)
        except FleetError as error:
            return failure(error)
        return outcome

    def not_looped(self, task: Task, scope: Scope, error: FleetError) -> Outcome:
        """Return the outcome where the list itself fails: a condition that does not hold comes first."""
        try:
            return self._condition(task, scope) or failure(explained(error, scope))
        except FleetError:
            return failure(error)

    def tell_item(self, task: Task, state: HostState, loop: Loop, item: Item, outcome: Outcome) -> None:
        """Tell how one item of a loop ended."""
        self.run.observer(self.item_result(task, state, loop, item, outcome))

    def item_result(self, task: Task, state: HostState, loop: Loop, item: Item, outcome: Outcome) -> ItemResult:
        """Return what is told of one item of a loop."""
        try:
            label = label_of(loop, item)
            hidden = flag(task.settings.no_log, item.scope, default=False, name="no_log")
            diff = flag(task.settings.diff, item.scope, default=self.run.options.diff, name="diff")
        except FleetError as error:
            label, hidden, diff = f"({error.what})", True, False
        result = told(outcome.result, hidden=hidden, diff=diff)
        shown = "(censored due to no_log)" if hidden else label
        role, where = task.role.title if task.role else "", str(task.where)
        way = (outcome.delegate, outcome.address)
        return ItemResult(state.name, task.title, shown, outcome.status, result, role, where, *way)

    async def _once(self, task: Task, state: HostState, scope: Scope) -> Outcome:
        """Do a task without its loop."""
        try:
            left_out = self._condition(task, scope)
            if left_out is not None:
                return left_out
            work = self.prepare(task, state, scope)
        except FleetError as error:
            return failure(explained(error, scope))
        try:
            outcome = await self._until(work)
        except FleetError as error:
            outcome = failure(explained(error, scope))
        return replace(outcome, delegate=work.delegate, address=self._address(work)) if work.delegate else outcome

    def _address(self, work: Work) -> str:
        scope = scope_of(self.run, work.target)
        address = str(render(scope.raw("ansible_host"), scope)) if "ansible_host" in scope else ""
        return "" if address == work.delegate else address

    def _condition(self, task: Task, scope: Scope) -> Outcome | None:
        for condition in task.settings.when:
            if not truth(condition, scope):
                return skipped(condition if isinstance(condition, bool) else str(condition))
        return None

    def prepare(self, task: Task, state: HostState, scope: Scope) -> Work:
        """Render a task's arguments and keywords."""
        target = self._target(task, state, scope)
        target_scope = scope if target is state else scope_of(self.run, target, task)
        manner = manner_of(self.run, task, scope, target_scope)
        return Work(self.run, self.sessions, state, target, task, scope, arguments(task, scope), manner)

    def _target(self, task: Task, state: HostState, scope: Scope) -> HostState:
        if task.settings.delegate_to is None:
            return state
        name = render(task.settings.delegate_to, scope)
        return self.run.host(str(name)) if name else state

    async def _until(self, work: Work) -> Outcome:
        """Act, again and again where the task says so."""
        task = work.task
        if not task.until and task.retries is None:
            return judge(task, work.scope, await self._act(work))
        tries = int(render_number(task.retries, work.scope, "retries", 3)) + 1
        delay = render_number(task.delay, work.scope, "delay")
        for attempt in range(1, tries + 1):
            result = await self._act(work)
            result["attempts"] = attempt
            outcome = judge(task, work.scope, result)
            if outcome.status == "unreachable" or self._reached(task, work.scope, outcome):
                return outcome
            if attempt < tries:
                left = f"FAILED - RETRYING: [{work.state.name}]: {task.title} ({tries - attempt} retries left)."
                self.run.observer(Note(left, host=work.state.name))
                await asyncio.sleep(delay)
        if task.failed_when:
            return replace(outcome, result={**outcome.result, "attempts": tries - 1})
        return replace(outcome, status="failed", result={**outcome.result, "attempts": tries - 1, "failed": True})

    def _reached(self, task: Task, scope: Scope, outcome: Outcome) -> bool:
        if not task.until:
            return outcome.status != "failed"
        seen = scope.over({task.register: outcome.result}) if task.register else scope
        return all(truth(condition, seen) for condition in task.until)

    async def _act(self, work: Work) -> Reply:
        try:
            reply = await act(work)
        except FleetError as error:
            return failure(error).result
        learn(work.task, work.state, work.target, reply)
        return reply


def arguments(task: Task, scope: Scope) -> dict[str, Any]:
    """Return a task's arguments rendered, over the defaults that ``module_defaults`` gives its action."""
    raw = _RAW.get(task.action, frozenset())
    given = {name: value for name, value in task.args.items() if name not in raw}
    defaults: dict[str, Any] = {}
    for table in task.settings.module_defaults:
        for name, values in table.items():
            if catalogue.short_name(str(name)) == task.action:
                defaults.update(render(values, scope))
    return {**defaults, **_all_given(task, scope), **render(given, scope)}


def _all_given(task: Task, scope: Scope) -> dict[str, Any]:
    """Return the arguments that one template gives, checked as those that are written out."""
    found = render(task.given, scope)
    if found is None:
        return {}
    where = where_of(task.given)
    if not isinstance(found, dict):
        raise TemplateFailed(f"the arguments of {task.action} are a mapping, not {described(found)}", where=where)
    known = task.own or catalogue.find(task.action)
    if known is not None and not known.any_argument:
        try:
            check_names(task.action, found, known.spec)
        except ArgumentError as error:
            raise TemplateFailed(error.msg, where=where) from error
    return {str(name): value for name, value in found.items()}


def judge(task: Task, scope: Scope, result: Reply) -> Outcome:
    """Apply ``changed_when`` and ``failed_when`` to a result."""
    if result.get("unreachable") or (result.get("skipped") and not result.get("failed")):
        return finished(result)
    result.setdefault("changed", False)
    seen = scope.over(_view(task, result))
    broken = bool(result.get("failed"))
    for word, conditions in (("changed", task.changed_when), ("failed", task.failed_when)):
        if conditions:
            try:
                result[word] = all(_holds(condition, seen) for condition in conditions)
            except FleetError as error:
                wrong = failure(error).result
                return finished({**result, **wrong, "changed": result["changed"], f"{word}_when_result": wrong["msg"]})
    if task.failed_when:
        result["failed_when_result"] = result["failed"]
        if broken and not result["failed"]:
            result["failed_when_suppressed_exception"] = result.pop("exception", "(traceback unavailable)")
    return finished(result)


def _holds(condition: Any, scope: Scope) -> bool:
    return condition if isinstance(condition, bool) else truth(condition, scope)


def _view(task: Task, result: Reply) -> Mapping[str, Any]:
    view: dict[str, Any] = {}
    if isinstance(result.get("ansible_facts"), dict):
        view.update(result["ansible_facts"])
    if task.register:
        view[task.register] = {"failed": False, **result}
    return view


def labelled(loop: Loop, item: Item, outcome: Outcome) -> Outcome:
    """Return an item's outcome; one whose label cannot be rendered has failed."""
    if loop.label is None:
        return outcome
    try:
        label_of(loop, item)
    except FleetError as error:
        return replace(outcome, status="failed", result={**outcome.result, **failure(error).result, "skipped": False})
    return outcome


def _ended(loop: Loop, item: Item, outcome: Outcome) -> tuple[Outcome, bool]:
    """Return an item's outcome, and whether the loop ends with it."""
    if outcome.status == "unreachable" or not loop.break_when:
        return outcome, outcome.status == "unreachable"
    try:
        return outcome, all(truth(condition, item.scope) for condition in loop.break_when)
    except FleetError as error:
        return replace(outcome, status="failed", result={**outcome.result, **failure(error).result}), True


def with_item(outcome: Outcome, item: Item) -> Outcome:
    """Return an item's outcome with what its result says of the item."""
    return replace(outcome, result={**outcome.result, **item.variables})
