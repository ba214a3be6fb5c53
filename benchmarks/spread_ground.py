"""What all tools of ``benchmarks.spread`` share: a set on the source, slow links, a look at what arrived."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from r1fleet import lab
from r1fleet.lab import Lab, LabHost
from r1fleet.weights.manifest import Manifest, SealedFile

PLACE = "/var/lib/r1fleet/weights/bench--model@1"
SHARDS = 8


@dataclass(slots=True)
class Outcome:
    """What one run took: each host's finish, what the source sent, CPU seconds of each host and of a program there."""

    finish: dict[str, float]
    sent: float
    cpu: float = 0.0
    program: float = 0.0
    received: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


# --- ground ----------------------------------------------------------------------------------------


@contextmanager
def shaped(made: Lab, hosts: tuple[LabHost, ...], rate: str) -> Iterator[None]:
    """Give some hosts slow links for a while."""
    for host in hosts:
        lab.break_host(made.name, host.name, "slow", rate=rate)
    try:
        yield
    finally:
        for host in hosts:
            lab.heal_host(made.name, host.name)


def control(made: Lab, algorithm: str) -> str:
    """Give the hosts' networks a congestion control, unless empty; return which one the first of them has."""
    words = ["sysctl", "-n", "net.ipv4.tcp_congestion_control"]
    for host in made.hosts if algorithm else ():
        _inside(host, ["sysctl", "-qw", f"{words[-1]}={algorithm}"])
    return _inside(made.hosts[0], words)


def sent_bytes(host: LabHost) -> int:
    """Return what a host's link has carried outward, framing included."""
    words = ["ip", "-n", host.namespace, "-j", "-s", "link", "show", "dev", "eth0"]
    told = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return int(told[0]["stats64"]["tx"]["bytes"])


def content(made: Lab, size: int) -> Manifest:
    """Write random shards on the source; return their manifest."""
    folder = Path(f"{made.hosts[0].root}{PLACE}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows = []
    for number in range(SHARDS):
        data = os.urandom(size // SHARDS)
        name = f"model-{number + 1:05d}-of-{SHARDS:05d}.safetensors"
        (folder / name).write_bytes(data)
        rows.append(SealedFile(name, len(data), hashlib.sha256(data).hexdigest()))
    listed = [{"path": row.path, "size": row.size, "sha256": row.sha256} for row in rows]
    return Manifest("bench/model", tuple(rows), json.dumps({"name": "bench/model", "files": listed}))


def same(host: LabHost, manifest: Manifest) -> bool:
    """Compare every file of a host with the manifest."""
    for file in manifest.files:
        path = Path(f"{host.root}{PLACE}") / file.path
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != file.sha256:
            return False
    return True


def bits(rate: str) -> float:
    """Turn ``20mbit`` into bits a second."""
    number, unit = rate[:-4], rate[-4]
    return float(number) * {"k": 1e3, "m": 1e6, "g": 1e9}[unit]


def _inside(host: LabHost, words: list[str]) -> str:
    entered = ["ip", "netns", "exec", host.namespace, *words]
    return subprocess.run(entered, check=True, capture_output=True, text=True).stdout.strip()
