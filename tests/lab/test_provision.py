"""Provisioning of two bare lab hosts, for real: packages, the engine's environment, tiny models."""

from __future__ import annotations

import pytest

from r1fleet.errors import ExitCode
from r1fleet.events import HostCounts, Step
from r1fleet.lab import Lab
from r1fleet.provision import Provisioned
from tests.lab.reach import answer, ask, provision_lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

VENV = "/opt/r1fleet/venvs/vllm"
WEIGHTS = "/var/lib/r1fleet/weights"
QWEN2 = f"{WEIGHTS}/r1fleet--tiny-qwen2@main"


def test_both_hosts_become_able_to_serve(first: Provisioned, bare: Lab) -> None:
    assert first.exit_code == ExitCode.OK
    for host in ("h1", "h2"):
        versions = "import importlib.metadata as m; print(m.version('vllm'), m.version('torch'))"
        told = answer(bare, host, f'sudo -u r1fleet {VENV}/bin/python -c "{versions}"')
        assert told == "0.32.0+cpu 2.13.0+cpu"


def test_both_hosts_hold_the_same_models(first: Provisioned, bare: Lab) -> None:
    sums = f"cd {WEIGHTS} && find . -type f | sort | xargs sha256sum"
    assert len({answer(bare, host, sums) for host in ("h1", "h2")}) == 1
    assert answer(bare, "h2", f"ls {WEIGHTS}").split() == ["r1fleet--tiny-deepseek-v3@main", "r1fleet--tiny-qwen2@main"]
    assert {synced.path for synced in first.weights} == {QWEN2, f"{WEIGHTS}/r1fleet--tiny-deepseek-v3@main"}


def test_the_engines_user_may_read_all_and_write_only_at_home(first: Provisioned, bare: Lab) -> None:
    answer(bare, "h1", f"sudo -u r1fleet cat {QWEN2}/config.json {QWEN2}/model-00001-of-00002.safetensors | wc -c")
    answer(bare, "h1", "sudo -u r1fleet touch /var/lib/r1fleet/home/probe && sudo rm /var/lib/r1fleet/home/probe")
    for path in (QWEN2, VENV, "/var/lib/r1fleet"):
        assert ask(bare, "h1", f"sudo -u r1fleet touch {path}/probe").returncode != 0


def test_no_wheels_stay_and_loading_the_engine_has_left_bytecode(first: Provisioned, bare: Lab) -> None:
    assert ask(bare, "h1", "sudo ls /var/lib/r1fleet/wheelhouses/*").returncode != 0
    compiled = f"ls {VENV}/lib/python3.11/site-packages/vllm/v1/engine/__pycache__"
    assert "core.cpython-311.pyc" in answer(bare, "h1", compiled)


def test_a_second_run_changes_nothing(first: Provisioned, bare: Lab) -> None:
    again = provision_lab(bare)
    assert again.exit_code == ExitCode.OK
    assert {name: changed(counts) for name, counts in again.recap.hosts.items()} == {"h1": 0, "h2": 0}
    assert not any(outcome.changed for synced in again.weights for outcome in synced.outcomes)


def test_a_model_that_one_host_has_lost_is_brought_again(first: Provisioned, bare: Lab) -> None:
    answer(bare, "h2", f"sudo rm -r {QWEN2}")
    steps: list[Step] = []
    provision_lab(
        bare, lambda event: steps.append(event) if isinstance(event, Step) and event.name == "weights" else None
    )
    assert [(step.host, step.detail) for step in steps if step.state == "done"] == [("h2", QWEN2)]
    manifest = f"sha256sum {QWEN2}/.r1fleet-manifest.json"
    assert answer(bare, "h1", manifest) == answer(bare, "h2", manifest)


def test_a_model_changed_on_the_host_that_makes_it_is_made_anew(first: Provisioned, bare: Lab) -> None:
    before = answer(bare, "h1", f"sha256sum {QWEN2}/config.json")
    answer(bare, "h1", f"echo | sudo tee -a {QWEN2}/config.json")
    provision_lab(bare)
    assert answer(bare, "h1", f"sha256sum {QWEN2}/config.json") == before


def changed(counts: HostCounts) -> int:
    return counts.changed
