"""Runs of host-local tasks as one window: on each host calls go ahead of the results of those before.

What a task needs and is not there yet ends the going ahead: a result under way makes it wait for its own host, a look
at other hosts ends the window, because they may be behind. A failure ends it on the host itself (see Call.window).
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from r1fleet.errors import FleetError
from r1fleet.events import ItemResult
from r1fleet.playbook import catalogue
from r1fleet.playbook.actions.registry import ACTIONS, plan
from r1fleet.playbook.board import Board
from r1fleet.playbook.digests import with_digests
from r1fleet.playbook.learn import learn, register
from r1fleet.playbook.loops import Item, items_of, turns
from r1fleet.playbook.model import Node, Task
from r1fleet.playbook.outcome import Outcome, failure, of_items
from r1fleet.playbook.perform import Performer, judge, with_item
from r1fleet.playbook.scope import PENDING, OtherHosts, PendingResult, Scope
from r1fleet.playbook.secrecy import secrets_of, without
from r1fleet.playbook.state import HostState, RunState
from r1fleet.playbook.variables import scope_of
from r1fleet.playbook.work import become_of, way_of
from r1fleet.transport import Call, Reply, Session

_DEEPEST = 64
_WAY = ("connection", "remote_user", "port")
_ALONE = ("run_once", "delegate_to", "any_errors_fatal", "ignore_errors", "ignore_unreachable", "throttle")


def may_go_ahead(run: RunState, node: Node) -> bool:
    """Tell whether a task can be part of a window: it concerns its own host only, and only success lets it go on."""
    if not isinstance(node, Task) or node.action in ACTIONS or node.action.endswith("facts") or node.action == "setup":
        return False
    known = node.own or catalogue.find(node.action)
    if known is None or not (known.local or (known.on_host and run.current.free)):
        return False
    if node.until or node.retries is not None or node.failed_when or node.limit:
        return False
    if node.loop is not None and (node.loop.pause or node.loop.break_when):
        return False
    return all(getattr(node.settings, name) is None for name in _ALONE)


def same_way(one: Task, other: Task) -> bool:
    """Tell whether two tasks reach their host in the same way."""
    return all(getattr(one.settings, name) == getattr(other.settings, name) for name in _WAY)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One call under way."""

    reply: Future[Reply]
    secrets: tuple[str, ...]  # that the reply must not show


@dataclass(slots=True)
class _Sent:
    """One task under way on one host: an outcome per item, or the future of its reply."""

    task: Task
    index: int
    begin: float
    turns: list[tuple[Scope, Item | None, Outcome | _Asked]] = field(default_factory=list)
    ended: Outcome | None = None  # where the task ended without its items
    told: list[ItemResult] = field(default_factory=list)  # of its items, once the task is shown

    @property
    def stops(self) -> bool:
        """Whether it is known already that nothing after this task runs."""
        parts = [part for _, _, part in self.turns if isinstance(part, Outcome)]
        return any(part.bad for part in [*parts, *([self.ended] if self.ended else [])])


