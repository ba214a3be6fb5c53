"""Every example inventory plans as it is, without any host, and fits the machines that it names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from r1fleet.cli import main as cli
from r1fleet.inventory import load
from r1fleet.packaged import packaged
from r1fleet.provision import ProvisionOptions, wants

EXAMPLES = sorted(path.stem for path in packaged("inventories").glob("*.yaml"))
# Words that must stand in the first rank's command, beside the model and the port.
RANKS = {
    "h100": (2, "--tensor-parallel-size 8 --pipeline-parallel-size 2 --nnodes 2"),
    "h20": (2, "--tp-size 8 --context-length 32768"),
    "h200": (2, "--tp-size 16 --nnodes 2"),
    "vastai": (1, "--tensor-parallel-size 32 --max-model-len 65536 --enforce-eager"),
    "wsl": (1, "--tp-size 1"),
}


def plan(name: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert cli.run(["plan", "-i", str(packaged("inventories") / f"{name}.yaml"), "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_there_is_an_example_for_every_kind_of_machine() -> None:
    assert sorted(RANKS) == EXAMPLES


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_plans_as_it_is(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = plan(name, capsys)
    ranks, words = RANKS[name]
    assert len(told["ranks"]) == ranks
    assert words in " ".join(told["ranks"][0]["argv"])


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_says_what_provision_is_to_do(name: str) -> None:
    (one,) = wants(load(packaged("inventories") / f"{name}.yaml"), ProvisionOptions())
    assert one.deployment.runtime == "docker"
    assert one.deployment.machine is not None


def test_the_machine_in_front_of_the_user_is_reached_without_ssh() -> None:
    (host,) = load(packaged("inventories") / "wsl.yaml").hosts.values()
    assert host.variables["ansible_connection"] == "local"


def test_mirrors_in_china_are_one_word() -> None:
    assert load(packaged("inventories") / "h20.yaml").hosts["node1"].variables["mirrors"] == "china"
