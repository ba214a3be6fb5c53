"""What runs on the hosts: its code, its configuration, and the library that carries it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, BinaryIO

from r1fleet.transport.protocol import Blob
from r1fleet.weights.cargo import Cargo
from r1fleet.weights.swarm.model import Member, Platform, SwarmSettings

_MODULES = ("swarm", "swarm_files", "swarm_intake", "swarm_keeper", "swarm_session", "swarm_task", "swarm_unit")
_GLIBC = re.compile(r"glibc 2\.(\d+)")
_SESSION_MBITS = 6000
_MOST_SESSIONS = 8


@dataclass(frozen=True, slots=True)
class Opener:
    """Opens a file of the controller's; a value, unlike a lambda."""

    path: Path

    def __call__(self) -> BinaryIO:
        """Open it."""
        return self.path.open("rb")


def transfer_name(cargo: Cargo) -> str:
    """Name a transfer: the same set to the same place has the same name, whoever starts it."""
    return hashlib.sha256(f"{cargo.manifest.digest} {cargo.place}".encode()).hexdigest()[:12]


@cache
def code() -> tuple[dict[str, str], ...]:
    """Return the program's files."""
    source = files("r1fleet.agent")
    rows = [{"path": "r1fleet/__init__.py", "content": ""}, {"path": "r1fleet/agent/__init__.py", "content": ""}]
    rows += [
        {"path": f"r1fleet/agent/{name}.py", "content": source.joinpath(f"{name}.py").read_text(encoding="utf-8")}
        for name in _MODULES
    ]
    return tuple(rows)


def platform_of(told: dict[str, Any]) -> Platform | None:
    """Read a host's platform from what it tells; None where its C library is not GNU's."""
    found = _GLIBC.search(str(told["library"]))
    return Platform(str(told["python"]), str(told["machine"]), int(found[1])) if found else None


def wheel_blob(path: Path) -> Blob:
    """Return a wheel as content that travels to hosts that lack it."""
    data = path.read_bytes()
    return Blob(hashlib.sha256(data).hexdigest(), len(data), Opener(path))


def sessions_for(settings: SwarmSettings, speeds: Sequence[int]) -> int:
    """Return how many processes each host has: as many as its link needs, one network thread being too slow for it."""
    if settings.sessions:
        return settings.sessions
    slowest = min((speed for speed in speeds if speed), default=0)
    return max(1, min(_MOST_SESSIONS, -(-slowest // _SESSION_MBITS)))


def configuration(
    cargo: Cargo, member: Member, source: Member, targets: Sequence[Member], settings: SwarmSettings
) -> dict[str, Any]:
    """Return what the program on one host is told; ``sessions`` must have been decided."""
    is_source = member is source
    everyone = [one.address for one in (source, *targets)]
    return {
        "schema": 1,
        "role": "source" if is_source else "target",
        "folder": cargo.folder if is_source else cargo.staging,
        "reuse": [] if is_source else [cargo.place, *settings.reuse],
        "address": member.address,
        "interface": "" if ":" in member.address else member.interface,  # IPv6: any address of it could be taken
        "first_port": settings.first_port,
        "sessions": settings.sessions,
        "rate": settings.rate,
        "idle": settings.idle,
        "source": source.address,
        "targets": [one.address for one in targets],
        "peers": [address for address in everyone if address != member.address],
        "unit": f"r1fleet-swarm-{transfer_name(cargo)}-%d.service",
    }
