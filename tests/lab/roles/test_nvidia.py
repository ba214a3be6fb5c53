"""The roles for NVIDIA hosts on lab hosts dressed as such, with stand-in repositories: nothing here has met a GPU."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.differential.footprint import Footprint
from tests.lab.roles.gpu_ground import DRIVERS, Fleet, Played, ansible_vars, gpu_fleet
from tests.standins import container, debhost

ROLES = ("nvidia_driver", "cuda_toolkit", "nvidia_container_toolkit")
DRIVER = "nvidia_driver"
CHOICES: dict[str, dict[str, Any]] = {
    # Since 590 a package pins; before, the branch is part of names and a file of ours pins an exact version.
    "h1": {"nvidia_driver_version": "595.71.05", "nvidia_container_toolkit_version": "1.19.1"},
    "h2": {"nvidia_driver_branch": "580", "cuda_toolkit_versions": []},
    "h3": {"nvidia_container_toolkit_check": True, "cuda_toolkit_versions": ["12.8"]},
    "h4": {"nvidia_driver_version": "580.126.20", "nvidia_container_toolkit_runtime": "containerd"},
}
SHARED: dict[str, Any] = {"cuda_toolkit_versions": ["12.6.3", "12.8"], "cuda_toolkit_default": "12.8"}
MINE = '{"log-opts": {"max-size": "10m"}, "runtimes": {"other": {"path": "/opt/other"}}}'


@pytest.fixture(scope="module")
def fleet(lab_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Five hosts: 8xH200, 8xB200, WSL2, one L40S, none."""
    with gpu_fleet(f"{lab_name}-gpu", 5, tmp_path_factory.mktemp("gpu"), container.engines()) as fleet:
        fleet.dress("h1", "ubuntu2404", "8xH200").write("etc/docker/daemon.json", MINE)
        fleet.dress("h2", "debian12", "8xB200")
        debhost.make_wsl(fleet.dress("h3", "ubuntu2404", "none"))
        fleet.dress("h4", "ubuntu2204", "1xL40S")
        fleet.dress("h5", "ubuntu2404", "none")
        for name, engine in {"h1": "docker-ce", "h2": "docker-ce", "h3": "docker-ce", "h4": "containerd.io"}.items():
            fleet.root(name, f"apt-get update -qq && apt-get install -y -qq {engine} >/dev/null 2>&1")
        ansible_vars(
            fleet, **{host: {**SHARED, **CHOICES.get(host, {"cuda_toolkit_versions": []})} for host in fleet.hosts}
        )
        yield fleet


@pytest.fixture(scope="module")
def bare(fleet: Fleet) -> dict[str, Footprint]:
    """The hosts' disks before anything."""
    return fleet.footprints()


@pytest.fixture(scope="module")
def checked(fleet: Fleet, bare: dict[str, Footprint]) -> Played:
    """A run in check mode on bare hosts."""
    return fleet.play(*ROLES, options=("--check",))


@pytest.fixture(scope="module")
def first(fleet: Fleet, bare: dict[str, Footprint], checked: Played) -> Played:
    """The first run."""
    return fleet.play(*ROLES)


def test_check_mode_tells_changes_and_makes_none(fleet: Fleet, bare: dict[str, Footprint], checked: Played) -> None:
    assert checked.changed["h1"] > 5
    assert checked.changed["h5"] == 0
    now = fleet.footprints()
    assert {name: now[name].since(bare[name]) for name in now} == {name: [] for name in now}


def test_the_pin_beats_a_newer_version(fleet: Fleet, first: Played) -> None:
    assert first.changed
    one, four = fleet.packages("h1"), fleet.packages("h4")
    assert {version for name, version in one.items() if "nvidia" in name and "container" not in name} == {
        "595.71.05-1ubuntu1",
        "595.71.05-1",  # fabric manager and the pin, which Ubuntu has not built
    }
    assert one["nvidia-driver-pinning-595.71.05"]
    assert one["nvidia-dkms-open"] == "595.71.05-1ubuntu1"
    assert four["nvidia-open-580"] == four["nvidia-utils-580"] == four["nvidia-dkms-580-open"] == "580.126.20-1ubuntu1"
    assert "595.71.05" in fleet.root("h1", "nvidia-smi")
    assert DRIVERS[-1] in fleet.root("h1", "apt-cache madison nvidia-open"), "the newer one is there to be had"


def test_the_fabric_manager_follows_the_driver_where_there_is_an_nvswitch_and_only_there(
    fleet: Fleet, first: Played
) -> None:
    one, two, four = fleet.packages("h1"), fleet.packages("h2"), fleet.packages("h4")
    assert (one["nvidia-fabricmanager"], one["libnvidia-nscq"]) == ("595.71.05-1", "595.71.05-1")
    assert "nvlsm" not in one
    assert two["nvidia-open-580"] == "580.178.04-1"
    assert (two["nvidia-fabricmanager"], two["libnvsdm"], two["nvlsm"]) == (
        "580.178.04-1",
        "580.178.04-1",
        "2025.10.12-1",
    )
    assert not [name for name in four if "fabric" in name or "nscq" in name]
    assert fleet.root("h2", "systemctl is-enabled nvidia-fabricmanager nvidia-persistenced") == "enabled\nenabled"


