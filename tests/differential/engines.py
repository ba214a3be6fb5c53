"""Lets an engine run a case on the hosts of a lab."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from r1fleet.lab import USER, Lab
from tests.differential.case import Case
from tests.differential.footprint import Footprint, take_footprint
from tests.differential.oracle import Oracle
from tests.differential.transcript import read_transcript
from tests.differential.verdict import Verdict

HOSTS = 3
ROOT = Path(__file__).parents[2]
_GROUPS: dict[str, Any] = {
    "fleet": {"children": {"first": {"hosts": {"h1": {}}}, "rest": {"hosts": {"h2": {}, "h3": {}}}}}
}
_LIMIT = 300


class NoRecap(Exception):
    """An engine refused a play, or broke."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A program that plays ``argv PLAYBOOK -i INVENTORY OPTIONS``."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]


def r1fleet() -> Engine:
    """Return ours."""
    argv = (sys.executable, "-m", "r1fleet", "play", "--output", "ansible")
    return Engine("r1fleet", argv, {"PYTHONPATH": str(ROOT)})


def ansible(oracle: Oracle) -> Engine:
    """Return the one that is right."""
    return Engine(f"ansible-core {oracle.version}", (str(oracle.playbook),), oracle.environment)


def judge(case: Case, engine: Engine, lab: Lab, folder: Path) -> Verdict:
    """Run a case as often as it says, and return what the engine told and what it left on the hosts."""
    work = folder / "case"
    shutil.copytree(case.folder, work)
    inventory = _write_inventory(case, lab, folder)
    before = _footprints(lab)
    runs = []
    for options in case.runs:
        lines = _play(engine, work, inventory, options)
        after = _footprints(lab)
        for name, footprint in after.items():
            lines += [f"{name} {line}" for line in footprint.since(before[name])]
        before = after
        runs.append(tuple(lines))
    return Verdict(engine.name, case.digest(), tuple(runs))


def _play(engine: Engine, work: Path, inventory: Path, options: tuple[str, ...]) -> list[str]:
    done = subprocess.run(
        [*engine.argv, "site.yml", "-i", str(inventory), *options],
        cwd=work,
        env={**os.environ, **engine.environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_LIMIT,
        check=False,
    )
    lines = read_transcript(done.stdout, folder=f"{work}/")
    if "PLAY RECAP" not in lines:
        raise NoRecap(f"{engine.name} came to no end: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return [*lines, f"exit {done.returncode}"]


def _write_inventory(case: Case, lab: Lab, folder: Path) -> Path:
    """Write the inventory: the same names and groups for either engine, variables of the case beside it."""
    target = folder / "inventories"
    variables = case.folder / "inventory"
    if variables.is_dir():
        shutil.copytree(variables, target)
    target.mkdir(exist_ok=True)
    hosts = {
        host.name: {"ansible_host": host.address, "number": number} for number, host in enumerate(lab.hosts[:HOSTS], 1)
    }
    reach = {
        "ansible_user": USER,
        "ansible_ssh_private_key_file": str(lab.key),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={lab.known_hosts} -o ConnectTimeout=5",
        "ansible_python_interpreter": "/usr/bin/python3",
        "proxy_env": {"http_proxy": lab.proxy, "https_proxy": lab.proxy},
    }
    path = target / "twin.yaml"
    path.write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": reach, "children": _GROUPS}}, sort_keys=False))
    return path


def _footprints(lab: Lab) -> dict[str, Footprint]:

    return {host.name: take_footprint(host.root) for host in lab.hosts[:HOSTS]}
