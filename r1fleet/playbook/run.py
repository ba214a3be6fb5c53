"""Runs a playbook: plays in order, their hosts in batches, and in the end the recap."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from r1fleet.errors import ExitCode, PlaybookError, Where
from r1fleet.events import HostCounts, Note, Observer, PlayStarted, Recap
from r1fleet.inventory import Inventory, beside, load
from r1fleet.inventory.source import load_yaml
from r1fleet.playbook import catalogue
from r1fleet.playbook.board import Board
from r1fleet.playbook.includes import Includes
from r1fleet.playbook.inherit import as_tuple
from r1fleet.playbook.interruption import interruption
from r1fleet.playbook.keywords import nearest
from r1fleet.playbook.kinds import described
from r1fleet.playbook.lazy import OMIT
from r1fleet.playbook.listing import list_tasks
from r1fleet.playbook.lookups_files import find_file
from r1fleet.playbook.model import Play, Playbook, Settings, Task
from r1fleet.playbook.options import Options
from r1fleet.playbook.perform import Performer
from r1fleet.playbook.prompts import ask
from r1fleet.playbook.reading import Search
from r1fleet.playbook.scope import where_of
from r1fleet.playbook.selection import hosts_of, scope_of_play
from r1fleet.playbook.sessions import Sessions
from r1fleet.playbook.state import HostState, PlayState, RunState
from r1fleet.playbook.strategy import Strategy
from r1fleet.playbook.templating import as_number, render
from r1fleet.playbook.variables import scope_of
from r1fleet.playbook.work import flag
from r1fleet.transport import Transport


def run(playbook: Playbook, inventory: Inventory, transport: Transport, observer: Observer, options: Options) -> Recap:
    """Run a playbook and return the recap, which the observer gets, too; an interrupt ends what still runs on hosts."""
    folder = playbook.path.resolve().parent

    def chosen(whole: Inventory) -> Inventory:
        near = beside(whole, folder)
        return near.limit(options.limit) if options.limit else near

    path = inventory.path
    again = (lambda: chosen(load(path))) if path is not None and path.is_file() else None
    inventory = chosen(inventory)
    state = RunState(inventory, options, observer, again)
    begin = time.monotonic()
    try:
        asyncio.run(_Runner(state, transport, Search.beside(inventory.path)).all(playbook))
    except KeyboardInterrupt as interrupt:
        raise interruption(state) from interrupt
    finally:
        recap = Recap(
            {name: host.counts for name, host in state.hosts.items() if host.counts != HostCounts()},
            time.monotonic() - begin,
            tuple(name for name, host in state.hosts.items() if host.pardoned),
            state.stats,
        )
        observer(recap)
    if not state.starting:
        names = [task.name for _, tasks in list_tasks(playbook, inventory, options) for task in tasks]
        hint = nearest(str(options.start_at_task), names) or "--list-tasks shows the names"
        raise PlaybookError(f"no task is called {options.start_at_task!r}", hint=hint)
    if options.tags and not any(tasks for _, tasks in list_tasks(playbook, inventory, options)):
        observer(
            Note(f"no task has a tag of --tags {','.join(options.tags)}; --list-tags shows those there are", "warning")
        )
    return recap


def exit_code(recap: Recap) -> ExitCode:
    """Return 2 where a host failed, 4 where hosts were only unreachable, else 0; what was pardoned does not count."""
    counts = [count for name, count in recap.hosts.items() if name not in recap.pardoned]
    if any(count.failed for count in counts):
        return ExitCode.HOST_FAILED
    return ExitCode.UNREACHABLE if any(count.unreachable for count in counts) else ExitCode.OK


class _Runner:
    def __init__(self, run: RunState, transport: Transport, search: Search) -> None:
        self._run = run
        self._transport = transport
        self._search = search

    async def all(self, playbook: Playbook) -> None:
        """Run all plays; hosts that failed in one take no part in the next."""
        sessions = Sessions(self._run, self._transport)
        strategy = Strategy(
            self._run,
            Performer(self._run, sessions),
            Includes(self._run, self._search, playbook.library),
            Board(self._run),
        )
        try:
            for play in playbook.plays:
                if not await self._play(play, strategy):
                    return
        finally:
            sessions.close()

    async def _play(self, play: Play, strategy: Strategy) -> bool:
        """Run one play; False where none of its hosts is left."""
        hosts = hosts_of(self._run, play)
        state = PlayState(play, hosts, hosts, list(play.handlers), list(play.uses))
        state.free = str(render(play.keyword("strategy", "linear"), scope_of_play(self._run, play))).endswith("free")
        self._run.play = state
        state.prompted = await ask(play.prompts, scope_of_play(self._run, play), self._run.options.extra_vars)
        name = str(render(play.name, scope_of_play(self._run, play)))
        if not hosts:
            self._run.observer(PlayStarted(name, ()))
            beside = (
                "" if self._run.inventory.path else ": -i FILE names an inventory, without one there is only localhost"
            )
            self._run.observer(Note(f"no hosts matched{beside}", "warning"))
            return True
        for host in hosts:
            host.turns = {}
        for batch in self._batches(play, hosts):
            state.batch = batch
            self._run.observer(PlayStarted(name, tuple(host.name for host in batch)))
            for host in batch:
                self._read_files(play, host)
            await self._batch(play, batch, strategy)
            if all((host.failed or host.unreachable) and not host.pardoned for host in batch):
                return False
            if state.stopped:
                break
        for host in hosts:
            host.ended = False
            if host.pardoned:
                host.failed = host.unreachable = False
        return not (state.stopped and any(host.failed for host in hosts))

    async def _batch(self, play: Play, batch: tuple[HostState, ...], strategy: Strategy) -> None:
        await strategy.nodes(self._gather(play, batch), batch)
        for section in play.sections:
            live = tuple(host for host in batch if host.running)
            if self._run.current.stopped:
                return
            if live or any(host.notified for host in batch):
                await strategy.section(section, batch)

    def _batches(self, play: Play, hosts: tuple[HostState, ...]) -> Iterator[tuple[HostState, ...]]:
        written = render(play.keyword("serial"), scope_of_play(self._run, play))
        sizes = [_size(part, len(hosts)) for part in (() if written is OMIT else as_tuple(written))]
        sizes = [size for size in sizes if size > 0] or [len(hosts)]
        begin = 0
        while begin < len(hosts):
            size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
            yield hosts[begin : begin + size]
            begin += size

    def _gather(self, play: Play, batch: tuple[HostState, ...]) -> tuple[Task, ...]:
        """Return the task that gathers facts, unless the play does without."""
        wanted = render(play.keyword("gather_facts", True), scope_of_play(self._run, play))
        if wanted != "smart" and not flag(wanted, scope_of_play(self._run, play), default=True, name="gather_facts"):
            return ()
        if wanted == "smart" and all(host.facts for host in batch):
            return ()
        if catalogue.find("setup") is None:
            return ()
        args = {
            name: play.keyword(f"gather_{name}")
            for name in ("subset", "timeout")
            if play.keyword(f"gather_{name}") is not None
        }
        settings = Settings(
            **{name: getattr(play.settings, name) for name in _GATHERING}, tags=("always", *play.settings.tags)
        )
        task = Task(
            "Gathering Facts",
            "setup",
            {f"gather_{name}": value for name, value in args.items()},
            settings,
            play.where,
            play.folder,
        )
        return (task,)

    def _read_files(self, play: Play, state: HostState) -> None:
        """Read the play's vars_files for one host: of a list of names the first that exists."""
        state.files = {}
        for written in play.vars_files:
            scope = scope_of(self._run, state)
            names = [str(render(name, scope)) for name in (written if isinstance(written, list) else [written])]
            found = next((path for path in (_vars_file(play.folder, name) for name in names) if path), None)
            if found is None:
                where = where_of(written[0] if isinstance(written, list) and written else written) or play.where
                what = f"vars_files: {' or '.join(names)} not found"
                raise PlaybookError(what, where=where, hint=f"looked in {play.folder / 'vars'}, {play.folder}")
            state.files.update(_mapping(found))


_GATHERING = (
    "become",
    "become_user",
    "become_method",
    "become_flags",
    "environment",
    "timeout",
    "ignore_unreachable",
    "ignore_errors",
    "vars",
    "module_defaults",
    "connection",
    "remote_user",
    "port",
)


def _size(written: Any, total: int) -> int:
    text = str(written)
    if text.endswith("%"):
        return max(1, int(total * as_number(text[:-1], "serial") / 100))
    return int(as_number(text, "serial"))


def _vars_file(folder: Path, name: str) -> Path | None:
    return find_file({"playbook_dir": str(folder)}, name, "vars")


def _mapping(path: Path) -> Mapping[str, Any]:
    found = load_yaml(path, "variables")
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise PlaybookError(f"a file of variables holds a mapping, not {described(found)}", where=Where(str(path), 1))
    return found
