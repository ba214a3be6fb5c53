"""Build a plan from an inventory, its rendered variables and what is known of its hosts; pure."""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from r1fleet.command import Command
from r1fleet.engines import Engine, RankRequest, engine_of
from r1fleet.errors import SpecError, Where
from r1fleet.facts import HostFacts
from r1fleet.inventory import Host, Inventory
from r1fleet.launch.plan import Plan, RankPlan, digest_of
from r1fleet.runtimes import Image, Process, notes_of
from r1fleet.spec import Deployment, deployments, resolve
from r1fleet.spec.resolve import WEIGHTS_DIR
from r1fleet.status.record import folder_of
from r1fleet.topology import FROM_FACTS, Gang, ModelShape, Node, Site, is_loopback, known_shape, machine_of, plan_gangs

EPHEMERAL: Final = range(32768, 61000)
"""Ports that Linux gives to outgoing connections, unless told otherwise."""
_SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Variables = Callable[[Host], Mapping[str, Any]]


def build(
    inventory: Inventory,
    name: str,
    *,
    variables_of: Variables,
    facts: Mapping[str, HostFacts] | None = None,
    shape: ModelShape | None = None,
) -> Plan:
    """Plan one deployment.

    ``variables_of`` renders a host's variables; ``facts`` are by host name, where known; ``shape`` is read from the
    model's own config.json, else the table of known models is asked.
    """
    written, hosts, variables = _written(inventory, name, variables_of)
    deployment = resolve(name, written, weights_dir=str(variables.get("weights_dir") or WEIGHTS_DIR))
    engine = engine_of(deployment.engine)
    _refuse(name, deployment, engine)
    known = facts or {}
    sites = [_site(host, variables_of(host), known.get(host.name)) for host in hosts]
    gangs = plan_gangs(name, deployment, sites, shape=shape or known_shape(deployment.model))
    _refuse_one_port(name, deployment, gangs)
    _refuse_foreign(gangs, known)
    ranks = tuple(_rank(name, deployment, engine, gang, node) for gang in gangs for node in gang.nodes)
    plan = Plan(
        cluster=inventory.name,
        name=name,
        deployment=deployment,
        gangs=gangs,
        ranks=ranks,
        endpoints=tuple(_endpoint(deployment, gang) for gang in gangs),
        digest="",
        notes=tuple(dict.fromkeys(_notes(name, deployment, engine, gangs))),
    )
    return replace(plan, digest=digest_of(plan))


def deployment_names(inventory: Inventory, variables_of: Variables) -> tuple[str, ...]:
    """Return the names of all deployments that the inventory's hosts hold, in order."""
    written = (variables_of(host).get("deployments") for host in inventory.hosts.values())
    found = (str(name) for names in written if isinstance(names, Mapping) for name in names)
    return tuple(dict.fromkeys(found))