def test_nothing_of_a_driver_is_on_wsl2(fleet: Fleet, first: Played) -> None:
    mine = [name for name in fleet.packages("h3") if "nvidia" in name or name.startswith("cuda")]
    assert sorted(mine) == [
        "cuda-cudart-12-8",
        "cuda-keyring",
        "cuda-nvcc-12-8",
        "cuda-toolkit-12-8",
        *["libnvidia-container-tools", "libnvidia-container1"],
        *["nvidia-container-toolkit", "nvidia-container-toolkit-base"],
    ]
    assert not list((fleet.hosts["h3"].root / "etc/modprobe.d").glob("*nouveau*"))
    assert "/wsl-ubuntu/" in fleet.hosts["h3"].read("etc/apt/sources.list.d/cuda-wsl-ubuntu-x86_64.list")
    assert "This is WSL2" in first.text


def test_a_host_without_gpus_is_left_alone(fleet: Fleet, bare: dict[str, Footprint], first: Played) -> None:
    assert first.changed["h5"] == 0
    assert fleet.footprints()["h5"].since(bare["h5"]) == []


def test_nouveau_is_kept_away_and_a_reboot_is_told_not_done(fleet: Fleet, first: Played) -> None:
    assert "blacklist nouveau" in fleet.hosts["h1"].read("etc/modprobe.d/blacklist-nouveau.conf")
    assert "A reboot is needed: packages are of version 595.71.05, the loaded module is none" in first.text


def test_toolkits_stand_side_by_side(fleet: Fleet, first: Played) -> None:
    assert fleet.packages("h1")["cuda-toolkit-12-6"] == "12.6.3-1"
    assert "release 12.8, V12.8.93" in fleet.root("h1", "sh -lc 'nvcc --version'")
    assert "release 12.6, V12.6.85" in fleet.root("h1", "/usr/local/cuda-12.6/bin/nvcc --version")
    assert "cuda-drivers" not in fleet.packages("h1")


def test_the_four_packages_are_at_one_version_and_settings_are_merged(fleet: Fleet, first: Played) -> None:
    one = fleet.packages("h1")
    names = ("nvidia-container-toolkit", "nvidia-container-toolkit-base", "libnvidia-container-tools")
    assert {one[name] for name in (*names, "libnvidia-container1")} == {"1.19.1-1"}
    settings = json.loads(fleet.hosts["h1"].read("etc/docker/daemon.json"))
    assert settings["log-opts"] == {"max-size": "10m"}
    assert set(settings["runtimes"]) == {"other", "nvidia"}
    assert settings["features"]["cdi"] is True
    assert (fleet.hosts["h4"].root / "etc/containerd/conf.d/99-nvidia.toml").exists()
    assert "run --rm --gpus all docker.io/nvidia/cuda:12.6.3" in fleet.root("h3", "cat /run/stand-in/docker.log")


def test_a_second_run_changes_nothing(fleet: Fleet, first: Played) -> None:
    before = fleet.footprints()
    assert set(fleet.play(*ROLES).changed.values()) == {0}
    now = fleet.footprints()
    assert {name: now[name].since(before[name]) for name in now} == {name: [] for name in now}


def test_holds_survive_an_upgrade_and_the_fabric_manager_stays_with_the_driver(fleet: Fleet, first: Played) -> None:
    before = {name: fleet.packages(name) for name in ("h1", "h2", "h4")}
    fleet.publish((*DRIVERS, "580.200.01", "595.80.01"))
    for name, packages in before.items():
        told = fleet.root(name, "apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get -y dist-upgrade")
        assert fleet.packages(name) == packages, told
    assert "580.200.01" in fleet.root("h2", "apt-cache madison nvidia-open-580"), "there is something newer"
    again = fleet.play(DRIVER, options=("--limit", "h1,h2,h4"))
    assert set(again.changed.values()) == {0}
    assert fleet.packages("h2") == before["h2"]


def test_uninstalled_nothing_is_left(fleet: Fleet, bare: dict[str, Footprint], first: Played) -> None:
    assert fleet.play("nvidia_container_toolkit", "cuda_toolkit", DRIVER, tasks_from="uninstall").changed
    now = fleet.footprints()
    left = {name: [line for line in now[name].since(bare[name]) if not _is_folder(line)] for name in now}
    # Merged settings are written anew without ours; folders stay.
    assert left == {
        **{name: [] for name in now},
        "h1": [line for line in left["h1"] if line.startswith("~ /etc/docker/daemon.json")],
    }
    assert json.loads(fleet.hosts["h1"].read("etc/docker/daemon.json")) == json.loads(MINE)
    assert fleet.root("h1", "apt-mark showhold") == ""


def _is_folder(line: str) -> bool:
    return " drwx" in line
