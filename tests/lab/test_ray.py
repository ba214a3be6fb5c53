"""A Ray cluster of one gang, by its real commands on two hosts; what LMDeploy asks of it is asked by a stand-in."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from r1fleet.command import Command
from r1fleet.engines import RankRequest
from r1fleet.engines.ray import ray_environment, ray_files, ray_rank
from r1fleet.lab import USER, Lab
from r1fleet.spec import Deployment, resolve
from r1fleet.topology import Gang, Node, Parallelism
from tests.conftest import LabFactory
from tests.lab.reach import answer

pytestmark = pytest.mark.slow

FOLDER = "/opt/ray"
WITHIN = 180
STAND_IN = """\
import json, ray
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy as Placed
try:
    ray.init(num_cpus=2, object_store_memory=10**8)
except ValueError:
    ray.init()
group = ray.util.placement_group([{"GPU": 1.0}] * 2, strategy="PACK")
ray.get(group.ready(), timeout=120)
place = ray.remote(num_gpus=0.01, num_cpus=0)(ray.util.get_node_ip_address)
print(json.dumps([ray.get(place.options(scheduling_strategy=Placed(group, at)).remote()) for at in range(2)]))
"""
"""It connects and asks for devices as LMDeploy 0.18 does (lmdeploy/pytorch/ray.py), which needs CUDA itself."""


def test_both_hosts_of_a_gang_join_one_cluster(own_lab: LabFactory, tmp_path: Path) -> None:
    lab = own_lab(hosts=2)
    bring_ray(lab, tmp_path)
    leader, worker = requests(lab)
    for request in (worker, leader):
        start(lab, request)

    said = told(lab, leader.node.host, "rank0")
    assert sorted(json.loads(said.splitlines()[-1])) == [lab.host(name).address for name in ("h1", "h2")]
    for host in ("h1", "h2"):
        answer(lab, host, f"sudo systemctl stop rank{0 if host == 'h1' else 1} || true")
        assert answer(lab, host, "pgrep -c raylet || true") == "0"


def bring_ray(lab: Lab, tmp_path: Path) -> None:
    """Install Ray on both hosts, beside the scripts and the stand-in."""
    pip = (
        sys.executable,
        "-m",
        "pip",
        "install",
        "-qq",
        "--disable-pip-version-check",
        "--target",
        str(tmp_path / "lib"),
    )
    subprocess.run([*pip, "ray"], check=True, timeout=600)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python3").write_text(f'#!/bin/sh\nPYTHONPATH={FOLDER}/lib exec /usr/bin/python3 "$@"\n')
    (programs / "ray").write_text(
        f'#!/bin/sh\nPYTHONPATH={FOLDER}/lib exec /usr/bin/python3 -m ray.scripts.scripts "$@"\n'
    )
    for name, text in {**ray_files(), "stand_in.py": STAND_IN}.items():
        (tmp_path / name).write_text(text)
    for program in programs.iterdir():
        program.chmod(0o755)
    for host in ("h1", "h2"):
        argv = lab.ssh(host, f"sudo mkdir -p {FOLDER} && sudo tar -x -C {FOLDER}", user=USER).argv
        with subprocess.Popen(["tar", "-c", "-C", str(tmp_path), "."], stdout=subprocess.PIPE) as packed:
            subprocess.run(argv, stdin=packed.stdout, check=True, timeout=300)


def requests(lab: Lab) -> list[RankRequest]:
    """Return the two ranks of a gang."""
    spec = {"engine": "lmdeploy", "model": "deepseek-ai/DeepSeek-R1", "hosts": "gpu", "model_path": "/w"}
    deployment = resolve("r1", Deployment.model_validate(spec))
    nodes = tuple(Node(rank, host, lab.host(host).address, "eth0", 1) for rank, host in enumerate(("h1", "h2")))
    gang = Gang(0, nodes, Parallelism(2), 20000)
    return [RankRequest("r1", deployment, gang, node, f"{FOLDER}/bin", FOLDER) for node in nodes]


def start(lab: Lab, request: RankRequest) -> None:
    """Start a rank as the launch does: a transient unit."""
    command = ray_rank(request, Command((f"{FOLDER}/bin/python3", f"{FOLDER}/stand_in.py")))
    settings = [f"--setenv={name}={value}" for name, value in ray_environment(request).items()]
    unit = ["sudo", "systemd-run", "--quiet", f"--unit=rank{request.node.rank}", *settings, *command.argv]
    answer(lab, request.node.host, shlex.join(unit))


def told(lab: Lab, host: str, unit: str) -> str:
    """Wait until a unit has ended, and return what it said."""
    until = time.monotonic() + WITHIN
    while answer(lab, host, f"systemctl is-active {unit} || true") == "active":
        assert time.monotonic() < until, answer(lab, host, f"sudo journalctl -u {unit} -o cat | tail -50")
        time.sleep(1)
    return answer(lab, host, f"sudo journalctl -u {unit} -o cat _COMM=python3")