class Window:
    """One run of tasks on some hosts."""

    def __init__(self, run: RunState, performer: Performer, board: Board, tasks: Sequence[Task]) -> None:
        self._run = run
        self._performer = performer
        self._board = board
        self._tasks = tasks
        self._name = uuid.uuid4().hex
        self._ends: dict[HostState, int] = {}  # how many tasks a host has done, or will have
        self._posted: list[dict[HostState, tuple[_Sent, Outcome, float]]] = [{} for _ in tasks]
        self._seen: list[set[HostState]] = [set() for _ in tasks]
        self._shown = -1

    async def perform(self, hosts: tuple[HostState, ...], *, rescuable: bool) -> dict[HostState, int]:
        """Do the tasks on all hosts; return how many each has done. Results are posted in the order of the tasks."""
        self._ends = {state: len(self._tasks) for state in hosts}
        self._show(rescuable=rescuable)
        await asyncio.gather(*(self._host(state, rescuable=rescuable) for state in hosts))
        return self._ends

    async def _host(self, state: HostState, *, rescuable: bool) -> None:
        async with self._performer.sessions.forks:
            try:
                scope = scope_of(self._run, state, self._tasks[0])
                become = become_of(self._run, self._tasks[0], scope, scope)
                session = await self._performer.sessions.open(state, way_of(self._run, self._tasks[0], scope), become)
            except FleetError as error:
                self._end(state, _Sent(self._tasks[0], 0, time.monotonic()), failure(error), rescuable=rescuable)
                return
            done = await self._ahead(state, session, deque(), rescuable=rescuable)
        state.ahead = False
        for task in self._tasks:
            if task.register and state.fresh.get(task.register) is PENDING:
                del state.fresh[task.register]
        self._ends[state] = min(self._ends[state], done)
        self._show(rescuable=rescuable)

    async def _ahead(self, state: HostState, session: Session, sent: deque[_Sent], *, rescuable: bool) -> int:
        """Send task after task; return how many were done when the window ended here."""
        for index, task in enumerate(self._tasks):
            state.ahead = index > 0
            while len(sent) >= _DEEPEST:
                if not await self._receive(state, sent, rescuable=rescuable):
                    return index
            try:
                one = await self._send(task, index, state, session)
            except OtherHosts:
                await self._receive_all(state, sent, rescuable=rescuable)
                return index
            except PendingResult:
                if not await self._receive_all(state, sent, rescuable=rescuable):
                    return index
                try:
                    one = await self._send(task, index, state, session)
                except OtherHosts:
                    return index
            sent.append(one)
            if one.stops:
                break
        await self._receive_all(state, sent, rescuable=rescuable)
        return len(self._tasks)

    async def _send(self, task: Task, index: int, state: HostState, session: Session) -> _Sent:
        """Submit a task's calls; nothing is sent before the whole task is known not to wait for anything."""
        scope = scope_of(self._run, state, task)
        one = _Sent(task, index, time.monotonic())
        items: list[Item | None] = [None]
        if task.loop is not None:
            try:
                items = list(turns(task.loop, scope, items_of(task.loop, scope)))
            except FleetError as error:
                one.ended = self._performer.not_looped(task, scope, error)
                return one
        prepared = [(item.scope if item else scope, item) for item in items]
        calls = [await self._planned(task, state, seen) for seen, _ in prepared]
        for (seen, item), call in zip(prepared, calls, strict=True):
            part = (
                call
                if isinstance(call, Outcome)
                else self._ask(session, task, replace(call, window=(self._name, index)))
            )
            one.turns.append((seen, item, part))
        if task.register:
            state.fresh[task.register] = PENDING
        return one

    @staticmethod
    def _ask(session: Session, task: Task, call: Call) -> _Asked:
        return _Asked(session.submit(call), secrets_of(call, task.own))

    async def _planned(self, task: Task, state: HostState, scope: Scope) -> Outcome | Call:
        return await with_digests(lambda: self._performer.planned(task, state, scope, plan))

    async def _receive_all(self, state: HostState, sent: deque[_Sent], *, rescuable: bool) -> bool:
        """Take all results that are under way; False where one ended the window on this host."""
        while sent:
            if not await self._receive(state, sent, rescuable=rescuable):
                return False
        return True

    async def _receive(self, state: HostState, sent: deque[_Sent], *, rescuable: bool) -> bool:
        """Take the oldest result."""
        one = sent.popleft()
        outcome = one.ended or await self._outcome(one, state)
        register(one.task, state, outcome.result)
        outcome = self._performer.notified(one.task, state, outcome)
        self._end(state, one, outcome, rescuable=rescuable)
        return not outcome.bad

    async def _outcome(self, one: _Sent, state: HostState) -> Outcome:
        outcomes = []
        for scope, item, part in one.turns:
            outcome = part if isinstance(part, Outcome) else await self._answered(one.task, state, scope, part)
            if item is None or one.task.loop is None:
                return outcome
            outcomes.append(with_item(outcome, item))
            one.told.append(self._performer.item_result(one.task, state, one.task.loop, item, outcomes[-1]))
            if outcome.status == "unreachable":
                break
        return of_items(outcomes)

    async def _answered(self, task: Task, state: HostState, scope: Scope, asked: _Asked) -> Outcome:
        try:
            reply = without(asked.secrets, await asyncio.wrap_future(asked.reply))
        except FleetError as error:
            return failure(error)
        learn(task, state, state, reply)
        return judge(task, scope, reply)

    def _end(self, state: HostState, one: _Sent, outcome: Outcome, *, rescuable: bool) -> None:
        if outcome.bad:
            self._ends[state] = one.index + 1
            state.fresh.update(failed_task(one.task, outcome))
        self._posted[one.index][state] = (one, outcome, time.monotonic() - one.begin)
        self._show(rescuable=rescuable)

    def _show(self, *, rescuable: bool) -> None:
        """Post what has ended, task after task: the next begins once every host is through with the one before."""
        while True:
            if self._shown >= 0:
                waiting = self._posted[self._shown]
                for state in list(waiting):
                    one, outcome, seconds = waiting.pop(state)
                    self._board.items(one.task, state, one.told)
                    self._board.post(one.task, state, outcome, rescuable=rescuable, seconds=seconds)
                    self._seen[self._shown].add(state)
                if any(end > self._shown and state not in self._seen[self._shown] for state, end in self._ends.items()):
                    return
            members = [state for state, end in self._ends.items() if end > self._shown + 1]
            if self._shown + 1 >= len(self._tasks) or not members:
                return
            self._shown += 1
            self._board.started(self._tasks[self._shown], members[0])


def failed_task(task: Task, outcome: Outcome) -> dict[str, object]:
    """Return what a rescue section knows of the failure."""
    args = {str(key): str(value) for key, value in task.args.items()}
    about = {"name": str(task.name), "action": task.action, "args": args, "register": task.register}
    return {"ansible_failed_task": about, "ansible_failed_result": outcome.result}
