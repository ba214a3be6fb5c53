"""The role vastai_driver with a stand-in for the vendor's installer: no card and no driver of Vastai's is here."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.differential.footprint import Footprint
from tests.lab.roles.applying import ROOT, Applied, Roles

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

ROLE = "vastai_driver"
INSTALLER = next((ROOT / "tests/standins/vastai").glob("vastai_driver_install_*.run"))
SHA256 = hashlib.sha256(INSTALLER.read_bytes()).hexdigest()
STANDIN = "/run/vastai-standin"
GOVERNOR = f"{STANDIN}/cpu/cpu0/cpufreq/scaling_governor"
CARDS = f"""
mkdir -p {STANDIN}/cpu/cpu0/cpufreq {STANDIN}/groups
echo powersave > {GOVERNOR}; echo 'quiet splash' > {STANDIN}/cmdline
for die in 0 1 2 3; do
  folder={STANDIN}/pci/0000:3$die:00.0; mkdir -p $folder
  echo 0x1ec6 > $folder/vendor; echo 0x0100 > $folder/device; echo 0x120000 > $folder/class
done
"""


@pytest.fixture(scope="module")
def before(roles: Roles) -> Footprint:
    """h1 has one VA16, by the look of its PCI bus: four dies."""
    roles.root("h1", CARDS)
    return roles.footprint("h1")


@pytest.fixture(scope="module")
def first(roles: Roles, before: Footprint) -> Applied:
    return apply(roles)


def apply(roles: Roles, **more: Any) -> Applied:
    applied = attempt(roles, **more)
    assert applied.well, applied.explain()
    return applied


def attempt(roles: Roles, **more: Any) -> Applied:
    given = {
        "vastai_driver_run": str(INSTALLER),
        "vastai_driver_sha256": SHA256,
        "vastai_driver_packages": [],
        "vastai_driver_module": f"{STANDIN}/module",
        "vastai_driver_cmdline": f"{STANDIN}/cmdline",
        "vastai_driver_iommu_groups": f"{STANDIN}/groups",
        "vastai_driver_cpus": f"{STANDIN}/cpu",
        "hardware_pci": f"{STANDIN}/pci",
    }
    return roles.apply(ROLE, hosts=more.pop("hosts", "h1"), **{**given, **more})


def ran(roles: Roles) -> str:
    """Tell what of the installer has run."""
    return roles.root("h1", f"cat {STANDIN}/calls 2>/dev/null; true")


def test_a_host_without_a_card_is_told_so(roles: Roles, before: Footprint) -> None:
    assert "no PCI device 1ec6:0100" in attempt(roles, hosts="h2").failure("h2")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"vastai_driver_run": ""}, "name the vendor's installer"),
        ({"vastai_driver_sha256": "abc"}, "must be the sha256 of vastai_driver_install_"),
        ({"vastai_driver_sha256": "0" * 64}, f"has the sha256 {SHA256}, not {'0' * 64}"),
        ({"vastai_driver_iommu": "on"}, "must be one of: refuse, warn"),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(
    roles: Roles, before: Footprint, wrong: dict[str, str], words: str
) -> None:
    assert words in attempt(roles, **wrong).failure("h1")
    assert ran(roles) == ""


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (f"echo 'quiet intel_iommu=on' > {STANDIN}/cmdline", "an IOMMU is on (intel_iommu=on)"),
        (f"mkdir {STANDIN}/groups/0", f"an IOMMU is on (groups in {STANDIN}/groups)"),
    ],
)
def test_an_iommu_is_refused_before_anything_runs(roles: Roles, before: Footprint, shown: str, words: str) -> None:
    roles.root("h1", shown)
    assert words in attempt(roles).failure("h1")
    assert ran(roles) == ""
    roles.root("h1", f"echo 'quiet intel_iommu=off' > {STANDIN}/cmdline; rmdir {STANDIN}/groups/* 2>/dev/null; true")


def test_check_mode_runs_nothing(roles: Roles, before: Footprint) -> None:
    applied = apply(roles, check=True)
    assert "Copy the installer" in applied.changed("h1")
    assert ran(roles) == ""
    assert roles.footprint("h1").since(before) == []


def test_an_installer_that_brings_no_module_is_told_with_its_last_words(roles: Roles, before: Footprint) -> None:
    roles.root("h1", f"touch {STANDIN}/fail")
    said = attempt(roles).failure("h1")
    assert "the module vastai_pci is not loaded" in said
    assert "No rule to make target" in said
    roles.root("h1", f"rm {STANDIN}/fail {STANDIN}/calls {STANDIN}/parameters")


def test_the_driver_is_installed_as_the_vendor_says(roles: Roles, first: Applied) -> None:
    name = f"/var/lib/r1fleet/vastai/{INSTALLER.name}"
    assert ran(roles).splitlines() == [f"{name} install --setkernelhook", f"{name} install --setkoparam dpm=1"]
    assert roles.root("h1", f"cat {STANDIN}/vasmi") == "setconfig dpm=enable -d all"
    assert roles.root("h1", f"cat {GOVERNOR}") == "performance"


def test_a_second_run_changes_and_runs_nothing(roles: Roles, first: Applied) -> None:
    assert apply(roles).changed("h1") == []
    assert len(ran(roles).splitlines()) == 2


def test_power_and_governor_are_set_again_at_every_boot(roles: Roles, first: Applied) -> None:
    roles.root("h1", f"echo powersave > {GOVERNOR}; systemctl restart r1fleet-vastai")
    assert roles.root("h1", f"cat {GOVERNOR}") == "performance"
    assert roles.root("h1", "systemctl is-enabled r1fleet-vastai") == "enabled"


def test_a_driver_that_is_in_use_is_not_replaced(roles: Roles, first: Applied) -> None:
    roles.root("h1", f"echo 3 > {STANDIN}/module/refcnt")
    said = attempt(roles, vastai_driver_version="00.26.01.23").failure("h1")
    assert "another version of the driver is loaded and in use (Driver: 00.25.08.11" in said
    assert len(ran(roles).splitlines()) == 2
    roles.root("h1", f"echo 0 > {STANDIN}/module/refcnt")


@pytest.mark.slow
def test_another_version_replaces_the_one_that_is_loaded(roles: Roles, first: Applied) -> None:
    roles.root("h1", "sed -i s/00.25.08.11/00.24.01.01/ /dev/vastai0_version")
    apply(roles)
    assert [line.split()[1] for line in ran(roles).splitlines()[2:]] == ["uninstall", "install", "install"]


def test_uninstalling_leaves_no_trace(roles: Roles, first: Applied, before: Footprint) -> None:
    given = {"vastai_driver_module": f"{STANDIN}/module", "hardware_pci": f"{STANDIN}/pci"}
    roles.done(ROLE, hosts="h1", tasks_from="uninstall", **given)
    assert roles.footprint("h1").since(before) == []
    assert roles.root("h1", f"ls -d {STANDIN}/module /var/lib/r1fleet/vastai /dev/vacc* 2>/dev/null; true") == ""
    assert roles.done(ROLE, hosts="h1", tasks_from="uninstall", **given).changed("h1") == []
