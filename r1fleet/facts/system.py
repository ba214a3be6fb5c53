"""Read what a host tells of its system: release, memory, disks, limits, services, firewall, containers."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_REMOTE: Final = ("nfs", "nfs4", "lustre", "ceph", "gpfs", "beegfs", "glusterfs", "cifs", "smb3", "9p", "fuse.")
_UNLIMITED: Final = ("unlimited", "infinity")


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system that holds ``path``, or will; sizes in bytes."""

    path: str
    exists: bool = False
    mount: str = ""
    kind: str = ""
    source: str = ""
    total: int | None = None
    free: int | None = None
    inodes_free: int | None = None
    read_only: bool = False
    problem: str = ""

    @property
    def remote(self) -> bool:
        """Whether its content lies on other machines."""
        return self.kind.startswith(_REMOTE)


@dataclass(frozen=True, slots=True)
class Memory:
    """Main memory, in KiB; hugepages are counted in pages of ``hugepage_kib``."""

    total_kib: int | None = None
    available_kib: int | None = None
    hugepages: int | None = None
    hugepage_kib: int | None = None


@dataclass(frozen=True, slots=True)
class Docker:
    """A container engine; ``problem`` is what it says where it does not answer."""

    installed: bool = False
    version: str = ""
    runtimes: tuple[str, ...] = ()
    storage: str = ""
    cgroup: str = ""
    system: str = ""
    problem: str = ""
    snap: bool = False

    @property
    def desktop(self) -> bool:
        """Whether it is Docker Desktop's own machine."""
        return "docker desktop" in self.system.lower()


@dataclass(frozen=True, slots=True)
class Firewall:
    """What filters what comes in: ``tools`` that have rules, ``closed`` where what no rule lets in is dropped."""

    tools: tuple[str, ...] = ()
    closed: bool | None = None


def read_release(text: str) -> dict[str, str]:
    """Read os-release."""
    found = {}
    for line in text.splitlines():
        name, sign, value = line.strip().partition("=")
        if sign and not name.startswith("#"):
            try:
                found[name] = "".join(shlex.split(value)) if value[:1] in "\"'" else value
            except ValueError:
                found[name] = value
    return found


def read_memory(text: str) -> Memory:
    """Read /proc/meminfo."""
    found = {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+)", text, re.MULTILINE)}
    return Memory(
        found.get("MemTotal"), found.get("MemAvailable"), found.get("HugePages_Total"), found.get("Hugepagesize")
    )


def read_disk(row: Mapping[str, Any]) -> Disk:
    """Read one row of what was asked about paths."""
    return Disk(**{name: row[name] for name in Disk.__slots__ if name in row})


def read_limit(pair: object) -> int | None:
    """Return a soft limit; -1 is without limit, None is not known."""
    soft = str(pair[0]) if isinstance(pair, list) and pair else ""
    return -1 if soft in _UNLIMITED else int(soft) if soft.isdigit() else None


def read_properties(text: str) -> list[dict[str, str]]:
    """Read blocks of ``systemctl show``."""
    return [
        dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        for block in re.split(r"\n\s*\n", text)
        if block.strip()
    ]


def read_docker(program: Mapping[str, Any] | None, *, snap: bool) -> Docker:
    """Read ``docker info --format '{{json .}}'``: it exits 0 and tells of errors inside where the daemon is away."""
    if program is None:
        return Docker(snap=snap)
    try:
        told = json.loads(program["out"])
    except ValueError:
        told = None
    if not isinstance(told, dict):
        return Docker(installed=True, snap=snap, problem=_first(program["err"] or program["out"]) or "no answer")
    errors = told.get("ServerErrors") or []
    return Docker(
        installed=True,
        version=str(told.get("ServerVersion") or ""),
        runtimes=tuple(sorted(told.get("Runtimes") or ())),
        storage=str(told.get("Driver") or ""),
        cgroup=str(told.get("CgroupVersion") or ""),
        system=str(told.get("OperatingSystem") or ""),
        problem="; ".join(str(error) for error in errors)
        or ("" if told.get("ServerVersion") else _first(program["err"])),
        snap=snap,
    )


def read_firewall(nft: Mapping[str, Any] | None, iptables: Mapping[str, Any] | None, active: set[str]) -> Firewall:
    """Read what filters input: nftables' ruleset, iptables' rules, and services that keep either."""
    tools: list[str] = [name for name in ("ufw", "firewalld") if name in active]
    answers = [bool(found) for found in (_nft(nft), _iptables(iptables)) if found is not None]
    if nft and nft["rc"] == 0 and "hook input" in nft["out"]:
        tools.append("nftables")
    if (
        iptables
        and iptables["rc"] == 0
        and re.search(r"^-A INPUT|^-P INPUT (DROP|REJECT)", iptables["out"], re.MULTILINE)
    ):
        tools.append("iptables")
    return Firewall(tuple(tools), any(answers) if answers else None)


def _nft(program: Mapping[str, Any] | None) -> bool | None:
    """Tell whether a chain on the input hook drops by policy or ends in a drop of everything."""
    if program is None or program["rc"] != 0:
        return None
    chains = re.findall(r"chain \S+ \{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}", program["out"])
    inputs = [chain for chain in chains if "hook input" in chain]
    return any(
        "policy drop" in chain or re.search(r"^\s*(drop|reject\b.*)\s*$", chain, re.MULTILINE) for chain in inputs
    )


def _iptables(program: Mapping[str, Any] | None) -> bool | None:
    if program is None or program["rc"] != 0:
        return None
    last = re.search(r"^-A INPUT(?: -m comment --comment \S+)? -j (DROP|REJECT)\b", program["out"], re.MULTILINE)
    return bool(re.search(r"^-P INPUT (DROP|REJECT)", program["out"], re.MULTILINE) or last)


def active_services(text: str) -> Iterator[tuple[str, bool, str]]:
    """Yield name, whether it is active, and its unit file's state, of services that are there."""
    for row in read_properties(text):
        if row.get("LoadState") not in (None, "not-found"):
            name = row.get("Id", "").removesuffix(".service")
            yield name, row.get("ActiveState") in ("active", "activating", "reloading"), row.get("UnitFileState", "")


def _first(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
