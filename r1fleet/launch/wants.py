"""Which ports and devices of their hosts the deployments of an inventory want."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from r1fleet.engines import engine_of
from r1fleet.errors import SpecError
from r1fleet.inventory import Host, Inventory
from r1fleet.launch.conflicts import Claim
from r1fleet.spec import AUTO, Deployment, deployments, resolve
from r1fleet.topology import FROM_FACTS, Gang, Node, Parallelism, declared_machine

WORKERS_LISTEN: Final = frozenset({"sglang"})
"""Engines whose other ranks open the endpoint's port, too, with nothing but a health check behind it."""

Variables = Callable[[Host], Mapping[str, Any]]


def claim_of(name: str, deployment: Deployment, gangs: Sequence[Gang]) -> Claim:
    """Return what a planned deployment wants of its hosts."""
    ports: dict[str, dict[int, str]] = {}
    for gang in gangs:
        for host, port, what in ports_taken(deployment, gang):
            taken = ports.setdefault(host, {})
            taken[port] = f"{taken[port]} and {what}" if port in taken else what
    devices = {
        node.host: frozenset(node.chosen or range(node.devices))
        for gang in gangs
        for node in gang.nodes
        if deployment.accelerator != "cpu"
    }
    return Claim(name, ports, devices, deployment.instead_of)


def others_of(inventory: Inventory, mine: Claim, variables_of: Variables) -> tuple[Claim, ...]:
    """Return what the other deployments want of the same hosts, as far as they say it without being planned."""
    found: dict[str, Claim] = {}
    for host in inventory.hosts.values():
        if host.name not in mine.ports and host.name not in mine.devices:
            continue
        variables = variables_of(host)
        for name, deployment in deployments(variables, places=host.variables).items():
            if name != mine.name and name not in found:
                found[name] = claim_of(name, *_roughly(inventory, name, deployment))
    return tuple(found.values())


def ports_taken(deployment: Deployment, gang: Gang) -> Iterator[tuple[str, int, str]]:
    """Yield every port that a host of the gang listens on, and what for."""
    engine, leader = engine_of(deployment.engine), gang.leader.host
    if engine.kind_of(deployment) == "service" and deployment.port is not None:
        serving = gang.nodes if deployment.engine in WORKERS_LISTEN else gang.nodes[:1]
        yield from ((node.host, deployment.port, "port") for node in serving)
    if len(gang.nodes) > 1 or deployment.engine == "deepseek":
        for offset in range(engine.ports(deployment, gang)):
            yield leader, gang.rendezvous_port + offset, f"rendezvous_port{f' + {offset}' if offset else ''}"


def _roughly(inventory: Inventory, name: str, written: Deployment) -> tuple[Deployment, Sequence[Gang]]:
    """Lay a deployment over its hosts without dividing the model: a mistake in it is told when it is planned itself."""
    deployment = written.model_copy(update={"image": written.image or "-"})
    group = inventory.groups.get(deployment.hosts)
    members = [host.name for host in inventory.hosts.values() if group and host.name in group.hosts]
    size = max(1, len(members) // deployment.replicas)
    parts = [members[start : start + size] for start in range(0, len(members), size)]
    devices, ways = _devices(deployment, size), _attention(deployment)
    gangs = [
        Gang(
            index,
            tuple(
                Node(rank, host, FROM_FACTS, FROM_FACTS, devices, deployment.devices or ())
                for rank, host in enumerate(part)
            ),
            ways,
            deployment.rendezvous_port,
        )
        for index, part in enumerate(parts)
    ]
    return resolve(name, deployment), gangs


def _devices(deployment: Deployment, hosts: int) -> int:
    """Return how many devices of each host it takes: what its numbers say, else all that the machine has."""
    machine = None
    with suppress(SpecError):
        machine = declared_machine(deployment.machine) if deployment.machine else None
    if deployment.tensor_parallel == AUTO or deployment.pipeline_parallel == AUTO:
        return machine.devices if machine and deployment.tensor_parallel == AUTO else 1
    data = 1 if deployment.data_parallel == AUTO else int(deployment.data_parallel)
    return max(1, int(deployment.tensor_parallel) * int(deployment.pipeline_parallel) * data // hosts)


def _attention(deployment: Deployment) -> Parallelism:
    written = deployment.attention_data_parallel
    return Parallelism(attention=1 if written == AUTO else int(written))
