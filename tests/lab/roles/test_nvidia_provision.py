"""The playbook of `r1fleet provision` on hosts dressed as GPU hosts, with stand-ins: the order, and who gets what."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.roles.gpu_ground import Fleet, Played, ansible_vars, gpu_fleet
from tests.standins import debhost, dockerce

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def fleet(lab_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with gpu_fleet(f"{lab_name}-gpu-provision", 3, tmp_path_factory.mktemp("gpu")) as fleet:
        fleet.dress("h1", "ubuntu2404", "8xH200")
        debhost.make_wsl(fleet.dress("h2", "ubuntu2404", "none"))
        fleet.dress("h3", "ubuntu2404", "none")
        docker = fleet.served.folder / "docker-ce"
        dockerce.write_repository(docker, fleet.signer, "ubuntu", "ubuntu.24.04", "noble")
        ansible_vars(fleet, h2={"cuda_toolkit_versions": ["12.8"]})
        yield fleet


def provision(fleet: Fleet) -> Played:
    return fleet.play_file(
        "provision.yaml",
        base_packages=["ca-certificates"],
        node_tuning_time=False,
        mirrors_docker_ce=f"{fleet.served.url}/docker-ce",
        provision_docker_hosts=["h1", "h3"],
    )


def test_each_host_gets_what_it_has_use_for_in_the_right_order(fleet: Fleet) -> None:
    told = provision(fleet)
    assert told.changed
    one, two, three = (fleet.packages(name) for name in ("h1", "h2", "h3"))
    assert {"nvidia-open-580", "nvidia-fabricmanager", "docker-ce", "nvidia-container-toolkit"} <= set(one)
    assert "cuda-toolkit-12-8" in two
    assert not [name for name in two if "driver" in name or "docker" in name or name.startswith("libnvidia")]
    assert "docker-ce" in three
    assert not [name for name in three if "nvidia" in name or "cuda" in name]
    steps = ["nvidia_driver : Install the driver", "cuda_toolkit : ", "docker : ", "nvidia_container_toolkit : "]
    found = [told.text.index(f"TASK [{step}") for step in steps]
    assert found == sorted(found)
    assert '"nvidia-container-runtime"' in fleet.hosts["h1"].read("etc/docker/daemon.json")
    assert "live-restore" in fleet.hosts["h1"].read("etc/docker/daemon.json")


def test_the_second_time_nothing_changes(fleet: Fleet) -> None:
    assert set(provision(fleet).changed.values()) == {0}