def _written(
    inventory: Inventory, name: str, variables_of: Variables
) -> tuple[Deployment, Sequence[Host], Mapping[str, Any]]:
    """Find the deployment as its leader sees it, the leader being the first host of its group."""
    for host in inventory.hosts.values():
        variables = variables_of(host)
        found = deployments(variables, places=host.variables).get(name)
        if found is None:
            continue
        members = _members(inventory, name, found)
        leading = variables_of(members[0])
        read = deployments(leading, places=members[0].variables)
        return read.get(name, found), members, leading
    names = deployment_names(inventory, variables_of)
    near = difflib.get_close_matches(name, names, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    known = f"its deployments are {', '.join(names)}" if names else "add `deployments:` to the variables of its hosts"
    raise SpecError(f"inventory {inventory.name} has no deployment {name}{meant}", hint=known)


def _members(inventory: Inventory, name: str, deployment: Deployment) -> Sequence[Host]:
    group = inventory.groups.get(deployment.hosts)
    if group is None:
        near = difflib.get_close_matches(deployment.hosts, inventory.groups, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise SpecError(
            f"deployment {name}: inventory {inventory.name} has no group {deployment.hosts}{meant}",
            hint="`hosts:` takes the name of one group",
        )
    if not group.hosts:
        raise SpecError(f"deployment {name}: the group {group.name} has no hosts")
    return [host for host in inventory.hosts.values() if host.name in group.hosts]


def _refuse(name: str, deployment: Deployment, engine: Engine) -> None:
    """Refuse what is legal to write but what this version does not do."""
    if deployment.api_key is not None:
        engine.refuse_secret(name)
    if deployment.boot:
        raise SpecError(
            f"deployment {name}: boot: true is not supported by this version",
            hint="leave it out, and launch again after a reboot",
        )


def _site(host: Host, variables: Mapping[str, Any], facts: HostFacts | None) -> Site:
    """Find where the other ranks reach this host: what is written, else facts, else SSH's own address."""
    told = facts or HostFacts()
    interface = _text(variables.get("r1fleet_interface"))
    _refuse_absent(host.name, interface, told)
    address = (
        _text(variables.get("r1fleet_address"))
        or (told.address_of(interface) if interface else None)
        or told.default_address
        or _ssh_address(variables, host)
        or FROM_FACTS
    )
    found = interface or told.interface_of(address) or _default_interface(told, address) or FROM_FACTS
    devices = told.accelerators
    machine = machine_of([one.name for one in devices], [one.memory_bytes for one in devices])
    return Site(host.name, address, found, machine)


def _refuse_absent(host: str, interface: str | None, told: HostFacts) -> None:
    names = [one.name for one in told.interfaces]
    if interface and names and interface not in names:
        near = difflib.get_close_matches(interface, names, n=1)
        raise SpecError(
            f"the host has no interface {interface}" + (f"; did you mean {near[0]}?" if near else ""),
            where=Where(host=host),
            hint=f"it has {', '.join(names)}; correct r1fleet_interface (facts may be old: r1fleet plan --live)",
        )


def _refuse_one_port(name: str, deployment: Deployment, gangs: Sequence[Gang]) -> None:
    if len(gangs[0].nodes) > 1 and deployment.port == deployment.rendezvous_port:
        raise SpecError(
            f"deployment {name}: port and rendezvous_port are both {deployment.port}",
            hint="the leader listens on both: give them different numbers",
        )


def _refuse_foreign(gangs: Sequence[Gang], facts: Mapping[str, HostFacts]) -> None:
    """Refuse an address that its host does not have where other ranks need it."""
    for node in (node for gang in gangs if len(gang.nodes) > 1 for node in gang.nodes):
        told = facts.get(node.host)
        if told and told.interfaces and node.address != FROM_FACTS and told.interface_of(node.address) is None:
            known = ", ".join(f"{one.name} {' '.join(one.addresses)}" for one in told.interfaces if one.addresses)
            raise SpecError(
                f"no interface of the host has the address {node.address}",
                where=Where(host=node.host),
                hint=f"it has {known}; correct r1fleet_address (facts may be old: r1fleet plan --live)",
            )


def _default_interface(facts: HostFacts, address: str) -> str | None:
    return facts.default_interface if address == facts.default_address else None


def _ssh_address(variables: Mapping[str, Any], host: Host) -> str | None:
    """Return SSH's address when the other hosts can use it: an IP address that is not a loopback."""
    address = str(variables.get("ansible_host") or host.address)
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return None
    return None if is_loopback(address) else address


def _text(value: object) -> str | None:
    return str(value) if value else None


def _rank(name: str, deployment: Deployment, engine: Engine, gang: Gang, node: Node) -> RankPlan:
    command = engine.command(_request(name, deployment, gang, node))
    if deployment.runtime == "venv":
        command = _with_path(command, str(deployment.venv))
    return RankPlan(node, gang.replica, command, _process(name, deployment, gang, node, command))


def _request(name: str, deployment: Deployment, gang: Gang, node: Node) -> RankRequest:
    programs = f"{deployment.venv}/bin" if deployment.runtime == "venv" else ""
    return RankRequest(name, deployment, gang, node, programs)


def _with_path(command: Command, venv: str) -> Command:
    """Let the engine find the programs of its own environment, as activating it would."""
    if any(variable == "PATH" for variable, _ in command.env):
        return command
    return Command(command.argv, (*command.env, ("PATH", f"{venv}/bin:{_SYSTEM_PATH}")))


def _process(name: str, deployment: Deployment, gang: Gang, node: Node, command: Command) -> Process:
    own = f"r1fleet-{name}-{gang.replica}-{node.rank}"
    folder = folder_of(name)
    docker = deployment.runtime == "docker"
    container = deployment.container
    limits = container.ulimits if "ulimits" in container.model_fields_set else {}
    return Process(
        name=own,
        command=command,
        user=deployment.user,
        directory=folder,
        log=f"{folder}/logs/{own}.log",
        exit_record=f"{folder}/{own}.exit",
        secrets=f"{folder}/{own}.secrets" if deployment.api_key is not None else None,
        description=f"r1fleet {name}, replica {gang.replica}, rank {node.rank} of {len(gang.nodes)}",
        labels=(("deployment", name), ("replica", str(gang.replica)), ("rank", str(node.rank))),
        limits=tuple((limit, str(value)) for limit, value in limits.items()),
        image=Image(str(deployment.image), container, (str(deployment.model_path),)) if docker else None,
    )


def _endpoint(deployment: Deployment, gang: Gang) -> str:
    address = deployment.bind if is_loopback(deployment.bind) else gang.leader.address
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{deployment.port}"


def _notes(name: str, deployment: Deployment, engine: Engine, gangs: Sequence[Gang]) -> Iterator[str]:
    yield from gangs[0].reasons
    yield from engine.notes(_request(name, deployment, gangs[0], gangs[0].leader))
    if deployment.runtime == "docker":
        yield from notes_of(deployment.container)
    ports = {
        "port": deployment.port,
        "rendezvous_port": deployment.rendezvous_port if len(gangs[0].nodes) > 1 else None,
    }
    for key, port in ports.items():
        if port in EPHEMERAL:
            yield f"{key} {port} is among the ports that outgoing connections take: it may be taken when you launch"
