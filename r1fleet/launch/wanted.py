"""What a plan wants of each of its hosts, in the words of the table of checks."""

from __future__ import annotations

import re
from typing import Final

from r1fleet.inventory.addresses import EVERYWHERE, is_loopback
from r1fleet.launch.plan import Plan
from r1fleet.launch.record import runtime_name
from r1fleet.launch.wants import ports_taken
from r1fleet.preflight import Port, Want
from r1fleet.topology.gang import FROM_FACTS, Gang

STATE: Final = "/var/lib/r1fleet"
_GIB: Final = 1 << 30
_ROOM: Final = 1 * _GIB  # a generation's files and logs
_UNITS: Final = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
# nvidia/cuda:12.6.3-cudnn-devel-ubuntu24.04; an engine's own images end in cu126 or cuda12.6.
_TAG: Final = re.compile(r"^(\d+\.\d+)(?:\.\d+)?-")
_SUFFIX: Final = re.compile(r"cu(?:da)?[-_]?(\d{2})\.?(\d)(?!\d)")


def want_of(plan: Plan, host: str) -> Want | None:
    """Return what a plan wants of one host; None where no rank of it runs there."""
    gang = next((gang for gang in plan.gangs if host in {node.host for node in gang.nodes}), None)
    if gang is None:
        return None
    node = next(node for node in gang.nodes if node.host == host)
    chosen, box = plan.deployment, plan.deployment.container
    several = len(gang.nodes) > 1
    runtime, ports = runtime_name(plan), ports_of(plan, gang, host)
    serves = any(port.purpose == "endpoint" for port in ports) and (runtime != "docker" or box.network == "host")
    return Want(
        deployment=plan.name,
        accelerator=chosen.accelerator,
        devices=node.devices,
        chosen=node.chosen,
        machine=chosen.machine or "",
        nodes=len(gang.nodes),
        address=_known(node.address),
        interface=_known(node.interface),
        hcas=node.hcas,
        gid_index=node.gid_index,
        ports=ports,
        bind=_one_address(chosen.bind) if serves else "",
        rendezvous=gang.rendezvous_port if several else None,
        runtime=runtime,
        image=chosen.image or "" if runtime == "docker" else "",
        image_cuda=image_cuda(chosen.image or "") if runtime == "docker" else "",
        shm_bytes=bytes_of(box.shm_size),
        host_ipc=box.ipc == "host",
        gives_rdma=bool(box.privileged) or any(path.startswith("/dev/infiniband") for path in box.devices),
        memlock_unlimited=str(box.ulimits.get("memlock", "")) in ("-1", "infinity", "unlimited"),
        weights=chosen.model_path or "",
        room={STATE: _ROOM},
    )


def ports_of(plan: Plan, gang: Gang, host: str) -> tuple[Port, ...]:
    """List the ports that a rank on this host will listen on."""
    taken = [(port, what) for name, port, what in ports_taken(plan.deployment, gang) if name == host]
    return tuple(Port(port, "endpoint" if what == "port" else "rendezvous") for port, what in taken)


def image_cuda(image: str) -> str:
    """Return the CUDA version that an image's tag tells, empty where it tells none.

    >>> image_cuda("nvidia/cuda:12.6.3-cudnn-devel-ubuntu24.04"), image_cuda("lmsysorg/sglang:v0.4.3.post2-cu125")
    ('12.6', '12.5')
    """
    name, _, tag = image.partition("@")[0].rpartition(":")
    if "/" in tag or not name:
        return ""
    plain = _TAG.match(tag) if name.endswith("cuda") else None
    if plain:
        return plain.group(1)
    suffix = _SUFFIX.search(tag)
    return f"{suffix.group(1)}.{suffix.group(2)}" if suffix else ""


def bytes_of(size: str) -> int | None:
    """Read docker's way to write a size (``32g``); None where it is none."""
    found = re.fullmatch(r"(\d+)\s*([bkmg]?)b?", size.strip().lower())
    return int(found.group(1)) * _UNITS[found.group(2)] if found else None


def _one_address(bind: str) -> str:
    return "" if bind in EVERYWHERE or is_loopback(bind) else bind


def _known(text: str) -> str:
    return "" if text == FROM_FACTS else text
