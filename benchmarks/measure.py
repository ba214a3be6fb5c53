"""One timed run of one tool: wall time, the controller's CPU and memory, the hosts' CPU."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from r1fleet.lab import Lab

_CGROUPS = Path("/sys/fs/cgroup")
# Python keeps what it has compiled, as it does for whoever installs a tool: no tool compiles itself at each start.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@dataclass(frozen=True, slots=True)
class Run:
    """What one run took; ``memory`` is the largest process's, in MiB, ``host_cpu`` is seconds per host."""

    seconds: float
    cpu: float
    memory: float
    host_cpu: float
    output: str


def timed(command: Sequence[str], lab: Lab, *, env: Mapping[str, str] | None = None, hosts: int = 0) -> Run:
    """Run a command to its end; SystemExit with its last words where it fails."""
    with tempfile.TemporaryFile() as stream:
        before, began = host_cpu(lab), time.monotonic()
        process = subprocess.Popen(
            command, env={**ENVIRONMENT, **(env or {})}, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        stream.seek(0)
        output = stream.read().decode(errors="replace")
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}\n{output[-3000:]}")
    spent = (host_cpu(lab) - before) / (hosts or lab.size)
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, spent, output)


def host_cpu(lab: Lab) -> float:
    """Return the CPU seconds that the lab's hosts have used so far."""
    v1 = [_CGROUPS / "cpuacct" / lab.cgroup / host.name / "cpuacct.usage" for host in lab.hosts]
    if v1[0].exists():
        return sum(int(path.read_text()) for path in v1) / 1e9
    v2 = [_CGROUPS / lab.cgroup / host.name / "cpu.stat" for host in lab.hosts]
    return sum(int(path.read_text().split()[1]) for path in v2) / 1e6


def spread(values: Iterable[float]) -> str:
    """Show the median, and the least and the most where there are several."""
    known = list(values)
    if len(known) == 1:
        return f"{known[0]:.2f}"
    return f"{statistics.median(known):.2f} ({min(known):.2f} to {max(known):.2f})"
