"""How a lab is: each host's state, memory and age."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from r1fleet.lab.cgroups import Tree, detect
from r1fleet.lab.faults import fault_of
from r1fleet.lab.layout import Lab, LabHost
from r1fleet.lab.network import is_ours
from r1fleet.lab.power import greets, host_group
from r1fleet.lab.proxy import proxy_group
from r1fleet.lab.registry import find, labs


@dataclass(frozen=True, slots=True)
class HostStatus:
    """One host; ``state`` is running, booting, dead, or the fault it was given."""

    name: str
    address: str
    state: str
    memory: int
    processes: int
    uptime: float


@dataclass(frozen=True, slots=True)
class LabStatus:
    """One lab with its hosts and where its inventory lies."""

    name: str
    network: str
    inventory: str
    proxy: str
    proxy_running: bool
    docker: bool
    hosts: tuple[HostStatus, ...]


def status(name: str | None = None) -> tuple[LabStatus, ...]:
    """Look at one lab, or at all of this cache."""
    chosen = (find(name),) if name else labs()
    if not chosen:
        return ()
    tree = detect()
    return tuple(_look(tree, lab) for lab in chosen)


def _look(tree: Tree, lab: Lab) -> LabStatus:
    with ThreadPoolExecutor(max_workers=16) as pool:
        hosts = tuple(pool.map(lambda host: _look_at_host(tree, lab, host), lab.hosts))
    running = bool(proxy_group(tree, lab).pids())
    return LabStatus(lab.name, lab.prefix, str(lab.inventory), lab.proxy, running, lab.docker, hosts)


def _look_at_host(tree: Tree, lab: Lab, host: LabHost) -> HostStatus:
    pids = host_group(tree, lab, host).pids() if is_ours(lab) else set()
    return HostStatus(
        name=host.name,
        address=host.address,
        state=_state(host, pids),
        memory=sum(_proportional_memory(pid) for pid in pids),
        processes=len(pids),
        uptime=max((_age(pid) for pid in pids), default=0.0),
    )


def _state(host: LabHost, pids: set[int]) -> str:
    if fault := fault_of(host):
        return fault
    if not pids:
        return "dead"
    return "running" if greets(host, within=1.0) else "booting"


def _proportional_memory(pid: int) -> int:
    """Return a process's share of memory in bytes: shared pages are divided among those that share them."""
    for line in _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _age(pid: int) -> float:
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    if not fields:
        return 0.0
    ticks_per_second = 100  # USER_HZ, the same on every Linux that systemd runs on
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / ticks_per_second)


def _read(path: Path) -> str:
    """Read a file of a process; it may be gone or not ours to read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
