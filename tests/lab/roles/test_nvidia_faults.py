"""What goes wrong with the roles for NVIDIA hosts, on lab hosts with stand-ins: clear words, and what is half done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.reach import boot_id
from tests.lab.roles.gpu_ground import DRIVERS, Fleet, Played, gpu_fleet
from tests.standins import container, cuda, debhost
from tests.standins.aptrepo import Signer

DRIVER, TOOLKIT, CONTAINERS = "nvidia_driver", "cuda_toolkit", "nvidia_container_toolkit"
HOLD_LOCK = (
    "import fcntl, time; lock = open('/var/lib/dpkg/lock-frontend', 'w'); "
    "fcntl.lockf(lock, fcntl.LOCK_EX); time.sleep(60)"
)


@pytest.fixture(scope="module")
def fleet(lab_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with gpu_fleet(f"{lab_name}-gpu-faults", 3, tmp_path_factory.mktemp("gpu"), container.engines()) as fleet:
        fleet.dress("h1", "ubuntu2404", "8xH200")
        debhost.make_wsl(fleet.dress("h2", "ubuntu2404", "none"))
        fleet.dress("h3", "ubuntu2510", "unknown")
        fleet.root("h1", "apt-get update -qq && apt-get install -y -qq docker-ce mokutil >/dev/null 2>&1")
        yield fleet


@pytest.fixture
def clean(fleet: Fleet) -> Iterator[Fleet]:
    """The fleet; afterwards nothing of a driver is on h1."""
    yield fleet
    fleet.root(
        "h1",
        "mount | grep -q ' /var/cache/apt/archives ' && umount /var/cache/apt/archives; rm -rf /var/lib/apt/lists/*",
    )
    assert fleet.play(CONTAINERS, TOOLKIT, DRIVER, tasks_from="uninstall", options=("--limit", "h1")).changed
    fleet.root("h1", "rm -f /srv/stand-in/secure-boot /run/stand-in/nvidia/version; apt-get update -qq")


def refused(played: Played, *words: str) -> None:
    """Assert that a play failed on one host, and said so in these words."""
    assert sum(failed for _, failed in played.counts.values()) == 1, played.text
    for word in words:
        assert word in played.text, played.text
    assert "Traceback" not in played.text


def on(host: str) -> tuple[str, str]:
    return ("--limit", host)


def test_an_unknown_gpu_is_named_with_the_way_on(fleet: Fleet) -> None:
    told = fleet.play(DRIVER, options=on("h3"))
    refused(told, "Unknown NVIDIA GPU 10de:ffff", "hardware_models_more")


def test_an_unknown_distribution_is_named_with_those_that_are_known(fleet: Fleet) -> None:
    known = {"ffff": {"name": "RTX 6090"}}
    told = fleet.play(DRIVER, options=on("h3"), hardware_models_more=known)
    refused(told, "Ubuntu 25.10 is not a distribution whose NVIDIA repository is known", "Ubuntu 24.04, Debian 12")
    assert not (fleet.hosts["h3"].root / "etc/modprobe.d/blacklist-nouveau.conf").exists()


def test_secure_boot_stops_before_anything_is_installed(fleet: Fleet) -> None:
    fleet.hosts["h1"].write("srv/stand-in/secure-boot", "SecureBoot enabled\n")
    told = fleet.play(DRIVER, options=on("h1"))
    fleet.root("h1", "rm /srv/stand-in/secure-boot")
    refused(told, "Secure Boot is on", "mokutil --import", "Nothing was installed")
    assert "cuda-keyring" not in fleet.packages("h1")


def test_running_containers_are_not_put_at_risk(fleet: Fleet) -> None:
    fleet.root("h1", "mkdir -p /run/stand-in; echo 0123456789ab > /run/stand-in/containers")
    for role in (DRIVER, CONTAINERS):
        refused(fleet.play(role, options=on("h1")), "1 containers run", "Nothing was changed")
    fleet.root("h1", "rm /run/stand-in/containers")
    assert "cuda-keyring" not in fleet.packages("h1")


def test_settings_of_docker_that_are_not_json_are_left_as_they_are(fleet: Fleet) -> None:
    fleet.hosts["h1"].write("etc/docker/daemon.json", '{"log-driver": "json-file",}')
    told = fleet.play(CONTAINERS, options=on("h1"))
    assert fleet.hosts["h1"].read("etc/docker/daemon.json") == '{"log-driver": "json-file",}'
    fleet.root("h1", "rm /etc/docker/daemon.json")
    refused(told, "/etc/docker/daemon.json is not JSON", "Nothing was changed")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"nvidia_driver_version": "580"}, "A driver's version looks like 580.126.20"),
        ({"nvidia_driver_branch": "five"}, "nvidia_driver_branch 'five'"),
        (
            {"nvidia_driver_branch": "620", "nvidia_driver_kernel_modules": "proprietary"},
            "no proprietary kernel modules",
        ),
    ],
)
@pytest.mark.slow
def test_versions_that_cannot_be_are_refused(fleet: Fleet, variables: dict[str, Any], words: str) -> None:
    refused(fleet.play(DRIVER, options=on("h1"), **variables), words)


@pytest.mark.slow
def test_secure_boot_is_read_from_efi_variables_where_mokutil_is_missing(clean: Fleet) -> None:
    clean.root("h1", "apt-get purge -y -qq mokutil >/dev/null 2>&1")
    variable = "srv/stand-in/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
    for state, words in ((b"\6\0\0\0\1", True), (b"\6\0\0\0\0", False)):
        clean.hosts["h1"].write(variable, state)
        told = clean.play(DRIVER, options=(*on("h1"), "--check"), nvidia_driver_efivars="/srv/stand-in/efivars")
        assert ("Secure Boot is on" in told.text) is words, told.text
    clean.root("h1", "apt-get install -y -qq mokutil >/dev/null 2>&1")


@pytest.mark.slow
def test_without_a_way_to_the_repository_that_is_what_is_said(clean: Fleet) -> None:
    told = clean.play(DRIVER, options=on("h1"), mirrors_cuda=f"http://{clean.lab.gateway}:1/cuda")
    refused(told, "cannot be used", "This host has no way to it. See proxy_env")
    assert not [name for name in clean.packages("h1") if "nvidia" in name]


@pytest.mark.slow
def test_a_key_that_does_not_sign_stops_before_any_package(clean: Fleet) -> None:
    target = clean.served.folder / "strange"
    other = Signer.make(clean.folder / "gpg-other", "other")
    cuda.write_repositories(target, other, ["580.126.20"], f"{clean.served.url}/strange")
    right = cuda.keyring("ubuntu2404", clean.signer.binary, f"{clean.served.url}/strange")
    (target / "repos/ubuntu2404/x86_64" / right.file_name).write_bytes(right.content())
    other.close()
    told = clean.play(DRIVER, options=on("h1"), mirrors_cuda=f"{clean.served.url}/strange")
    refused(told, "The key does not sign what the repository holds", "Half done")
    assert not [name for name in clean.packages("h1") if "nvidia" in name]


@pytest.mark.slow
@pytest.mark.parametrize("version", ["580.1.1", "595.1.1"])
def test_a_version_that_is_not_there_leaves_no_driver(clean: Fleet, version: str) -> None:
    told = clean.play(DRIVER, options=on("h1"), nvidia_driver_version=version)
    refused(told, version, "could not be installed")
    assert not [name for name in clean.packages("h1") if name.startswith("libnvidia")]


@pytest.mark.slow
def test_a_fabric_manager_that_lags_behind_keeps_the_driver_out(clean: Fleet) -> None:
    folder = clean.served.folder / "cuda/repos/ubuntu2404/x86_64"
    clean.publish(DRIVERS)
    lines = (folder / "Packages").read_text().split("\n\n")
    kept = [row for row in lines if not ("nvidia-fabricmanager\n" in row and "580.178.04" in row)]
    clean.republish(folder, "\n\n".join(kept))
    told = clean.play(DRIVER, options=on("h1"))
    clean.publish(DRIVERS)
    refused(told, "nvidia-fabricmanager=580.178.04-*", "could not be installed")
    assert not [name for name in clean.packages("h1") if name.startswith("libnvidia")]


@pytest.mark.slow
def test_a_disk_that_fills_up_in_the_middle_is_named_and_the_next_run_goes_on(clean: Fleet) -> None:
    clean.root("h1", "mkdir -p /usr/local/cuda-12.8 && mount -t tmpfs -o size=4k tmpfs /usr/local/cuda-12.8")
    clean.root("h1", "dd if=/dev/zero of=/usr/local/cuda-12.8/full bs=4k count=1 2>/dev/null; true")
    told = clean.play(TOOLKIT, options=on("h1"), cuda_toolkit_versions=["12.8"])
    clean.root("h1", "umount /usr/local/cuda-12.8")
    refused(told, "could not be installed", "The disk is full", "the next run goes on from there")
    assert clean.play(TOOLKIT, options=on("h1"), cuda_toolkit_versions=["12.8"]).changed["h1"]
    assert "release 12.8" in clean.root("h1", "/usr/local/cuda/bin/nvcc --version")


@pytest.mark.slow
def test_a_held_lock_is_waited_for_and_its_holder_named(clean: Fleet) -> None:
    clean.root("h1", f'setsid python3 -c "{HOLD_LOCK}" > /dev/null 2>&1 & echo $! > /run/holder; sleep 1')
    told = clean.play(DRIVER, options=on("h1"), nvidia_driver_lock_timeout=2, nvidia_repository_lock_timeout=2)
    clean.root("h1", "kill $(cat /run/holder); rm /run/holder")
    refused(told, "lock-frontend is held by process", "python3", "Another process uses the package manager")


@pytest.mark.slow
def test_branch_and_modules_change_in_one_go(clean: Fleet) -> None:
    for variables, name, version in (
        ({"nvidia_driver_branch": "570"}, "nvidia-dkms-570-open", "570.158.01"),
        ({"nvidia_driver_branch": "580"}, "nvidia-dkms-580-open", "580.178.04"),
        ({"nvidia_driver_branch": "595"}, "nvidia-dkms-open", "595.71.05"),
        ({"nvidia_driver_branch": "595", "nvidia_driver_kernel_modules": "proprietary"}, "nvidia-dkms", "595.71.05"),
        ({"nvidia_driver_version": "590.48.01"}, "nvidia-dkms-open", "590.48.01"),
        ({"nvidia_driver_version": "580.126.20"}, "nvidia-dkms-580-open", "580.126.20"),
    ):
        assert clean.play(DRIVER, options=on("h1"), **variables).changed["h1"]
        packages = clean.packages("h1")
        assert packages[name].startswith(version)
        mine = {
            own: its
            for own, its in packages.items()
            if ("nvidia" in own or own == "cuda-drivers") and "pinning" not in own
        }
        assert [own for own, its in mine.items() if not its.startswith(version)] == []
        assert set(clean.root("h1", "apt-mark showhold").split()) == set(mine)
        assert clean.play(DRIVER, options=on("h1"), **variables).changed["h1"] == 0


@pytest.mark.slow
def test_it_reboots_once_and_only_where_the_module_is_of_another_version(clean: Fleet) -> None:
    before = boot_id(clean.lab, "h1")
    assert clean.play(DRIVER, options=on("h1"), nvidia_driver_reboot=True).changed["h1"]
    after = boot_id(clean.lab, "h1")
    assert after != before
    assert clean.root("h1", "systemctl is-active nvidia-persistenced nvidia-fabricmanager") == "active\nactive"
    assert "--persistence-mode" in clean.root("h1", "systemctl show -p ExecStart nvidia-persistenced")
    assert clean.play(DRIVER, options=on("h1"), nvidia_driver_reboot=True).changed["h1"] == 0
    assert boot_id(clean.lab, "h1") == after


@pytest.mark.slow
def test_a_driver_that_no_package_brought_is_left_alone(clean: Fleet) -> None:
    clean.root(
        "h1", "mkdir -p /run/stand-in/nvidia; echo 'NVRM version: stand-in 550.54.14' > /run/stand-in/nvidia/version"
    )
    told = clean.play(DRIVER, options=on("h1"))
    assert told.changed["h1"] == 0
    assert "A driver 550.54.14 is loaded that no package brought" in told.text


@pytest.mark.slow
def test_a_local_installer_serves_wsl2_and_is_checked_by_its_hash(fleet: Fleet) -> None:
    deb = cuda.local_installer("wsl-ubuntu", "12.8", "12.8.0", fleet.signer)
    fleet.hosts["h2"].write(f"root/{deb.file_name}", deb.content())
    local: dict[str, Any] = {
        "cuda_toolkit_versions": ["12.8"],
        "cuda_toolkit_source": "local",
        "cuda_toolkit_installer": f"/root/{deb.file_name}",
    }
    told = fleet.play(TOOLKIT, options=on("h2"), **local, cuda_toolkit_installer_sha256="0" * 64)
    refused(told, "has the sha256")
    assert fleet.play(TOOLKIT, options=on("h2"), **local).changed["h2"]
    assert fleet.packages("h2")["cuda-toolkit-12-8"] == "12.8.0-1"
    assert "Pin-Priority: 600" in fleet.hosts["h2"].read("etc/apt/preferences.d/cuda-repository-pin-600")
    assert not [name for name in fleet.packages("h2") if "driver" in name or "nvidia" in name]
    assert fleet.play(TOOLKIT, options=on("h2"), **local).changed["h2"] == 0
    assert fleet.play(TOOLKIT, tasks_from="uninstall", options=on("h2")).changed["h2"]
    assert not [name for name in fleet.packages("h2") if name.startswith("cuda")]


# Last: h1 does not come back from it.
@pytest.mark.slow
def test_a_host_that_does_not_come_back_is_said_with_what_was_done(fleet: Fleet) -> None:
    fleet.root("h1", "systemctl disable --quiet ssh.service")
    told = fleet.play(DRIVER, options=on("h1"), nvidia_driver_reboot=True, nvidia_driver_reboot_timeout=15)
    refused(told, "Timed out waiting", "/sbin/shutdown -r 0", "was run at", "it does not answer")
