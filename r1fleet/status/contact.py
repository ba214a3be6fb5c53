"""Talk to many hosts at once: a host that cannot be reached is an answer like any other."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from r1fleet.errors import FleetError, HostFailed, HostUnreachable, Where
from r1fleet.inventory import Host
from r1fleet.transport import Become, Call, Reply, Session, Transport

Answer = Reply | FleetError
BecomeOf = Callable[[Host], Become | None]
AT_ONCE = 64
_PASSWORDS = ("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass")


@dataclass(frozen=True, slots=True)
class Access:
    """How hosts are reached, and as whom things are done there."""

    transport: Transport
    become_of: BecomeOf


def root_on(host: Host, password: str | None = None) -> Become | None:
    """Tell how to become root on a host; None where one logs in as root already."""
    local_root = host.is_local and os.geteuid() == 0
    if local_root or "root" in (host.variables.get("ansible_user"), host.variables.get("ansible_ssh_user")):
        return None
    written = (host.variables.get(name) for name in _PASSWORDS)
    given = next((str(value) for value in (password, *written) if value), None)
    return Become(password=given)


class Contact:
    """Open sessions to a set of hosts; ``lost`` holds those that could not be reached, or were lost since."""

    def __init__(self, access: Access, hosts: Iterable[Host]) -> None:
        self.hosts = {host.name: host for host in hosts}
        self.sessions: dict[str, Session] = {}
        self.lost: dict[str, FleetError] = {}
        self._access = access
        self._silent: dict[str, Session] = {}
        self._meeting: set[str] = set()
        self._met: queue.SimpleQueue[tuple[Host, Session | FleetError]] = queue.SimpleQueue()

    def __enter__(self) -> Contact:
        """Open every host that is not open yet."""
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> None:
        """Open all hosts in parallel."""
        wanted = [host for name, host in self.hosts.items() if name not in self.sessions]
        if not wanted:
            return
        with ThreadPoolExecutor(max_workers=min(AT_ONCE, len(wanted))) as pool:
            for host, outcome in zip(wanted, pool.map(self._open, wanted), strict=True):
                self._take(host, outcome)

    def close(self) -> None:
        """Close every session, in parallel: each waits for its agent's end."""
        sessions = list(self.sessions.values())
        if sessions:
            with ThreadPoolExecutor(max_workers=min(AT_ONCE, len(sessions))) as pool:
                list(pool.map(lambda session: session.close(), sessions))

    def meet_again(self) -> None:
        """Take in the hosts that were met since the last call, and begin to meet those that are lost; nobody waits."""
        for host, session in self._silent.items():
            if self.sessions.get(host) is session:
                del self.sessions[host]
                session.close()
        self._silent.clear()
        while not self._met.empty():
            known, outcome = self._met.get()
            self._meeting.discard(known.name)
            self._take(known, outcome)
        for host in self.lost:
            if host not in self.sessions and host not in self._meeting:
                self._meeting.add(host)
                threading.Thread(target=self._meet, args=(self.hosts[host],), daemon=True).start()

    def renew(self, host: str) -> Session:
        """Open a host whose session was lost once more; raises HostUnreachable where it does not answer."""
        known = self.hosts[host]
        opened = self._access.transport.open(known, self._access.become_of(known))
        if host in self.sessions:
            self.sessions[host].close()
        self._silent.pop(host, None)
        self.lost.pop(host, None)
        self.sessions[host] = opened
        return opened

    def keep(self, *names: str) -> None:
        """Let go of all hosts but these."""
        for name in [name for name in self.hosts if name not in names]:
            del self.hosts[name]
            self.lost.pop(name, None)
            if name in self.sessions:
                self.sessions.pop(name).close()

    def submit(
        self, host: str, module: str, args: Mapping[str, Any], on_output: Callable[[str], None] | None = None
    ) -> Future[Reply]:
        """Queue one module run on an open host; ``on_output`` hears what it tells meanwhile."""
        call = Call(module=module, args=args, become=self._access.become_of(self.hosts[host]))
        return self.sessions[host].submit(call, on_output)

    def ask(self, host: str, module: str, args: Mapping[str, Any]) -> Reply:
        """Run one module on one host; raises what went wrong."""
        answer = self.ask_all(module, {host: args})[host]
        if isinstance(answer, FleetError):
            raise answer
        return answer

    def ask_all(self, module: str, args: Mapping[str, Mapping[str, Any]]) -> dict[str, Answer]:
        """Run a module on several hosts in parallel, each with its own arguments."""
        queued = {host: self.submit(host, module, given) for host, given in args.items() if host in self.sessions}
        answers: dict[str, Answer] = {host: self.lost[host] for host in args if host not in queued}
        answers.update({host: self.settle(host, future) for host, future in queued.items()})
        return {host: answers[host] for host in args}

    def settle(self, host: str, future: Future[Reply]) -> Answer:
        """Wait for a queued run; a module that failed is a HostFailed."""
        try:
            reply = future.result()
        except HostUnreachable as error:
            self.lost[host] = error
            if host in self.sessions:
                self._silent[host] = self.sessions[host]
            return error
        except FleetError as error:
            return error
        if reply.get("failed"):
            texts = [str(reply.get(name) or "").strip() for name in ("msg", "stderr")]
            return HostFailed(": ".join(filter(None, texts)) or "failed without a message", where=Where(host=host))
        return reply

    def _meet(self, host: Host) -> None:
        self._met.put((host, self._open(host)))

    def _take(self, host: Host, outcome: Session | FleetError) -> None:
        if isinstance(outcome, FleetError):
            self.lost[host.name] = outcome
        else:
            self.sessions[host.name] = outcome
            self.lost.pop(host.name, None)

    def _open(self, host: Host) -> Session | FleetError:
        try:
            return self._access.transport.open(host, self._access.become_of(host))
        except FleetError as error:
            return error
