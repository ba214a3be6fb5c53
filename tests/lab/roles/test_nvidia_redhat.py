"""The roles for NVIDIA hosts on a host dressed as Rocky Linux 9, with stand-in rpm repositories: real dnf and rpm."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from difflib import unified_diff
from typing import Any

import pytest

from tests.differential.engines import ansible
from tests.differential.oracle import ensure_oracle
from tests.differential.transcript import read_transcript
from tests.lab.roles.gpu_ground import Fleet, Played, ansible_vars, gpu_fleet
from tests.lab.roles.test_nvidia_engines import without_dependencies
from tests.standins import debhost, driverrpm, rpmhost
from tests.standins.debhost import Dressed
from tests.standins.rpmrepo import KEY

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(900)]

DRIVER, TOOLKIT, CONTAINERS = "nvidia_driver", "cuda_toolkit", "nvidia_container_toolkit"
URL = "http://127.0.0.1:8080"
VERSIONS = ("580.126.20", "580.178.04", "595.71.05")
SHELF = "/var/lib/standins"
# Keys under the names that the real repositories give them; the container toolkit's index is signed, too.
KEYS = f"""
cd {SHELF}
cp appstream/{KEY} epel/RPM-GPG-KEY-EPEL-9
cp appstream/{KEY} toolkit/gpgkey
rm -f toolkit/stable/rpm/x86_64/repodata/repomd.xml.asc
GNUPGHOME={SHELF}/keyring gpg --batch --quiet --armor --detach-sign toolkit/stable/rpm/x86_64/repodata/repomd.xml
"""
CHOICES: dict[str, Any] = {
    "mirrors_cuda": f"{URL}/cuda",
    "mirrors_epel": f"{URL}/epel",
    "mirrors_container_toolkit": f"{URL}/toolkit",
    "nvidia_repository_rpm_key": KEY,
    "nvidia_driver_version": "580.126.20",
    "nvidia_container_toolkit_version": "",
    "nvidia_container_toolkit_runtime": "none",
    "nvidia_container_toolkit_cdi": False,
    "cuda_toolkit_versions": ["12.8"],
}


@pytest.fixture(scope="module")
def fleet(lab_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with gpu_fleet(f"{lab_name}-gpu-redhat", 1, tmp_path_factory.mktemp("gpu")) as fleet:
        rpmhost.dress(fleet.lab, "h1", "rocky9")
        host = fleet.hosts["h1"] = Dressed(fleet.lab, "h1")
        debhost.plug(host, "8xH200")
        base = rpmhost.publish(fleet.lab, "h1", driverrpm.base())
        host.write("etc/yum.repos.d/base.repo", driverrpm.base().repo_file(base.url, key_url=base.key_url))
        publish(fleet, VERSIONS)
        serve = f"systemd-run --quiet python3 -m http.server --bind 127.0.0.1 --directory {SHELF} 8080"
        fleet.root("h1", serve)
        ansible_vars(fleet, h1=CHOICES)
        yield fleet


def publish(fleet: Fleet, versions: tuple[str, ...]) -> None:
    for repository in (driverrpm.epel(), driverrpm.toolkit(("1.19.1", "1.20.0")), driverrpm.cuda(versions)):
        rpmhost.publish(fleet.lab, "h1", repository)
    fleet.root("h1", KEYS)


@pytest.fixture(scope="module")
def first(fleet: Fleet) -> Played:
    return fleet.play(DRIVER, TOOLKIT, CONTAINERS, **CHOICES)


def packages(fleet: Fleet) -> dict[str, str]:
    text = fleet.root("h1", "rpm -qa --queryformat '%{NAME} %{VERSION}\\n'")
    return dict(row.split() for row in text.splitlines())


def test_the_pin_beats_a_newer_version_and_the_fabric_manager_follows(fleet: Fleet, first: Played) -> None:
    assert first.changed
    mine = {name: version for name, version in packages(fleet).items() if "nvidia" in name and "container" not in name}
    assert set(mine.values()) == {"580.126.20"}
    assert {"nvidia-open", "kmod-nvidia-open-dkms", "nvidia-fabricmanager", "libnvidia-nscq"} <= set(mine)


def test_a_toolkit_and_four_packages_at_one_version_come_beside_it(fleet: Fleet, first: Played) -> None:
    mine = packages(fleet)
    assert mine["cuda-toolkit-12-8"] == "12.8.1"
    assert {version for name, version in mine.items() if "nvidia-container" in name} == {"1.20.0"}


def test_nouveau_is_blacklisted_and_services_are_enabled(fleet: Fleet, first: Played) -> None:
    assert "blacklist nouveau" in fleet.hosts["h1"].read("etc/modprobe.d/blacklist-nouveau.conf")
    assert fleet.root("h1", "systemctl is-enabled nvidia-persistenced nvidia-fabricmanager") == "enabled\nenabled"


def test_a_second_run_changes_nothing(fleet: Fleet, first: Played) -> None:
    assert fleet.play(DRIVER, TOOLKIT, CONTAINERS, **CHOICES).changed == {"h1": 0}


def test_check_mode_changes_nothing(fleet: Fleet, first: Played) -> None:
    before = packages(fleet)
    assert (
        fleet.play(DRIVER, options=("--check",), **{**CHOICES, "nvidia_driver_version": "580.178.04"}).counts["h1"][1]
        == 0
    )
    assert packages(fleet) == before


def test_holds_survive_an_upgrade(fleet: Fleet, first: Played) -> None:
    before = packages(fleet)
    publish(fleet, (*VERSIONS, "580.200.01"))
    told = fleet.root("h1", "dnf --refresh --assumeyes upgrade 2>&1")
    assert packages(fleet) == before, told


def test_another_version_and_another_branch_take_all_of_it_along(fleet: Fleet, first: Played) -> None:
    for choice in (
        {"nvidia_driver_version": "580.178.04"},
        {"nvidia_driver_version": "", "nvidia_driver_branch": "595"},
    ):
        told = fleet.play(DRIVER, **{**CHOICES, **choice})
        assert told.changed["h1"], told.text
        mine = {name: its for name, its in packages(fleet).items() if "nvidia" in name and "container" not in name}
        assert set(mine.values()) == {choice["nvidia_driver_version"] or "595.71.05"}, told.text
        assert fleet.play(DRIVER, **{**CHOICES, **choice}).changed == {"h1": 0}


def test_uninstalled_nothing_is_left(fleet: Fleet, first: Played) -> None:
    assert fleet.play(CONTAINERS, TOOLKIT, DRIVER, tasks_from="uninstall", **CHOICES).changed
    left = [name for name in packages(fleet) if "nvidia" in name or "cuda" in name or name == "dkms"]
    assert left == []
    assert fleet.root("h1", "ls /etc/yum.repos.d; dnf -q versionlock list") == "base.repo"
    assert fleet.play(CONTAINERS, TOOLKIT, DRIVER, tasks_from="uninstall", **CHOICES).changed == {"h1": 0}


def test_ansible_says_and_does_the_same(fleet: Fleet, first: Played) -> None:
    ours = list(without_dependencies(read_transcript(first.text, folder=f"{fleet.folder}/")))
    before = set(packages(fleet))
    theirs = by_ansible(fleet, DRIVER, TOOLKIT, CONTAINERS)
    assert "\n".join(unified_diff(theirs, ours, "ansible", "r1fleet", lineterm="")) == ""
    mine = {name: version for name, version in packages(fleet).items() if "nvidia" in name}
    assert mine["nvidia-open"] == mine["nvidia-fabricmanager"] == "580.126.20"
    again = by_ansible(fleet, DRIVER, TOOLKIT, CONTAINERS)
    assert "changed=0" in again[-1]
    by_ansible(fleet, CONTAINERS, TOOLKIT, DRIVER, tasks_from="uninstall")
    assert set(packages(fleet)) == before


def by_ansible(fleet: Fleet, *roles: str, tasks_from: str = "main") -> list[str]:
    """Play roles by Ansible itself, and return what it said."""
    engine = ansible(ensure_oracle())
    play = fleet.write_play(*roles, tasks_from=tasks_from)
    extra = json.dumps({**fleet.variables, **CHOICES})
    argv = [*engine.argv, str(play), "-i", str(fleet.lab.inventory), "-e", extra]
    env = {**os.environ, **engine.environment}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=600, check=False)
    lines = read_transcript(done.stdout, folder=f"{fleet.folder}/")
    assert "failed=0" in lines[-1], done.stdout[-3000:] + done.stderr
    return list(without_dependencies(lines))
