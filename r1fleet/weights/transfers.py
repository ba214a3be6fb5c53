"""Transfers that hosts go on with by themselves, after the controller has gone."""

from __future__ import annotations

from collections.abc import Iterable

from r1fleet.errors import ExitCode, FleetError
from r1fleet.events import Note, Observer, Step
from r1fleet.inventory import Host
from r1fleet.status.contact import Access, Contact
from r1fleet.weights.held import held
from r1fleet.weights.manifest import MANIFEST
from r1fleet.weights.swarm import STATE

STEP = "stop"
_NONE = "-"  # no transfer is called so


def stop_transfers(hosts: Iterable[Host], access: Access, observer: Observer, by: str) -> ExitCode:
    """End every transfer on these hosts; what has come stays, and a later sync goes on with it."""
    with Contact(access, hosts) as contact, held(contact, list(contact.sessions), by):
        look = {"action": "look", "state": STATE, "name": _NONE, "manifest": {"name": MANIFEST}}
        code = ExitCode.UNREACHABLE if contact.lost else ExitCode.OK
        for host, told in contact.ask_all("fleet_swarm", dict.fromkeys(contact.hosts, look)).items():
            if isinstance(told, FleetError):
                observer(Note(told.what, "error", host))
                code = max(code, told.exit_code)
                continue
            for name in told["others"]:
                contact.ask(host, "fleet_swarm", {"action": "end", "state": STATE, "name": name})
                observer(Step(STEP, "done", f"transfer {name}; what has come stays", host))
            if not told["others"]:
                observer(Note("no transfer runs", host=host))
    return code
