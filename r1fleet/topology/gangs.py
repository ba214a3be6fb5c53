"""Divide a deployment's hosts into gangs: one per replica, every one divided alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from r1fleet.errors import SpecError
from r1fleet.inventory.addresses import is_loopback
from r1fleet.spec import AUTO, Deployment
from r1fleet.topology.divide import Division, divide
from r1fleet.topology.gang import FROM_FACTS, Gang, Node, Parallelism
from r1fleet.topology.ground import Ground, demand_of
from r1fleet.topology.machines import Machine, declared_machine, find_card, machine_with, nearest_card
from r1fleet.topology.models import ModelShape


@dataclass(frozen=True, slots=True)
class Site:
    """One host as a place for ranks: where it is reached by the others, and its devices where facts tell them."""

    host: str
    address: str = FROM_FACTS
    interface: str = FROM_FACTS
    machine: Machine | None = None
    hcas: tuple[str, ...] = ()
    gid_index: int | None = None


def plan_gangs(
    name: str,
    deployment: Deployment,
    sites: Sequence[Site],
    *,
    shape: ModelShape | None,
    lacks: Mapping[str, str] | None = None,
) -> tuple[Gang, ...]:
    """Plan the gangs of a deployment over its hosts, in their order; ``lacks`` is what the engine does not divide."""
    groups = _replicas(name, deployment, sites)
    _refuse_loopback(name, groups)
    machine = _chosen(name, deployment, _machine(name, deployment, sites, len(groups[0])))
    ground = Ground(
        len(groups[0]),
        machine,
        shape,
        deployment.engine,
        deployment.accelerator,
        demand_of(deployment),
        lacks or {},
    )
    division = divide(name, deployment, ground)
    return tuple(_gang(deployment, index, group, division) for index, group in enumerate(groups))


def _replicas(name: str, deployment: Deployment, sites: Sequence[Site]) -> list[Sequence[Site]]:
    if not sites:
        raise SpecError(f"deployment {name}: the group {deployment.hosts} has no hosts")
    count = deployment.replicas
    if len(sites) % count:
        fitting = [number for number in range(1, len(sites) + 1) if len(sites) % number == 0]
        raise SpecError(
            f"deployment {name}: {len(sites)} hosts cannot be divided into {count} equal replicas",
            hint="replicas can be " + ", ".join(map(str, fitting)),
        )
    size = len(sites) // count
    return [sites[start : start + size] for start in range(0, len(sites), size)]


def _refuse_loopback(name: str, groups: Sequence[Sequence[Site]]) -> None:
    for group in groups:
        for site in group if len(group) > 1 else ():
            if is_loopback(site.address):
                raise SpecError(
                    f"deployment {name}: {site.host} would meet the other hosts at {site.address}, "
                    "which is every host's own loopback address",
                    hint=f"set r1fleet_address (or ansible_host) of {site.host} to an address the others can reach",
                )


def _machine(name: str, deployment: Deployment, sites: Sequence[Site], hosts: int) -> Machine:
    """Return what every host carries: facts first, then the declared type, then what the numbers imply."""
    told = {site.host: site.machine for site in sites if site.machine is not None}
    declared = declared_machine(deployment.machine) if deployment.machine else None
    if told:
        return _same(name, told, declared)
    if declared is not None:
        return _vastai_dies(deployment, declared)
    if deployment.accelerator == "cpu":
        return Machine(1, "cpu")
    if AUTO in (deployment.tensor_parallel, deployment.pipeline_parallel):
        raise SpecError(
            f"deployment {name}: how many devices its hosts have is not known",
            hint="declare what each host carries: `machine: 8xH200`",
        )
    data = 1 if deployment.data_parallel == AUTO else int(deployment.data_parallel)
    needed = Parallelism(int(deployment.tensor_parallel), int(deployment.pipeline_parallel), data).world
    return Machine(-(-needed // hosts), "undeclared device")


def _chosen(name: str, deployment: Deployment, machine: Machine) -> Machine:
    """Narrow a host's devices down to those that are meant, and refuse cards that the accelerator is not."""
    if machine.vendor is not None and deployment.accelerator not in ("cpu", machine.vendor):
        raise SpecError(
            f"deployment {name}: {machine.name} is no {deployment.accelerator} device",
            hint="set `accelerator: vastai`"
            if machine.vendor == "vastai"
            else "this version starts engines on NVIDIA and Vastai cards and on CPUs",
        )
    if deployment.devices is None:
        return machine
    absent = [number for number in deployment.devices if number >= machine.devices]
    if absent and (deployment.machine or machine.name != "undeclared device"):
        raise SpecError(
            f"deployment {name}: there is no device {absent[0]}: every host has {machine.devices} x {machine.name}",
            hint=f"devices are numbered from 0 to {machine.devices - 1}",
        )
    return replace(machine, devices=len(deployment.devices))


def _vastai_dies(deployment: Deployment, declared: Machine) -> Machine:
    if deployment.accelerator == "vastai" and declared.memory_bytes is None:
        near = nearest_card(declared.name)
        raise SpecError(
            f"machine {deployment.machine!r}: how many dies {declared.name} has is not known",
            hint=f"did you mean {near}?" if near else "declare a known card: 8xVA16",
        )
    return declared


def _same(name: str, told: dict[str, Machine], declared: Machine | None) -> Machine:
    first_host, first = next(iter(told.items()))
    for host, machine in told.items():
        if (machine.devices, machine.name) != (first.devices, first.name):
            raise SpecError(
                f"deployment {name}: its hosts differ: {first_host} has {first.devices} x {first.name}, "
                f"{host} has {machine.devices} x {machine.name}",
                hint="put unlike hosts into groups and deployments of their own",
            )
    if declared is not None and declared.devices != first.devices:
        raise SpecError(
            f"deployment {name} declares {declared.devices} x {declared.name} a host, "
            f"but {first_host} has {first.devices} x {first.name}",
            hint="correct `machine:`, or look at the hosts again: r1fleet plan --live",
        )
    return first


def machine_of(names: Sequence[str], memory_bytes: Sequence[int | None]) -> Machine | None:
    """Return one host's devices from what its driver tells; None without any."""
    if not names:
        return None
    known = [size for size in memory_bytes if size is not None]
    memory = min(known) if len(known) == len(names) else None
    card = find_card(names[0])
    return machine_with(card, len(names), memory) if card else Machine(len(names), names[0], memory)


def _gang(deployment: Deployment, index: int, sites: Sequence[Site], division: Division) -> Gang:
    devices = division.ways.world // len(sites)
    chosen = deployment.devices[:devices] if deployment.devices else ()
    nodes = tuple(
        Node(rank, site.host, site.address, site.interface, devices, chosen, site.hcas, site.gid_index)
        for rank, site in enumerate(sites)
    )
    return Gang(index, nodes, division.ways, deployment.rendezvous_port, division.reasons, division.considered)
