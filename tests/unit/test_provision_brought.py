"""What deployments make the playbook bring: images and environments, per host, each once."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1fleet.inventory import load
from r1fleet.packaged import packaged
from r1fleet.provision import ProvisionOptions, wants
from r1fleet.provision.brought import brought_vars, missing
from tests.unit.test_provision_wants import asked

IMAGE = "engine: sglang, model: org/m, hosts: gpu, image: 'lmsysorg/sglang:v0.5.23'"


def test_hosts_of_containers_get_docker_and_each_image_once(tmp_path: Path) -> None:
    found = brought_vars(asked(tmp_path, IMAGE, f"{IMAGE}, port: 30001"))
    assert found == {
        "provision_docker_hosts": ["a", "b"],
        "provision_images": {"a": ["lmsysorg/sglang:v0.5.23"], "b": ["lmsysorg/sglang:v0.5.23"]},
        "provision_environments": {},
        "provision_containers": {},
    }


def test_a_kept_container_is_made_with_an_environment_inside(tmp_path: Path) -> None:
    (one,) = asked(tmp_path, f"{IMAGE}, container: {{keep: true}}")
    found = brought_vars([one])
    (box,), (row,) = found["provision_containers"]["a"], found["provision_environments"]["a"]
    assert (box["name"], box["argv"][:2]) == ("r1fleet-d0-kept", ["docker", "run"])
    assert f"r1fleet.kept={box['digest']}" in box["argv"]
    assert (row["root"], row["exec"]) == ("/opt/r1fleet/kept/d0", box["exec"])
    assert missing(one) is None


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("engine: sglang, engine_version: '0.5.23'", {"name": "sglang", "engine": "sglang", "version": "0.5.23"}),
        ("engine: vllm, venv: /opt/r1fleet/venvs/mine", {"name": "mine", "engine": "vllm", "version": ""}),
        (
            "engine: deepseek, scripts: /srv/v3/inference",
            {"name": "deepseek", "engine": "deepseek", "version": "", "code": "/srv/v3"},
        ),
    ],
)
def test_an_environment_comes_from_an_index(text: str, row: dict[str, str], tmp_path: Path) -> None:
    (one,) = asked(tmp_path, f"{text}, model: org/m, hosts: gpu, runtime: venv")
    assert brought_vars([one])["provision_environments"] == {"a": [row], "b": [row]}
    assert missing(one) is None


@pytest.mark.parametrize(
    "text",
    [
        "engine: sglang, model: org/m, hosts: gpu, runtime: venv, venv: /opt/conda/envs/py311",
        "engine: vllm, accelerator: vastai, model: org/m, hosts: gpu, runtime: venv, venv: /opt/r1fleet/venvs/vacc",
    ],
)
def test_what_is_not_brought_is_said(text: str, tmp_path: Path) -> None:
    (one,) = asked(tmp_path, text)
    assert brought_vars([one])["provision_environments"] == {}
    assert str(one.deployment.venv) in str(missing(one))


@pytest.mark.parametrize("name", ["h100", "h20", "h200", "vastai", "wsl"])
def test_of_every_example_all_of_the_engine_is_brought(name: str) -> None:
    found = wants(load(packaged("inventories") / f"{name}.yaml"), ProvisionOptions())
    assert [missing(one) for one in found] == [None]
    assert brought_vars(found)["provision_images"].keys() == {host.name for host in found[0].hosts}
