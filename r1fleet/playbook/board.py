"""Tells the observer how tasks end, and keeps the counts of the recap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from r1fleet.errors import FleetError
from r1fleet.events import ItemResult, TaskResult, TaskStarted
from r1fleet.playbook.model import Task
from r1fleet.playbook.outcome import Outcome, told
from r1fleet.playbook.scope import Scope
from r1fleet.playbook.state import HostState, RunState
from r1fleet.playbook.templating import render_text
from r1fleet.playbook.variables import scope_of
from r1fleet.playbook.work import flag

_HANDLING: ContextVar[bool] = ContextVar("handling", default=False)


class Board:
    """Where results are posted."""

    def __init__(self, run: RunState) -> None:
        self._run = run
        self._last: Task | None = None

    @contextmanager
    def handling(self) -> Iterator[None]:
        """Tell tasks that begin inside as handlers, those that a handler includes, too."""
        token = _HANDLING.set(True)
        try:
            yield
        finally:
            _HANDLING.reset(token)

    def started(self, task: Task, state: HostState) -> None:
        """Tell that a task begins, unless that was the last thing told: hosts that go their own way share a title."""
        if self._last is task and self._run.current.free:
            return
        self._last = task
        title = self.title(task, state)
        self._run.at, self._run.through = (title, task), set()
        self._run.observer(TaskStarted(title, task.action, _role(task), str(task.where), _HANDLING.get()))

    def title(self, task: Task, state: HostState) -> str:
        """Return a task's name, rendered where it can be."""
        try:
            if task.name:
                return render_text(task.name, scope_of(self._run, state, task))
            role = task.args.get("name", task.args.get("role")) if task.action == "include_role" else None
            return f"include_role : {role}" if role else task.title
        except FleetError:
            return str(task.name)

    def items(self, task: Task, state: HostState, told: Sequence[ItemResult]) -> None:
        """Tell how the items of a loop ended, which have waited for their task's turn."""
        if told and self._run.current.free:
            self.started(task, state)
        for event in told:
            self._run.observer(event)

    def post(
        self,
        task: Task,
        state: HostState,
        outcome: Outcome,
        *,
        rescuable: bool = False,
        seconds: float = 0.0,
        times: int = 1,
        final: bool = False,
    ) -> None:
        """Count and tell one result (an include counts once per file); a host that failed takes no further part.

        What is ``final`` is no failure that ``ignore_errors`` could be about.
        """
        status = self._status(task, state, outcome, rescuable=rescuable, final=final)
        changed = 1 if outcome.result.get("changed") else 0
        if status in {"ok", "changed"}:
            state.count(ok=times, changed=changed)
        elif status == "ignored":
            state.count(ok=1, ignored=1, changed=changed)
        else:
            state.count(**{status: 1})
        state.failed = state.failed or status in {"failed", "rescued"}
        state.unreachable = state.unreachable or status == "unreachable"
        state.pardoned = state.pardoned and not (state.failed or state.unreachable)
        if self._run.current.free:
            self.started(task, state)
        self._run.through.add(state.name)
        result = told(outcome.result, hidden=self._hidden(task, state), diff=self._differs(task, state))
        self._run.observer(
            TaskResult(
                state.name,
                self.title(task, state),
                status,
                result,
                _role(task),
                task.action,
                str(task.where),
                outcome.looped,
                seconds,
                outcome.delegate,
                outcome.address,
            )
        )

    def _status(self, task: Task, state: HostState, outcome: Outcome, *, rescuable: bool, final: bool) -> str:
        if not outcome.bad:
            return outcome.status
        scope = scope_of(self._run, state, task)
        if outcome.status == "unreachable":
            return "ignored" if safe_flag(task.settings.ignore_unreachable, scope) else "unreachable"
        if not final and safe_flag(task.settings.ignore_errors, scope):
            return "ignored"
        return "rescued" if rescuable else "failed"

    def _differs(self, task: Task, state: HostState) -> bool:
        if task.settings.diff is None:
            return self._run.options.diff
        return safe_flag(task.settings.diff, scope_of(self._run, state, task))

    def _hidden(self, task: Task, state: HostState) -> bool:
        if task.settings.no_log is None:
            return False
        return safe_flag(task.settings.no_log, scope_of(self._run, state, task), broken=True)


def safe_flag(value: object, scope: Scope, *, broken: bool = False) -> bool:
    """Return a keyword's truth; ``broken`` where its template cannot be rendered."""
    try:
        return flag(value, scope, default=False, name="")
    except FleetError:
        return broken


def _role(task: Task) -> str:
    return task.role.title if task.role is not None else ""
