"""Why a plan is as it is: notes for everybody, and every division that was looked at for who asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from r1fleet.engines import beyond, engine_of
from r1fleet.runtimes import notes_of
from r1fleet.spec import Deployment
from r1fleet.spec.resolve import image_version
from r1fleet.topology import FROM_FACTS, Considered, Gang, ModelShape, Parallelism, gib

EPHEMERAL: Final = range(32768, 61000)
"""Ports that Linux gives to outgoing connections, unless told otherwise."""


def notes(deployment: Deployment, gangs: Sequence[Gang]) -> Iterator[str]:
    """Tell what a person should know before starting it."""
    yield from gangs[0].reasons
    tagged = image_version(deployment)
    if deployment.engine_version is None and tagged is not None and beyond(deployment.engine, tagged):
        yield f"{deployment.image} is of no version that is known here: written for the newest that is"
    if deployment.runtime == "docker":
        yield from notes_of(deployment.container)
    if deployment.runtime == "unsupervised":
        yield "unsupervised: without systemd ranks run in sessions of their own; a reboot ends them for good"
    if engine_of(deployment.engine).kind_of(deployment) == "service" and deployment.port in EPHEMERAL:
        yield _outgoing("port", deployment.port)
    meet = _rendezvous(deployment, gangs[0])
    if meet and (meet[0] in EPHEMERAL or meet[-1] in EPHEMERAL):
        yield f"{_outgoing('rendezvous_port', deployment.rendezvous_port)}; choose one below {EPHEMERAL.start}"


def explanation(deployment: Deployment, gangs: Sequence[Gang], shape: ModelShape | None) -> Iterator[str]:
    """Tell what the plan was made from, and what stands against every other division that would fill the devices."""
    gang = gangs[0]
    yield f"model: {_model(deployment, shape)}"
    yield from verdicts(gang.considered, gang.parallel)
    meet = _rendezvous(deployment, gang)
    if meet:
        ports = str(meet[0]) if len(meet) == 1 else f"{meet[0]} to {meet[-1]}"
        yield f"ranks meet at {gang.leader.address} on {gang.leader.host}, port{'s' if len(meet) > 1 else ''} {ports}"
    for node in gang.nodes if len(gang.nodes) > 1 else ():
        adapters = f", RDMA adapters {', '.join(node.hcas)}" if node.hcas else ", RDMA adapters as NCCL finds them"
        index = f", GID index {node.gid_index}" if node.gid_index is not None else ""
        interface = "an interface that facts tell" if node.interface == FROM_FACTS else f"interface {node.interface}"
        yield f"{node.host} talks over {interface}{adapters}{index}"


def verdicts(considered: Iterable[Considered], chosen: Parallelism | None = None) -> Iterator[str]:
    """Tell of each division that was looked at what stands against it."""
    for one in considered:
        fine = "chosen" if one.ways == chosen else "legal, and not preferred"
        yield f"{one.ways}: {'; '.join(one.refusals) or fine}"


def _outgoing(key: str, port: int | None) -> str:
    return f"{key} {port} is among the ports that outgoing connections take: it may be taken when you launch"


def _rendezvous(deployment: Deployment, gang: Gang) -> range | None:
    if len(gang.nodes) == 1:
        return None
    first = gang.rendezvous_port
    return range(first, first + engine_of(deployment.engine).ports(deployment, gang))


def _model(deployment: Deployment, shape: ModelShape | None) -> str:
    if shape is None:
        return f"{deployment.model} is in no table and its config.json was not read"
    size = gib(shape.weight_bytes) if shape.weight_bytes else "of unknown size"
    kind = f"{shape.family or 'decoder'}, {shape.weights.upper()} weights {size}"
    heads = "latent attention" if shape.latent_kv else f"{shape.kv_heads} key-value heads"
    experts = f", {shape.experts} experts" if shape.experts else ""
    blocks = f", blocks of {shape.quant_block}" if shape.quant_block else ""
    return f"{deployment.model}: {kind}{blocks}, {shape.layers} layers, {shape.heads} heads, {heads}{experts}"
