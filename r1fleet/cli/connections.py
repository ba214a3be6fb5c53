"""The transport of this controller: hosts over SSH, or local subprocesses where the inventory says so."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from r1fleet.errors import FleetError, InventoryError, Where
from r1fleet.inventory import Host
from r1fleet.local.session import LocalSession
from r1fleet.ssh.session import SshSession
from r1fleet.ssh.target import target_of
from r1fleet.transport import Become, Session
from r1fleet.transport.session import AgentSession, AgentSettings

_SSH = ("ssh", "smart", "paramiko", "paramiko_ssh")


class Connections:
    """Opens one session per host and closes them all."""

    def __init__(self, *, accept_new: bool, password: str | None, modules: Mapping[str, str]) -> None:
        self._accept_new = accept_new
        self._password = password
        self._modules = modules
        self._state = threading.Lock()
        self._sessions: list[AgentSession] = []

    def open(self, host: Host, become: Become | None = None) -> Session:
        """Connect and start the agent; raise HostUnreachable with cause and hint."""
        session = self._session(host)
        with self._state:
            self._sessions.append(session)
        try:
            session.start(become)
        except FleetError:
            session.close()
            raise
        return session

    def close(self) -> None:
        """Close every session: first all are told, then all are waited for."""
        with self._state:
            sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.farewell()
        for session in sessions:
            session.close()

    def _session(self, host: Host) -> AgentSession:
        settings = AgentSettings(
            interpreter=_text(host, "ansible_python_interpreter"),
            temporary=_text(host, "ansible_remote_tmp"),
            modules=self._modules,
        )
        if host.is_local:
            return LocalSession(host.name, settings)
        kind = str(host.variables.get("ansible_connection") or "ssh")
        if kind not in _SSH:
            raise InventoryError(
                f"ansible_connection: {kind} is not supported", where=Where(host=host.name), hint="use ssh or local"
            )
        return SshSession(target_of(host, password=self._password), settings, accept_new=self._accept_new)


def _text(host: Host, name: str) -> str | None:
    value = host.variables.get(name)
    # "auto" and its kin ask for what happens anyway: a search.
    return None if value in (None, "") or str(value).startswith("auto") else str(value)
