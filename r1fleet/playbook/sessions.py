"""The open sessions of a run: one per host, opened when first needed, a bounded number at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from r1fleet.playbook.state import HostState, RunState
from r1fleet.playbook.templating import render
from r1fleet.playbook.variables import scope_of
from r1fleet.transport import Become, Session, Transport

_NAMES = frozenset(
    {
        "ansible_connection", "ansible_host", "ansible_password", "ansible_port", "ansible_private_key_file",
        "ansible_python_interpreter", "ansible_remote_tmp",
        "ansible_timeout", "ansible_user",
    }
)  # fmt: skip
_PREFIXES = ("ansible_ssh_", "ansible_become", "r1fleet_")


@dataclass(frozen=True, slots=True)
class Way:
    """How a task's keywords want a host to be reached; the host's own variables win, as in Ansible."""

    local: bool = False
    user: str | None = None
    port: int | None = None
    seconds: int | None = None  # how long a connection may take


class Sessions:
    """Opens and keeps sessions."""

    def __init__(self, run: RunState, transport: Transport) -> None:
        self._run = run
        self._transport = transport
        self._open: dict[tuple[str, Way], asyncio.Task[Session]] = {}
        self._threads = ThreadPoolExecutor(min(32, run.options.forks), thread_name_prefix="open")
        self.forks = asyncio.Semaphore(run.options.forks)

    async def open(self, state: HostState, way: Way, become: Become | None = None) -> Session:
        """Return the host's session, connecting first where there is none, with a view to ``become``."""
        key = (state.name, way)
        opening = self._open.get(key)
        if opening is None:
            opening = self._open[key] = asyncio.ensure_future(self._connect(state, way, become))
        return await asyncio.shield(opening)

    def is_local(self, state: HostState, way: Way) -> bool:
        """Tell whether the host is this controller."""
        return self._plain(state, way).get("ansible_connection") == "local"

    async def forget(self, state: HostState) -> None:
        """Close a host's sessions, so that the next task connects anew."""
        for key in [key for key in self._open if key[0] == state.name]:
            opening = self._open.pop(key)
            if opening.done() and not opening.cancelled() and opening.exception() is None:
                await asyncio.to_thread(opening.result().close)

    def close(self) -> None:
        """Close everything; what still runs on hosts ends."""
        self._transport.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _connect(self, state: HostState, way: Way, become: Become | None) -> Session:
        host = replace(state.host, variables=self._plain(state, way))
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._transport.open, host, become)

    def _plain(self, state: HostState, way: Way) -> Mapping[str, Any]:
        """Render what a transport may ask for: the variables of connections."""
        scope = scope_of(self._run, state)
        names = [name for name in scope if (name in _NAMES or name.startswith(_PREFIXES)) and name not in state.facts]
        plain = {name: render(scope.raw(name), scope) for name in names}
        given = {
            "ansible_connection": "local" if way.local else None,
            "ansible_user": way.user,
            "ansible_port": way.port,
            "ansible_timeout": way.seconds,
        }
        return {**{name: value for name, value in given.items() if value is not None}, **plain}
