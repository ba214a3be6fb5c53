"""Where hosts of a swarm reach each other: as ranks do, on the fast interface."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from functools import partial

from r1fleet.errors import HostFailed, Where
from r1fleet.facts import HostFacts
from r1fleet.inventory.addresses import is_loopback
from r1fleet.launch.preflight import reports
from r1fleet.launch.sites import is_address, site_of
from r1fleet.status.contact import Access, Contact
from r1fleet.topology import FROM_FACTS
from r1fleet.weights.swarm import Member


def members_of(contact: Contact, access: Access, names: Sequence[str]) -> dict[str, Member]:
    """Return the hosts as members of a swarm; those whose variables do not say their address are asked for it."""
    facts: dict[str, HostFacts] = {}
    unknown = [name for name in names if FROM_FACTS in _place(contact, name, None)]
    if unknown:
        found, _ = reports(contact, {})
        facts = {name: report.for_plan for name, report in found.items()}
    made = {}
    for name in names:
        address, interface = _place(contact, name, facts.get(name))
        made[name] = Member(
            contact.sessions[name],
            _numeric(name, address),
            "" if interface == FROM_FACTS else interface,
            access.become_of(contact.hosts[name]),
            reopen=partial(access.transport.open, contact.hosts[name], access.become_of(contact.hosts[name])),
        )
    return made


def _numeric(host: str, address: str) -> str:
    """Spell an address as sockets tell it: what a swarm's peers are compared with; names are looked up here."""
    text = "" if address == FROM_FACTS else address
    if not is_address(text):
        text = _looked_up(text)
    if not text or is_loopback(text):
        raise HostFailed(
            f"{address} is no address where other hosts reach it"
            if address != FROM_FACTS
            else "nothing tells where other hosts reach it",
            where=Where(host=host),
            hint="set r1fleet_address to its IP address on the network between the hosts",
        )
    return str(ipaddress.ip_address(text))


def _looked_up(name: str) -> str:
    try:
        return str(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)[0][4][0]) if name else ""
    except OSError:
        return ""


def _place(contact: Contact, name: str, facts: HostFacts | None) -> tuple[str, str]:
    host = contact.hosts[name]
    site = site_of(host, host.variables, facts)
    return site.address, site.interface
