"""Build a plan from an inventory, its rendered variables and what is known of its hosts; pure."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from r1fleet.command import Command
from r1fleet.engines import Engine, RankRequest, beyond, engine_of, is_interactive, refuse_unknown
from r1fleet.errors import SpecError
from r1fleet.facts import HostFacts
from r1fleet.inventory import Host, Inventory
from r1fleet.inventory.addresses import EVERYWHERE
from r1fleet.inventory.declared import deployment_names
from r1fleet.launch.conflicts import refuse_conflicts, refuse_own
from r1fleet.launch.explain import explanation, notes
from r1fleet.launch.plan import Plan, RankPlan, digest_of
from r1fleet.launch.sites import refuse_foreign, site_of
from r1fleet.launch.wanted import bytes_of
from r1fleet.launch.wants import claim_of, others_of
from r1fleet.runtimes import HostFile, Image, Process
from r1fleet.spec import Deployment, deployments, resolve, weights_dir_of
from r1fleet.spec.resolve import image_version
from r1fleet.status.record import folder_of
from r1fleet.topology import Gang, ModelShape, Node, known_shape, plan_gangs
from r1fleet.topology.models import as_bf16

RDMA: Final = "/dev/infiniband"
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
    weights_dir = weights_dir_of(variables, places=hosts[0].variables)
    deployment = _with_version(resolve(name, written, weights_dir=weights_dir))
    engine = engine_of(deployment.engine)
    known, shape = facts or {}, shape or _known(deployment)
    without = frozenset(host.name for host in hosts if host.name in known and known[host.name].systemd is False)
    if deployment.runtime == "venv" and without:
        deployment = deployment.model_copy(update={"runtime": "unsupervised"})
    _refuse(name, deployment, engine, shape)
    sites = [site_of(host, variables_of(host), known.get(host.name)) for host in hosts]
    gangs = plan_gangs(name, deployment, sites, shape=shape, lacks=engine.lacks(deployment))
    _refuse_lasting(name, deployment, gangs, without)
    mine = claim_of(name, deployment, gangs)
    refuse_own(mine)
    _refuse_absent(name, deployment, deployment_names(inventory, variables_of))
    refuse_conflicts(mine, others_of(inventory, mine, variables_of))
    refuse_foreign(gangs, known)
    made = _Ranks(name, deployment, engine, shape)
    return replace(made.plan(inventory.name, gangs), without_systemd=without)


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


def _with_version(deployment: Deployment) -> Deployment:
    """Write for the version that the image's tag names, where none is written and that one is known."""
    version = image_version(deployment)
    if deployment.engine_version is not None or version is None or beyond(deployment.engine, version):
        return deployment
    return deployment.model_copy(update={"engine_version": version})


def _known(deployment: Deployment) -> ModelShape | None:
    """Return the shape of what the engine reads, which may be a cast of the model."""
    shape = known_shape(deployment.model)
    return as_bf16(shape) if deployment.prepare.bf16 else shape


def _refuse(name: str, deployment: Deployment, engine: Engine, shape: ModelShape | None) -> None:
    """Refuse what is legal to write but what this engine, or this version, does not do."""
    refuse_unknown(name, deployment.engine, deployment.engine_version)
    engine.refuse(name, deployment, shape)
    if deployment.api_key is not None:
        if engine.kind_of(deployment) == "job":
            raise SpecError(f"deployment {name} has an api_key, but a job has no endpoint", hint="leave api_key out")
        engine.refuse_secret(name)


def _refuse_lasting(name: str, deployment: Deployment, gangs: Sequence[Gang], without: frozenset[str]) -> None:
    """Refuse to bring back what nothing can bring back, or what could not join the others."""
    if deployment.boot and without:
        raise SpecError(
            f"deployment {name}: boot: true needs systemd, which is not process 1 on {', '.join(sorted(without))}",
            hint="leave it out, and launch again after a reboot; on WSL2 /etc/wsl.conf can turn systemd on",
        )
    if (deployment.boot or deployment.restarts) and engine_of(deployment.engine).kind_of(deployment) == "job":
        raise SpecError(
            f"deployment {name}: a job ends, and nothing brings it back", hint="leave boot and restarts out"
        )
    if deployment.restarts and len(gangs[0].nodes) > 1:
        raise SpecError(
            f"deployment {name}: restarts is for gangs of one host: a rank that comes back cannot join the others",
            hint="leave it out; `r1fleet restart` starts all ranks again",
        )


