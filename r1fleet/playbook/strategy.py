"""Walks a play's tasks: ``linear`` lets all hosts end a task before the next, ``free`` lets each go its own way."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from r1fleet.errors import FleetError
from r1fleet.events import Note
from r1fleet.playbook.actions.meta import Meta
from r1fleet.playbook.board import Board, safe_flag
from r1fleet.playbook.includes import INCLUDES, Includes, Wanted
from r1fleet.playbook.learn import share
from r1fleet.playbook.model import Block, Node, Task
from r1fleet.playbook.outcome import Outcome, failure
from r1fleet.playbook.perform import Performer
from r1fleet.playbook.state import HostState, RunState
from r1fleet.playbook.stepping import Stepping
from r1fleet.playbook.tags import chosen
from r1fleet.playbook.templating import render_number, render_text
from r1fleet.playbook.variables import scope_of
from r1fleet.playbook.window import Window, failed_task, may_go_ahead, same_way
from r1fleet.playbook.work import flag

Hosts = tuple[HostState, ...]
_ONCE = frozenset({"add_host", "pause"})


@dataclass(slots=True)
class _Group:
    """Hosts that want the same included, and what that is."""

    wish: Wanted
    members: list[HostState]
    nodes: tuple[Node, ...] = ()
    broken: FleetError | None = None


class Strategy:
    """Runs nodes on hosts."""

    def __init__(self, run: RunState, performer: Performer, includes: Includes, board: Board) -> None:
        self._run = run
        self._performer = performer
        self._includes = includes
        self._board = board
        self._meta = Meta(run, performer.sessions, self.flush)
        self._throttles: dict[int, asyncio.Semaphore] = {}
        self._stepping = Stepping(run.options.step)

    async def section(self, nodes: Sequence[Node], hosts: Hosts) -> None:
        """Run one section of a play, then the handlers that it notified."""
        if self._run.current.free:
            await asyncio.gather(*(self.nodes(nodes, (state,)) for state in hosts))
            await asyncio.gather(*(self.flush((state,)) for state in hosts))
            return
        await self.nodes(nodes, hosts)
        await self.flush(hosts)

    async def nodes(self, nodes: Sequence[Node], hosts: Hosts, *, rescuable: bool = False) -> None:
        """Run nodes one after the other on the hosts that still take part."""
        waiting = deque(nodes)
        while waiting:
            live = _running(hosts)
            if not live or self._run.current.stopped:
                return
            if isinstance(waiting[0], Task) and any(state.has_left(waiting[0]) for state in live):
                await self._remaining(waiting.popleft(), live, rescuable=rescuable)
                continue
            ahead = self._window(waiting, live)
            if len(ahead) > 1:
                await self._go_ahead(ahead, live, rescuable=rescuable)
                continue
            if not ahead and not waiting:
                return
            node = ahead[0] if ahead else waiting.popleft()
            if isinstance(node, Block):
                await self._block(node, live, rescuable=rescuable)
            elif ahead or self._chosen(node, live[0]):
                await self._task(node, live, rescuable=rescuable)

    async def _remaining(self, node: Node, hosts: Hosts, *, rescuable: bool) -> None:
        """Run a task of a role on those hosts that have not left the role."""
        assert isinstance(node, Task)
        live = tuple(state for state in hosts if not state.has_left(node))
        if live and self._chosen(node, live[0]):
            await self._task(node, live, rescuable=rescuable)

    def _window(self, nodes: deque[Node], hosts: Hosts) -> list[Task]:
        """Take the chosen tasks from the front that may go ahead together."""
        found: list[Task] = []
        if self._stepping.asks or self._run.current.play.keyword("max_fail_percentage") is not None:
            return found
        while (
            nodes
            and isinstance(nodes[0], Task)
            and may_go_ahead(self._run, nodes[0])
            and not (found and any(state.has_left(nodes[0]) for state in hosts))
            and (not found or same_way(found[0], nodes[0]))
        ):
            if self._chosen(nodes[0], hosts[0]):
                found.append(nodes[0])
            nodes.popleft()
        return found

    async def _go_ahead(self, tasks: list[Task], hosts: Hosts, *, rescuable: bool) -> None:
        """Run tasks as a window; where hosts stopped to look at others, the rest follows task by task."""
        done = await Window(self._run, self._performer, self._board, tasks).perform(hosts, rescuable=rescuable)
        first = min(done[state] for state in hosts)
        for index in range(first, len(tasks)):
            live = _running(tuple(state for state in hosts if done[state] <= index))
            if live:
                await self._task(tasks[index], live, rescuable=rescuable)

    async def flush(self, hosts: Hosts) -> None:
        """Run the handlers that hosts wait for, each once, in the order of their definition.

        One that a later handler notifies waits for the next flush, as in Ansible.
        """
        force = flag(
            self._run.current.play.keyword("force_handlers"),
            scope_of(self._run, hosts[0]),
            default=self._run.options.force_handlers,
            name="force_handlers",
        )
        for handler in self._run.current.handlers:  # grows while it is walked: a handler may include a role
            ready = tuple(state for state in hosts if id(handler) in state.notified and _serves(state, force=force))
            if ready:
                await self._handler(handler, ready)

    async def _handler(self, handler: Task, hosts: Hosts) -> None:
        for state in hosts:
            state.notified.discard(id(handler))
        broken = [state for state in hosts if state.failed]
        for state in broken:
            state.failed = False
        with self._board.handling():
            await self._task(handler, hosts)
        for state in broken:
            state.failed = True

    async def _block(self, block: Block, hosts: Hosts, *, rescuable: bool) -> None:
        await self.nodes(block.body, hosts, rescuable=rescuable or bool(block.rescue))
        if block.rescue:
            broken = tuple(state for state in hosts if state.failed)
            for state in broken:
                state.failed = False
            await self.nodes(block.rescue, broken, rescuable=rescuable)
        if block.always:
            broken = tuple(state for state in hosts if state.failed)
            for state in broken:
                state.failed = state.cleared = False
            await self.nodes(block.always, hosts, rescuable=rescuable)
            for state in broken:
                state.pardoned = state.cleared and not state.failed
                state.failed = state.failed or not state.cleared

    def _chosen(self, task: Task, state: HostState) -> bool:
        """Tell whether tags, or --start-at-task, let a task run."""
        run = self._run
        if not run.starting:
            wanted = run.options.start_at_task or ""
            titles = (str(task.name), self._board.title(task, state))
            run.starting = wanted in titles or any(fnmatchcase(title, wanted) for title in titles)
            if not run.starting:
                return False
        if not task.settings.tags and not run.options.tags and not run.options.skip_tags:
            return True
        scope = scope_of(run, state, task)
        tags = [part.strip() for tag in task.settings.tags for part in render_text(tag, scope).split(",")]
        return chosen(tags, run.options.tags, run.options.skip_tags)

    async def _task(self, task: Task, hosts: Hosts, *, rescuable: bool = False) -> None:
        if task.action != "meta" and not await self._stepping.agreed(self._board.title(task, hosts[0])):
            return
        self._board.started(task, hosts[0])
        if task.action == "meta":
            await self._meta.perform(task, hosts)
            return
        if task.action in INCLUDES:
            await self._include(task, hosts, rescuable=rescuable)
        elif self._once(task, hosts[0]):
            await self._on_first(task, hosts, rescuable=rescuable)
        else:
            await asyncio.gather(*(self._on(task, state, rescuable=rescuable) for state in hosts))
        self._after(task, hosts)

    def _once(self, task: Task, state: HostState) -> bool:
        if task.action in _ONCE:
            return True
        return task.settings.run_once is not None and safe_flag(
            task.settings.run_once, scope_of(self._run, state, task)
        )

    async def _on(self, task: Task, state: HostState, *, rescuable: bool) -> Outcome:
        """Do a task on one host and post how it ended."""
        begin = time.monotonic()
        async with self._performer.sessions.forks:
            outcome = await self._throttled(task, state)
        outcome = self._performer.notified(task, state, outcome)
        self._board.post(task, state, outcome, rescuable=rescuable, seconds=time.monotonic() - begin)
        if state.failed:
            state.fresh.update(failed_task(task, outcome))
        return outcome

    async def _throttled(self, task: Task, state: HostState) -> Outcome:
        """Do a task as soon as ``throttle`` lets this host."""
        if not task.settings.throttle:
            return await self._performer.perform(task, state)
        try:
            number = int(render_number(task.settings.throttle, scope_of(self._run, state, task), "throttle"))
        except FleetError as error:
            return failure(error)
        if number < 1:
            return await self._performer.perform(task, state)
        async with self._throttles.setdefault(id(task), asyncio.Semaphore(number)):
            return await self._performer.perform(task, state)

    async def _on_first(self, task: Task, hosts: Hosts, *, rescuable: bool) -> None:
        """Do a task on the first host for all of them."""
        outcome = await self._on(task, hosts[0], rescuable=rescuable)
        for state in hosts[1:]:
            share(task, state, outcome.result)
            if hosts[0].failed:
                state.failed = True
            state.notified |= hosts[0].notified if outcome.status == "changed" and task.settings.notify else set()

    async def _include(self, task: Task, hosts: Hosts, *, rescuable: bool) -> None:
        """Run what hosts want included: those that want the same together, in the order in which it came up."""
        groups: list[_Group] = []
        once = self._once(task, hosts[0])
        for state in hosts[:1] if once else hosts:
            outcome, wishes = self._includes.wanted(task, state)
            joined = [self._joined(groups, task, wish, state) for wish in wishes]
            broken = next((group.broken for group in joined if group.broken), None)
            read = sum(not group.broken for group in joined)
            if read or broken is None:
                self._board.post(task, state, outcome, rescuable=rescuable, times=max(1, read))
            if broken is not None:
                self._board.post(task, state, failure(broken), rescuable=rescuable, final=True)
        for group in groups:
            live = _running(hosts if once else tuple(group.members))
            if live and not group.broken:
                await self.nodes(group.nodes, live, rescuable=rescuable)

    def _joined(self, groups: list[_Group], task: Task, wish: Wanted, state: HostState) -> _Group:
        """Return the group that a host joins with what it wants; the first one reads it."""
        for group in groups:
            if group.wish == wish and state not in group.members:
                group.members.append(state)
                return group
        group = _Group(wish, [state])
        groups.append(group)
        try:
            group.nodes = self._includes.read(task, wish)
        except FleetError as error:
            group.broken = error
        return group

    def _after(self, task: Task, hosts: Hosts) -> None:
        """Let failures on some hosts end the play for others, where the play asks for it."""
        failed = [state for state in hosts if state.failed or state.unreachable]
        if not failed:
            return
        scope = scope_of(self._run, failed[0], task)
        batch = self._run.current.batch
        limit = self._run.current.play.keyword("max_fail_percentage")
        lost = [state for state in batch if state.failed or state.unreachable]
        if limit is not None and len(lost) / len(batch) * 100 > render_number(limit, scope, "max_fail_percentage"):
            self._run.observer(Note("NO MORE HOSTS LEFT: max_fail_percentage is exceeded", "error"))
            self._run.current.stopped = True
        if safe_flag(task.settings.any_errors_fatal, scope):
            for state in hosts:
                state.failed = True


def _serves(state: HostState, *, force: bool) -> bool:
    """Tell whether a host still runs handlers: a failed one does where the play forces it."""
    return state.running or (force and state.failed and not (state.unreachable or state.ended))


def _running(hosts: Hosts) -> Hosts:
    return tuple(state for state in hosts if state.running)
