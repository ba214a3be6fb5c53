"""``meta``: what steers the run itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from r1fleet.playbook.model import Task
from r1fleet.playbook.sessions import Sessions
from r1fleet.playbook.state import HostState, RunState
from r1fleet.playbook.templating import truth
from r1fleet.playbook.variables import scope_of

Flush = Callable[[tuple[HostState, ...]], Awaitable[None]]


class Meta:
    """Performs meta tasks; they have no result and are not counted."""

    def __init__(self, run: RunState, sessions: Sessions, flush: Flush) -> None:
        self._run = run
        self._sessions = sessions
        self._flush = flush

    async def perform(self, task: Task, hosts: tuple[HostState, ...]) -> None:
        """Do what a meta task says on the hosts for which its condition holds."""
        what = str(task.args.get("_action"))
        chosen = tuple(state for state in hosts if self._holds(task, state))
        if not chosen:
            return
        if what == "flush_handlers":
            await self._flush(chosen)
        elif what == "end_play":
            self._run.current.stopped = True
        elif what in {"end_host", "end_batch"}:
            for state in chosen:
                state.ended = True
        elif what == "clear_facts":
            for state in chosen:
                state.facts.clear()
                state.cached.clear()
        elif what == "clear_host_errors":
            for state in self._run.current.batch:
                state.failed = state.unreachable = False
        elif what == "reset_connection":
            for state in chosen:
                await self._sessions.forget(state)

    def _holds(self, task: Task, state: HostState) -> bool:
        scope = scope_of(self._run, state, task)
        return all(truth(condition, scope) for condition in task.settings.when)
