"""Faults of a gang of real vLLM ranks on two hosts, and vLLM's offline generation as a job."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from r1fleet.lab import Lab
from r1fleet.packaged import packaged
from tests.lab.reach import answer, ask, controller, r1fleet
from tests.lab.test_main_job import Fleet

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(900)]

UNIT = "r1fleet-tiny-0-1"
SCRIPT = Path(__file__).with_name("torchrun_generate.py")
WALL = (
    "add table inet wall; add chain inet wall out { type filter hook output priority 0; }; "
    "add rule inet wall out tcp dport 29501 drop"
)


@pytest.fixture(scope="module")
def fleet(serving: Lab, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return Fleet(serving, tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def stopped(fleet: Fleet) -> Iterator[None]:
    yield
    fleet.run("stop", "tiny", "-y")


def deployments(**more: Any) -> str:
    written: dict[str, Any] = yaml.safe_load((packaged("inventories") / "lab/deployments.yaml").read_text())
    written["deployments"]["tiny"].update(more)
    return json.dumps(written)


def state(fleet: Fleet) -> tuple[object, list[object]]:
    (row,) = fleet.status("tiny")
    return row["state"], [rank["state"] for rank in row["ranks"]]  # type: ignore[attr-defined]


def tidy(fleet: Fleet) -> bool:
    left = [ask(fleet.lab, host, "ps -u r1fleet -o args=").stdout for host in ("h1", "h2")]
    locks = fleet.run("lock", "status").stdout
    return left == ["", ""] and locks == "no lock is held\n"


def test_a_worker_killed_while_loading_ends_the_launch_and_is_named(fleet: Fleet) -> None:
    with controller("launch", "tiny", "-i", str(fleet.lab.inventory)) as launching:
        worker = f"systemctl status {UNIT} | grep -q VLLM::Worker || pgrep -u r1fleet -f VLLM::Worker"
        answer(fleet.lab, "h2", f"until {worker}; do sleep 0.2; done; sudo pkill -KILL -u r1fleet -f VLLM::Worker")
        said = launching.communicate(timeout=300)[0]
    assert launching.returncode == 2, said
    assert "rank 1 ended with status" in said
    assert "at host h2" in said
    assert "all ranks have been stopped" in said
    assert tidy(fleet)


def test_a_launcher_killed_after_readiness_takes_its_worker_along_and_a_hung_rank_is_stopped(fleet: Fleet) -> None:
    assert fleet.run("launch", "tiny").returncode == 0
    answer(fleet.lab, "h2", f"sudo systemctl kill --kill-who=main -s KILL {UNIT}")
    answer(fleet.lab, "h2", "for i in $(seq 300); do pgrep -u r1fleet . >/dev/null || exit 0; sleep 0.1; done; exit 1")
    assert state(fleet) == ("degraded", ["ready", "failed"])
    assert fleet.run("launch", "tiny").returncode == 5  # degraded: it wants --replace

    again = fleet.run("launch", "tiny", "--replace", "-y")
    assert (again.returncode, "tiny is ready" in again.stdout) == (0, True), again.stderr
    answer(fleet.lab, "h2", f"sudo systemctl kill -s STOP {UNIT}")
    assert fleet.run("stop", "tiny", "-y").returncode == 0
    assert tidy(fleet)


def test_a_rank_that_never_comes_is_named_within_its_time_limit(fleet: Fleet) -> None:
    given = deployments(timeouts={"rendezvous": 25})
    with controller("launch", "tiny", "-e", given, "-i", str(fleet.lab.inventory)) as launching:
        assert launching.stdout is not None
        while "done: check" not in launching.stdout.readline():
            assert launching.poll() is None
        answer(fleet.lab, "h2", f"sudo nft {shlex.quote(WALL)}")
        said = launching.stdout.read()
    answer(fleet.lab, "h2", "sudo nft delete table inet wall")
    assert launching.returncode == 2, said
    address = fleet.lab.host("h2").address
    assert f"rank 1 never came up: no connection from {address} to port 29501 within 25 s" in said
    assert "raise timeouts.rendezvous" in said
    assert tidy(fleet)


def test_a_job_on_each_of_two_hosts_answers_every_prompt(fleet: Fleet) -> None:
    job = {"prompts": ["What is two plus two?", "Hello"], "max_new_tokens": 8, "temperature": 0}
    given = deployments(job=job, replicas=2, tensor_parallel=1)
    done = fleet.run("launch", "tiny", "-e", given)
    assert done.returncode == 0, done.stdout + done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"prompt"')]
    assert [one["prompt"] for one in told if one["text"]].count("Hello") == 2
    assert state(fleet) == ("done", ["done", "done"])
    kept = answer(fleet.lab, "h2", "sudo cat /var/lib/r1fleet/tiny/generations/*/logs/r1fleet-tiny-1-0.out")
    assert [json.loads(line)["prompt"] for line in kept.splitlines()] == job["prompts"]
    assert tidy(fleet)


def test_torchrun_over_two_hosts_is_typed_into_and_ends_well(fleet: Fleet) -> None:
    """DeepSeek's job with real torchrun and a stand-in for its script: the model itself needs CUDA."""
    body = {
        "engine": "deepseek",
        "model": "r1fleet/tiny-deepseek-v3",
        "machine": "1xH200",
        "hosts": "nodes",
        "tensor_parallel": 2,
        "venv": "/opt/r1fleet/venvs/vllm",
        "scripts": "/opt/scripts",
        "prepare": {"folder": "/opt/scripts/converted"},
        "rendezvous_port": 20010,
        "env": {"CUDA_VISIBLE_DEVICES": ""},
    }
    for host in ("h1", "h2"):
        ask(fleet.lab, host, "mkdir -p /opt/scripts/configs /opt/scripts/converted", user="root")
        ask(fleet.lab, host, "tee /opt/scripts/configs/config_671B.json", user="root")
        ask(fleet.lab, host, "tee /opt/scripts/generate.py", user="root", stdin=SCRIPT.read_text())
    given = json.dumps({"deployments": {"tiny": body}})
    argv = ("launch", "tiny", "--attach", "--force", "driver", "-e", given, "-i", str(fleet.lab.inventory))
    done = r1fleet(*argv, seconds=400, R1FLEET_CACHE=str(fleet.cache), stdin="hello\nagain\n")

    assert done.returncode == 0, done.stdout + done.stderr
    assert ">>> 2 ranks heard hello\n>>> 2 ranks heard again\n>>> " in done.stdout
    assert state(fleet) == ("done", ["done", "done"])
    assert tidy(fleet)