def _refuse_absent(name: str, deployment: Deployment, known: Sequence[str]) -> None:
    for other in deployment.instead_of:
        if other not in known or other == name:
            near = difflib.get_close_matches(other, [one for one in known if one != name], n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise SpecError(
                f"deployment {name}: instead_of names {other}, which is no other deployment of this inventory{meant}",
                hint=f"its deployments are {', '.join(known)}",
            )


class _Ranks:
    """Turn the gangs of one deployment into ranks with their processes."""

    def __init__(self, name: str, deployment: Deployment, engine: Engine, shape: ModelShape | None) -> None:
        self.name = name
        self.deployment = deployment
        self.engine = engine
        self.shape = shape

    def plan(self, cluster: str, gangs: tuple[Gang, ...]) -> Plan:
        leading = self._request(gangs[0], gangs[0].leader)
        kind = self.engine.kind_of(self.deployment)
        endpoints = tuple(self._endpoint(gang) for gang in gangs) if kind == "service" else ()
        plan = Plan(
            cluster=cluster,
            name=self.name,
            deployment=self.deployment,
            gangs=gangs,
            ranks=tuple(self._rank(gang, node) for gang in gangs for node in gang.nodes),
            endpoints=endpoints,
            digest="",
            notes=tuple(dict.fromkeys((*notes(self.deployment, gangs), *self.engine.notes(leading)))),
            kind=kind,
            preparations=self.engine.preparations(leading),
            explanation=tuple(explanation(self.deployment, gangs, self.shape)),
            clients=tuple(client for end in endpoints[:1] for client in self.engine.clients(leading, end)),
        )
        return replace(plan, digest=digest_of(plan))

    def _request(self, gang: Gang, node: Node) -> RankRequest:
        programs = f"{self.deployment.venv}/bin" if self.deployment.venv else ""
        return RankRequest(self.name, self.deployment, gang, node, programs, folder_of(self.name), self.shape)

    def _rank(self, gang: Gang, node: Node) -> RankPlan:
        request = self._request(gang, node)
        command = self.engine.command(request)
        if self.deployment.runtime != "docker":
            command = _with_path(command, str(self.deployment.venv))
        folder = folder_of(self.name)
        files = tuple(HostFile(f"{folder}/{name}", text) for name, text in self.engine.files(request).items())
        return RankPlan(node, gang.replica, command, self._process(gang, node, command, files), files)

    def _process(self, gang: Gang, node: Node, command: Command, files: Sequence[HostFile]) -> Process:
        deployment, folder = self.deployment, folder_of(self.name)
        own = f"r1fleet-{self.name}-{gang.replica}-{node.rank}"
        container = deployment.container
        limits = container.ulimits if "ulimits" in container.model_fields_set else {}
        answers = self.engine.kind_of(deployment) == "job" and node.rank == 0
        return Process(
            name=own,
            command=command,
            user=deployment.user,
            directory=folder,
            log=f"{folder}/logs/{own}.log",
            exit_record=f"{folder}/{own}.exit",
            secrets=f"{folder}/{own}.secrets" if deployment.api_key is not None else None,
            stdin=f"{folder}/logs/{own}.in" if answers and is_interactive(deployment) else None,
            output=f"{folder}/logs/{own}.out" if answers else None,
            restarts=deployment.restarts,
            log_limit=bytes_of(deployment.log_limit) or 0,
            description=f"r1fleet {self.name}, replica {gang.replica}, rank {node.rank} of {len(gang.nodes)}",
            labels=(("deployment", self.name), ("replica", str(gang.replica)), ("rank", str(node.rank))),
            limits=tuple((limit, str(value)) for limit, value in limits.items()),
            image=self._image(gang, node, files) if deployment.runtime == "docker" else None,
        )

    def _image(self, gang: Gang, node: Node, files: Sequence[HostFile]) -> Image:
        deployment = self.deployment
        container, job = deployment.container, deployment.job
        meets = len(gang.nodes) > 1 and (node.hcas or node.gid_index is not None)
        if meets and RDMA not in container.devices:
            container = container.model_copy(update={"devices": (*container.devices, RDMA)})
        read = [*self.engine.reads(self._request(gang, node)), *(file.path for file in files)]
        read += [job.input] if job is not None and job.input else []
        return Image(str(deployment.image), container, tuple(read))

    def _endpoint(self, gang: Gang) -> str:
        deployment = self.deployment
        address = gang.leader.address if deployment.bind in EVERYWHERE else deployment.bind
        host = f"[{address}]" if ":" in address else address
        return f"http://{host}:{deployment.port}"


def _with_path(command: Command, venv: str) -> Command:
    """Let the engine find the programs of its own environment, as activating it would."""
    if any(variable == "PATH" for variable, _ in command.env):
        return command
    return Command(command.argv, (*command.env, ("PATH", f"{venv}/bin:{_SYSTEM_PATH}")))
