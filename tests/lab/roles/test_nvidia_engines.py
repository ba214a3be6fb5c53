"""The roles for NVIDIA hosts under r1fleet and under Ansible itself, on twin hosts with stand-in repositories."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest

from r1fleet.lab import USER
from tests.differential.engines import Engine, ansible, r1fleet
from tests.differential.footprint import take_footprint
from tests.differential.oracle import ensure_oracle
from tests.differential.transcript import read_transcript
from tests.lab.roles.gpu_ground import Fleet, gpu_fleet
from tests.standins import container, debhost

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(2400)]

ROLES = ("nvidia_driver", "cuda_toolkit", "nvidia_container_toolkit")
NAMES = ("h1", "h2", "h3")
CHOICES: dict[str, dict[str, Any]] = {
    "h1": {"nvidia_driver_version": "595.71.05", "nvidia_container_toolkit_version": "1.19.1"},
    "h2": {"nvidia_driver_version": "580.126.20"},
    "h3": {"nvidia_container_toolkit_check": True},
}
RUNS = (("main", ("--check",)), ("main", ()), ("main", ()), ("uninstall", ()), ("uninstall", ()))


def test_both_engines_do_and_say_the_same(lab_name: str, tmp_path: Path) -> None:
    with gpu_fleet(f"{lab_name}-gpu-twins", 6, tmp_path, container.engines()) as fleet:
        for first in (1, 4):
            fleet.dress(f"h{first}", "ubuntu2404", "8xH200")
            fleet.dress(f"h{first + 1}", "debian12", "8xB200")
            debhost.make_wsl(fleet.dress(f"h{first + 2}", "ubuntu2204", "none"))
        for name in fleet.hosts:
            fleet.root(name, "apt-get update -qq && apt-get install -y -qq docker-ce >/dev/null 2>&1")
        oracle = ansible(ensure_oracle())
        differences: list[str] = []
        for tasks_from, options in RUNS:
            play = fleet.write_play(*ROLES, tasks_from=tasks_from)
            ours = told(fleet, r1fleet(), play, 1, options)
            theirs = told(fleet, oracle, play, 4, options)
            differences += [f"{tasks_from} {options}", *unified_diff(theirs, ours, oracle.name, "r1fleet", lineterm="")]
    assert differences == [f"{tasks_from} {options}" for tasks_from, options in RUNS], "\n".join(differences)


def told(fleet: Fleet, engine: Engine, play: Path, first: int, options: tuple[str, ...]) -> list[str]:
    """Run a play on three hosts from ``h<first>`` on, called h1 to h3; return what was said and what has changed."""
    real = {name: fleet.hosts[f"h{first + at}"] for at, name in enumerate(NAMES)}
    before = {name: take_footprint(host.root) for name, host in real.items()}
    inventory = write_inventory(fleet, {name: host.name for name, host in real.items()})
    argv = [*engine.argv, str(play), "-i", str(inventory), "-e", json.dumps(fleet.variables), *options]
    done = subprocess.run(
        argv,
        env={**os.environ, **engine.environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    said = read_transcript(done.stdout, folder=f"{fleet.folder}/")
    assert "PLAY RECAP" in said, done.stdout[-2000:] + done.stderr[-2000:]
    lines = list(without_dependencies(said))
    for name, host in real.items():
        lines += [f"{name} {line}" for line in take_footprint(host.root).since(before[name])]
    return lines


def without_dependencies(lines: list[str]) -> Iterator[str]:
    """Leave out what roles only look at by their dependencies.

    Ansible runs those of included roles once for each host, r1fleet with each inclusion; they change nothing.
    """
    keep = True
    for line in lines:
        if not line.startswith(" "):
            keep = not re.match(r"TASK \[(mirrors|hardware) : (?!Finish|Ask dpkg)", line)
        if keep:
            yield re.sub(r"^TASK \[\w+ : ", "TASK [", re.sub(r" ok=\d+ ", " ", re.sub(r"skipped=\d+ ", "", line)))


def write_inventory(fleet: Fleet, hosts: dict[str, str]) -> Path:
    shared = {
        "ansible_user": USER,
        "ansible_ssh_private_key_file": str(fleet.lab.key),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={fleet.lab.known_hosts} -o ConnectTimeout=5",
        "ansible_python_interpreter": "/usr/bin/python3",
        "proxy_env": {},
        "cuda_toolkit_versions": ["12.6.3", "12.8"],
        "cuda_toolkit_default": "12.8",
    }
    rows = {name: {"ansible_host": fleet.lab.host(real).address, **CHOICES[name]} for name, real in hosts.items()}
    path = fleet.folder / "twins.yaml"
    path.write_text(json.dumps({"all": {"hosts": rows, "vars": shared}}))
    return path
