"""Ask hosts for the facts that a plan needs."""

from __future__ import annotations

import time
from collections.abc import Iterable

from r1fleet.errors import FleetError
from r1fleet.facts import HostFacts, from_setup
from r1fleet.inventory import Host
from r1fleet.status.contact import Access, Contact
from r1fleet.status.survey import lost_hosts

SUBSET = ["!all", "!min", "network", "hardware"]


def gather(hosts: Iterable[Host], access: Access) -> dict[str, HostFacts]:
    """Gather network and hardware facts of all hosts in parallel; every host must answer."""
    with Contact(access, hosts) as contact:
        answers = contact.ask_all("setup", {host: {"gather_subset": SUBSET} for host in contact.hosts})
    facts: dict[str, HostFacts] = {}
    lost: dict[str, FleetError] = {}
    for host, answer in answers.items():
        if isinstance(answer, FleetError):
            lost[host] = answer
        else:
            facts[host] = from_setup(answer["ansible_facts"], gathered_at=time.time())
    if lost:
        raise lost_hosts(lost)
    return facts
