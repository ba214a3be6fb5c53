"""Roles played by Ansible and by r1fleet on twin hosts: what both tell and leave must be the same."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from r1fleet import lab as labs
from r1fleet.lab import Lab
from tests.differential.case import Case
from tests.differential.engines import HOSTS, ansible, judge, r1fleet
from tests.differential.oracle import ensure_oracle
from tests.differential.verdict import hunks
from tests.lab.roles.applying import ROOT
from tests.lab.roles.test_engine_venv import GIVEN, WHEELS, wheel

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(900)]

INSTALLER = next((ROOT / "tests/standins/vastai").glob("vastai_driver_install_*.run"))
STANDIN = "/run/vastai-standin"
BUS = f"""
mkdir -p {STANDIN}/groups {STANDIN}/pci/0000:31:00.0 && cd {STANDIN}/pci/0000:31:00.0
echo 0x1ec6 > vendor; echo 0x0100 > device; echo 0x120000 > class
"""
# What must be there before a role, by a shell as root, and the role's variables.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "node_tuning": (
        "grep -q h1.example /etc/hosts || printf '127.0.0.1 localhost\\n127.0.1.1 h1.example h1\\n' > /etc/hosts",
        {"node_tuning_cluster": "fleet", "node_tuning_reserved_ports": [20000, 40000, 40001]},
    ),
    "docker": (
        'mkdir -p /etc/docker; [ -e /etc/docker/key.json ] || echo \'{"labels": ["a=b"]}\' > /etc/docker/daemon.json',
        {"docker_source": "distribution", "docker_registry_mirrors": ["https://mirror.example"]},
    ),
    "engine_image": (
        "true",
        {
            "engine_image_name": "tiny/engine:1",
            "engine_image_source": "build",
            "engine_image_context": "{{ playbook_dir }}/context",
        },
    ),
    "engine_venv": ("true", GIVEN),
    "vastai_driver": (
        BUS,
        {
            "vastai_driver_run": "{{ playbook_dir }}/" + INSTALLER.name,
            "vastai_driver_sha256": hashlib.sha256(INSTALLER.read_bytes()).hexdigest(),
            "vastai_driver_packages": [],
            "vastai_driver_module": f"{STANDIN}/module",
            "vastai_driver_iommu_groups": f"{STANDIN}/groups",
            "hardware_pci": f"{STANDIN}/pci",
        },
    ),
}
# Made at random, or compiled, when a package is installed; and when an image was made.
RANDOM = re.compile(r" /etc/(docker/key\.json|ssl/|ssh/|X11|apparmor\.d)|/images/.*\.json|__pycache__|pip-")


@pytest.fixture(scope="module")
def twins(lab_name: str) -> Iterator[tuple[Lab, Lab]]:
    names = [f"{lab_name}-{whose}" for whose in ("mine", "other")]
    for name in names:
        labs.down(name)
    made = [labs.up(name, hosts=HOSTS, extra_vars={}) for name in names]
    for lab in made:
        for host in lab.hosts:
            wheel(host.root / WHEELS, "tinyengine", "1.0")
    yield made[0], made[1]
    for name in names:
        labs.down(name)


def write(folder: Path, role: str) -> Case:
    before, variables = CASES[role]
    play = {
        "hosts": "first",
        "become": True,
        "environment": "{{ proxy_env }}",
        "vars": variables,
        "pre_tasks": [{"name": "Prepare", "shell": before, "changed_when": False, "check_mode": False}],
        "tasks": [{"include_role": {"name": role, "tasks_from": "{{ way | default('main') }}"}}],
    }
    folder.mkdir()
    (folder / "site.yml").write_text(yaml.safe_dump([play], sort_keys=False))
    for name in (role, "mirrors", "hardware"):
        shutil.copytree(ROOT / "roles" / name, folder / "roles" / name, dirs_exist_ok=True)
    shutil.copy(INSTALLER, folder)
    (folder / "context").mkdir()
    (folder / "context/Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    return Case(role, folder, (("--check",), (), (), ("-e", "way=uninstall")))


@pytest.mark.parametrize("role", CASES)
def test_both_engines_agree(role: str, twins: tuple[Lab, Lab], tmp_path: Path) -> None:
    case = write(tmp_path / "written", role)
    verdicts = []
    for engine, lab in ((r1fleet(), twins[0]), (ansible(ensure_oracle()), twins[1])):
        folder = tmp_path / engine.name.split()[0]
        folder.mkdir()
        verdicts.append([settled(lines, lab) for lines in judge(case, engine, lab, folder).runs])
    ours, theirs = verdicts
    differences = [hunk for mine, other in zip(ours, theirs, strict=True) for hunk in hunks(other, mine)]
    assert not differences, f"Ansible, r1fleet: {differences}"
    assert not [line for line in ours[2] if line.startswith("h1 ")], "the second run left something"


def settled(lines: tuple[str, ...], lab: Lab) -> tuple[str, ...]:
    """Leave out what is made at random, and each lab's own addresses."""
    network = lab.host("h1").address.rpartition(".")[0]
    return tuple(line.replace(network, "NET") for line in lines if not RANDOM.search(line))
