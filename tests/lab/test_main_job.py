"""The main job by the command line alone: plan, launch, status, ask, logs, stop, with real vLLM ranks on two hosts."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml

from r1fleet.lab import Lab
from r1fleet.packaged import packaged
from tests.lab.reach import answer, ask, r1fleet

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

SENTENCE = "Two hosts computed this answer together"


class Fleet:
    """The provisioned hosts as a user with a cache of their own reaches them."""

    def __init__(self, lab: Lab, cache: Path) -> None:
        self.lab = lab
        self.cache = cache

    def run(self, command: str, *argv: str, seconds: float = 400) -> CompletedProcess[str]:
        given = (command, *argv, "-i", str(self.lab.inventory))
        return r1fleet(*given, seconds=seconds, R1FLEET_CACHE=str(self.cache))

    def status(self, *argv: str) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = json.loads(self.run("status", "--json", *argv).stdout)["deployments"]
        return rows


@pytest.fixture(scope="module")
def fleet(serving: Lab, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return Fleet(serving, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def launched(fleet: Fleet) -> Iterator[CompletedProcess[str]]:
    ran = fleet.run("launch", "tiny")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    yield ran
    fleet.run("stop", "tiny", "-y")


def test_the_plan_is_shown_before_the_start_and_the_endpoint_last(
    launched: CompletedProcess[str], fleet: Fleet
) -> None:
    leader = fleet.lab.host("h1").address

    connected, first, *_, last = launched.stdout.strip().splitlines()

    assert connected == "done: connect: 2/2 hosts"  # hosts are asked what the plan needs to know of them
    assert first == f"plan tiny on cluster {fleet.lab.name}: vllm serves r1fleet/tiny-qwen2 (venv)"
    assert last == f"info: tiny is ready: http://{leader}:8000/v1"
    assert "rank: tiny 1 on h2: ready" in launched.stdout


def test_two_ranks_on_two_hosts_run_the_planned_command(launched: CompletedProcess[str], fleet: Fleet) -> None:
    plan = json.loads(fleet.run("plan", "tiny", "--json").stdout)

    for rank in plan["ranks"]:
        running = answer(fleet.lab, rank["host"], "ps -u r1fleet -o args= | grep 'vllm serve'")
        assert running.endswith(shlex.join(rank["argv"][1:]))
        assert f"--node-rank {rank['rank']}" in running
        assert ("--headless" in running) == (rank["rank"] == 1)


def test_the_model_answers_over_both_hosts(launched: CompletedProcess[str], fleet: Fleet) -> None:
    asked = fleet.run("ask", "What is two plus two?", "-d", "tiny", "--temperature", "0")

    assert asked.returncode == 0
    assert asked.stdout.startswith(SENTENCE)
    assert re.search(r"tiny at http://\S+:8000, .* tokens", asked.stderr)


def test_status_shows_both_ranks_and_a_probe_that_answered(launched: CompletedProcess[str], fleet: Fleet) -> None:
    (row,) = (row for row in fleet.status("--probe") if row["name"] == "tiny")

    assert row["state"] == "ready"
    assert [(rank["rank"], rank["host"], rank["state"]) for rank in row["ranks"]] == [  # type: ignore[attr-defined]
        (0, "h1", "ready"),
        (1, "h2", "ready"),
    ]
    assert [probe["ok"] for probe in row["probes"]] == [True]  # type: ignore[attr-defined]
    assert [gang["completion_age"] for gang in row["gangs"]] == [0.0]  # type: ignore[attr-defined]
    assert row["declared"]


def test_the_same_plan_again_is_already_ready(launched: CompletedProcess[str], fleet: Fleet) -> None:
    again = fleet.run("launch", "tiny")

    assert again.returncode == 0
    assert "tiny is already ready" in again.stdout


def test_another_plan_needs_a_word(launched: CompletedProcess[str], fleet: Fleet) -> None:
    written = yaml.safe_load((packaged("inventories") / "lab/deployments.yaml").read_text())
    written["deployments"]["tiny"]["max_model_len"] = 256

    changed = fleet.run("launch", "tiny", "-e", json.dumps(written))

    assert changed.returncode == 5
    assert "+    256" in changed.stderr
    assert "--replace" in changed.stderr


def test_logs_are_led_by_host_and_rank(launched: CompletedProcess[str], fleet: Fleet) -> None:
    both = fleet.run("logs", "tiny", "-n", "1000").stdout
    one = fleet.run("logs", "tiny", "--rank", "1", "-n", "5").stdout

    assert "(h1, rank 0) " in both
    assert "(h2, rank 1) " in both
    assert "rank 1) " not in one
    assert "world_size=2 rank=1" in both
    assert "world_size=2 rank=1" in fleet.run("logs", "tiny", "--since", "1h").stdout
    assert "world_size=2" not in fleet.run("logs", "tiny", "--since", "2099-01-01").stdout


def test_stop_leaves_nothing(launched: CompletedProcess[str], fleet: Fleet) -> None:
    stopped = fleet.run("stop", "tiny", "-y")

    assert stopped.returncode == 0
    for host in ("h1", "h2"):
        assert ask(fleet.lab, host, "ps -u r1fleet -o args=").stdout == ""
        assert ask(fleet.lab, host, "systemctl list-units 'r1fleet-tiny-*' --all --no-legend").stdout == ""
    assert [row["state"] for row in fleet.status("tiny")] == ["stopped"]


@pytest.mark.slow
def test_deepseeks_architecture_answers_too(fleet: Fleet) -> None:
    launched = fleet.run("launch", "tiny-deepseek")
    stopped = fleet.run("stop", "tiny-deepseek", "-y")

    assert (launched.returncode, stopped.returncode) == (0, 0)
    assert f"sample: tiny-deepseek: {SENTENCE}" in launched.stdout
