"""The open sessions of a run: one per host, opened when first needed, a bounded number at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from r1fleet.playbook.state import HostState, RunState
from r1fleet.playbook.templating import render
from r1fleet.playbook.variables import scope_of
from r1fleet.transport import Session, Transport

_NAMES = frozenset(
    {
        "ansible_connection", "ansible_host", "ansible_password", "ansible_port", "ansible_python_interpreter",
        "ansible_remote_tmp",
        "ansible_timeout", "ansible_user",
    }
)  # fmt: skip
_PREFIXES = ("ansible_ssh_", "ansible_become", "r1fleet_")


class Sessions:
    """Opens and keeps sessions."""

    def __init__(self, run: RunState, transport: Transport) -> None:
        self._run = run
        self._transport = transport
        self._open: dict[str, asyncio.Task[Session]] = {}
        self._threads = ThreadPoolExecutor(min(32, run.options.forks), thread_name_prefix="open")
        self.forks = asyncio.Semaphore(run.options.forks)

    async def open(self, state: HostState) -> Session:
        """Return the host's session, connecting first where there is none."""
        opening = self._open.get(state.name)
        if opening is None:
            opening = self._open[state.name] = asyncio.ensure_future(self._connect(state))
        return await asyncio.shield(opening)

    def ready(self, state: HostState) -> Session | None:
        """Return the host's session if it is open already."""
        opening = self._open.get(state.name)
        if opening is None or not opening.done() or opening.cancelled() or opening.exception() is not None:
            return None
        return opening.result()

    async def forget(self, state: HostState) -> None:
        """Close a host's session, so that the next task connects anew."""
        session = self.ready(state)
        self._open.pop(state.name, None)
        if session is not None:
            await asyncio.to_thread(session.close)

    def close(self) -> None:
        """Close everything; what still runs on hosts ends."""
        self._transport.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _connect(self, state: HostState) -> Session:
        host = replace(state.host, variables=self._plain(state))
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._transport.open, host)

    def _plain(self, state: HostState) -> Mapping[str, Any]:
        """Render what a transport may ask for: the variables of connections."""
        scope = scope_of(self._run, state)
        names = [name for name in scope if (name in _NAMES or name.startswith(_PREFIXES)) and name not in state.facts]
        plain = {name: render(scope.raw(name), scope) for name in names}
        if self._run.play is not None and self._run.play.play.keyword("connection") == "local":
            plain["ansible_connection"] = "local"
        user = self._run.options.remote_user
        play_user = self._run.play.play.keyword("remote_user") if self._run.play else None
        if "ansible_user" not in plain and (play_user or user):
            plain["ansible_user"] = str(play_user or user)
        return plain
