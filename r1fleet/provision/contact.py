"""Open hosts beside a playbook run: to ask for their Python, and to copy between them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from r1fleet.errors import FleetError, HostFailed, Where
from r1fleet.inventory import Host
from r1fleet.provision.target import Target
from r1fleet.provision.wanted import Variables
from r1fleet.transport import Session, Transport
from r1fleet.transport.protocol import Become, Call

_PREFIXES = ("ansible_", "r1fleet_")
_GLIBC = re.compile(r"glibc 2\.(\d+)")


@dataclass(frozen=True, slots=True)
class Contact:
    """A transport with what it takes to reach and to become root on each host."""

    transport: Transport
    variables_of: Variables
    become_password: str | None = None
    at_once: int = 64

    @contextmanager
    def sessions(self, hosts: Iterable[Host]) -> Iterator[Mapping[str, Session | FleetError]]:
        """Open all hosts side by side, and close them in the end; a host that cannot be reached yields its error."""
        chosen = tuple(hosts)
        with ThreadPoolExecutor(max(1, min(len(chosen), self.at_once))) as pool:
            opened = dict(zip((host.name for host in chosen), pool.map(self._open, chosen), strict=True))
        try:
            yield opened
        finally:
            for session in opened.values():
                if not isinstance(session, FleetError):
                    session.close()

    def root(self, host: Host) -> Become:
        """Return how to become root on a host."""
        variables = self.variables_of(host)
        password = (
            self.become_password or variables.get("ansible_become_password") or variables.get("ansible_become_pass")
        )
        return Become(password=None if password is None else str(password))

    def _open(self, host: Host) -> Session | FleetError:
        try:
            variables = self.variables_of(host)
            plain = {name: variables[name] for name in host.variables if name.startswith(_PREFIXES)}
            return self.transport.open(replace(host, variables=plain))
        except FleetError as error:
            return error


def target_of(session: Session) -> Target:
    """Ask a host for its Python, its machine and its C library."""
    facts = _reply(session, Call("setup", {"gather_subset": ["!all", "min"]}))["ansible_facts"]
    major, minor = str(facts["ansible_python_version"]).split(".")[:2]
    library = _reply(session, Call("command", {"argv": ["getconf", "GNU_LIBC_VERSION"]}))
    found = _GLIBC.search(str(library.get("stdout", "")))
    if found is None:
        raise HostFailed("wheels need the GNU C library, which this host lacks", where=Where(host=session.name))
    return Target(f"{major}.{minor}", str(facts["ansible_architecture"]), int(found[1]))


def _reply(session: Session, call: Call) -> dict[str, Any]:
    reply = session.run(call)
    if reply.get("failed"):
        raise HostFailed(f"{call.module}: {reply.get('msg')}", where=Where(host=session.name))
    return reply
