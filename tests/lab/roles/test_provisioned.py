"""`r1fleet provision` for a deployment that runs in docker, on bare hosts: docker, then its image from a tar."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.reach import r1fleet
from tests.lab.roles.applying import Roles

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(600)]

IMAGE = "tiny/engine:1"
DEPLOYMENT = {
    "engine": "vllm",
    "accelerator": "cpu",
    "runtime": "docker",
    "image": IMAGE,
    "model": "org/model",
    "hosts": "nodes",
    "port": 40000,
}


@pytest.fixture(scope="module")
def inventory(roles: Roles) -> Path:
    """The lab's own inventory with a deployment in docker; both hosts hold the same tar."""
    content: dict[str, Any] = yaml.safe_load(roles.lab.inventory.read_text())
    content["all"]["vars"] |= {
        "deployments": {"r1": DEPLOYMENT},
        "docker_source": "distribution",
        "engine_image_source": "load",
        "engine_image_tar": "/root/engine.tar",
        "node_tuning_time": False,
    }
    path = roles.folder / "inventories/some.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(content))
    roles.done("docker", hosts="h1", docker_source="distribution")
    made = f"mkdir image; echo one > image/file; tar -C image -c . | docker import - {IMAGE}"
    script = f"{made}; docker save -o engine.tar {IMAGE}"
    roles.root("h1", f"cd /root; {script}; docker image rm {IMAGE}")
    tar = (roles.lab.host("h1").root / "root/engine.tar").read_bytes()
    (roles.lab.host("h2").root / "root/engine.tar").write_bytes(tar)
    return path


def test_hosts_get_docker_and_the_image_and_then_nothing(roles: Roles, inventory: Path) -> None:
    ran = r1fleet("provision", str(inventory), "--skip-weights", "--output", "ansible", seconds=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    held = [json.loads(roles.root(host, "cat /var/lib/r1fleet/images/*.json"))["id"] for host in ("h1", "h2")]
    assert held == [roles.root("h2", f"docker image inspect --format '{{{{.Id}}}}' {IMAGE}")] * 2
    assert roles.root("h2", "sysctl -n net.ipv4.ip_local_reserved_ports") == "40000"
    again = r1fleet("provision", str(inventory), "--skip-weights", "--output", "ansible", seconds=300)
    assert again.stdout.count("changed=0 ") == 2, again.stdout


def test_check_mode_on_bare_hosts_comes_to_its_end(roles: Roles, inventory: Path) -> None:
    roles.done("docker", tasks_from="uninstall", docker_source="distribution", docker_uninstall_data=True)
    ran = r1fleet("provision", str(inventory), "--check", "--output", "ansible", seconds=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "docker.io" not in roles.root("h1", "dpkg-query -W")
