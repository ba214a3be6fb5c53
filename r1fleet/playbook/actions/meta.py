"""``meta``: what steers the run itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

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
        if what in _FOR_ALL:
            if self._holds(task, hosts[0]):
                _FOR_ALL[what](self._run)
            return
        chosen = tuple(state for state in hosts if self._holds(task, state))
        if what == "flush_handlers" and chosen:
            await self._flush(chosen)
        for state in chosen:
            if what == "end_host":
                state.ended = True
            elif what == "end_role" and task.role is not None:
                state.left.append(task.role)
            elif what == "reset_connection":
                await self._sessions.forget(state)

    def _holds(self, task: Task, state: HostState) -> bool:
        scope = scope_of(self._run, state, task)
        return all(truth(condition, scope) for condition in task.settings.when)


def _end_play(run: RunState) -> None:
    run.current.stopped = True


def _end_batch(run: RunState) -> None:
    for state in run.current.batch:
        state.ended = True


def _clear_facts(run: RunState) -> None:
    for state in run.current.hosts:
        state.facts.clear()
        state.cached.clear()


def _clear_host_errors(run: RunState) -> None:
    """Let hosts that failed take part again: from the next play on, or at once where they are in an `always`."""
    for state in run.current.hosts:
        lost = state.failed or state.unreachable
        state.pardoned = state.pardoned or lost
        state.cleared = state.cleared or not lost


_FOR_ALL: Mapping[str, Callable[[RunState], None]] = {
    "clear_facts": _clear_facts,
    "clear_host_errors": _clear_host_errors,
    "end_batch": _end_batch,
    "end_play": _end_play,
    "refresh_inventory": RunState.refresh,
}
"""What concerns all hosts of the play; the first host's variables decide the condition."""
