"""What the rpm modules decide by themselves: versions, dnf's table and errors, repository files, distributions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from r1fleet.agent.context import Context
from r1fleet.modules import _facts_distribution, _proc
from r1fleet.modules._dnf import read_transaction
from r1fleet.modules._rpmdb import Found, compare, compare_versions, named, relation, satisfies
from tests.invoking import Store, changes, invoke, well
from tests.standins.releases import RELEASES

TOOL = Found("tool", "2", "1.5", "3.el9", "x86_64")
TABLE = """\
Last metadata expiration check: 0:00:01 ago on Tue Nov 24 08:35:45 2026.
Dependencies resolved.
================================================================================
 Package         Architecture      Version               Repository        Size
================================================================================
Installing:
 a-name-that-is-too-long-for-its-column
                 x86_64            3:1.0-1.el9           shelf            6.0 k
     replacing  old.x86_64 0.9-1.el9
Upgrading:
 tool            noarch            2.0-1.el9             shelf            6.0 k
Installing weak dependencies:
 pleasant        noarch            1.0-1.el9             shelf            5.5 k
Removing dependent packages:
 needy           noarch            1.0-1.el9             @shelf             0
Installing Groups:
 Server with a GUI
{modules}
Transaction Summary
================================================================================
Install  1 Package
"""
MODULES = "Enabling module streams:\n driver                          580\n"
LOCKED = """#!/bin/sh
echo "$@" >> {folder}/asked
[ -e {folder}/free ] && echo 'Nothing to do.' && exit 0
touch {folder}/free
echo 'Failed to obtain lock' >&2
exit 200
"""


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("1.0~rc1", "1.0"),
        ("1.0~rc1", "1.0~rc1^x"),
        ("1.0", "1.0a"),
        ("1.0a", "1.0.1"),
        ("1.0", "1.0^git1"),
        ("1.0^git1", "1.0.1"),
        ("a", "1"),
        ("9", "10"),
        ("570.86.15", "570.124.06"),
    ],
)
def test_versions_compare_as_rpm_does(left: str, right: str) -> None:
    assert compare_versions(left, right) < 0 < compare_versions(right, left)
    assert compare_versions(left, left) == compare_versions("1.05", "1.5") == 0


def test_what_is_not_said_of_a_version_is_equal() -> None:
    assert [compare(TOOL, text) for text in ("2:1.5", "2:1.5-3.el9", "2:1.5-4", "1.6", "2:1.4-9")] == [0, 0, -1, 1, 1]
    assert relation("tool >= 2:1.5") == ("tool", ">=", "2:1.5")
    assert relation("tool-1.5") is None
    assert satisfies(TOOL, ">=", "2:1.5")
    assert not satisfies(TOOL, "<", "2:1.5")


@pytest.mark.parametrize(
    "name", ["tool", "tool.x86_64", "tool-1.5", "tool-2:1.5", "tool-2:1.5-3.el9.x86_64", "to*-1.*"]
)
def test_the_ways_to_name_a_package(name: str) -> None:
    assert named([TOOL], name) == [TOOL]
    assert named([TOOL], "tool-1") == named([TOOL], "too") == []


def test_the_table_that_dnf_shows() -> None:
    found = read_transaction(TABLE.format(modules=""))
    long = "a-name-that-is-too-long-for-its-column-3:1.0-1.el9.x86_64"
    assert found.taken == [long, "tool-2.0-1.el9.noarch", "pleasant-1.0-1.el9.noarch"]
    assert found.removed == ["old-0.9-1.el9.x86_64", "needy-1.0-1.el9.noarch"]
    assert (found.replaced, found.modules) == (["tool.noarch"], False)
    assert read_transaction(TABLE.format(modules=MODULES)).modules
    assert not read_transaction("Dependencies resolved.\nNothing to do.\nComplete!\n").changes


@pytest.fixture
def locked_dnf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in {"dnf": LOCKED.format(folder=tmp_path), "rpm": "#!/bin/sh\nexit 0\n"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path


def test_dnf_s_lock_is_waited_for(locked_dnf: Path) -> None:
    controller = Store()
    assert well("dnf", name="plug-*", lock_timeout=5, controller=controller)["msg"] == "Nothing to do"
    assert controller.told == ["waiting for dnf: its lock is held by another process"]
    assert (locked_dnf / "asked").read_text().count(" install -y -- plug-*") == 2


def test_dnf_s_lock_is_not_waited_for_longer_than_asked(locked_dnf: Path) -> None:
    assert invoke("dnf", name="plug-*", lock_timeout=0)["msg"] == "dnf lockfile is held by another process"


def test_arguments_reach_dnf(locked_dnf: Path) -> None:
    (locked_dnf / "free").touch()
    well("dnf", name="@driver:570", state="latest", enablerepo="a,b", exclude=["x"], allowerasing=True, nobest=True)
    words = (locked_dnf / "asked").read_text().split()
    assert {"--enablerepo=a", "--enablerepo=b", "--exclude=x", "--allowerasing", "--nobest"} <= set(words)
    assert words[-4:] == ["upgrade", "-y", "--", "@driver:570"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"name": "one two"}, "It appears that a space separated string of packages"),
        ({"autoremove": True, "state": "present"}, "Autoremove should be used alone or with state=absent"),
        ({"name": "x", "best": True, "nobest": True}, "parameters are mutually exclusive: best|nobest"),
        ({"name": "/x/y.rpm", "state": "absent"}, "Cannot remove paths -- please specify package name."),
        ({"name": "/x/y.rpm"}, "Could not open: /x/y.rpm"),
    ],
)
def test_what_dnf_s_module_refuses(locked_dnf: Path, args: dict[str, Any], message: str) -> None:
    assert message in invoke("dnf", **args)["msg"]


def test_a_repository_is_written_once(tmp_path: Path) -> None:
    one: dict[str, Any] = {
        "name": "one",
        "file": "many",
        "reposdir": str(tmp_path),
        "description": "One",
        "baseurl": ["u", "v"],
    }
    assert changes("yum_repository", **one, gpgcheck=False, exclude=["a", "b"]) == [True, True, False]
    well("yum_repository", **{**one, "name": "two"})
    text = "[one]\nbaseurl = u\n\tv\nexclude = a b\ngpgcheck = 0\nname = One\n\n"
    assert (tmp_path / "many.repo").read_text() == f"{text}[two]\nbaseurl = u\n\tv\nname = One\n\n"
    gone: dict[str, Any] = {"file": "many", "reposdir": str(tmp_path), "state": "absent"}
    assert changes("yum_repository", **gone, name="two") == [True, True, False]
    assert (tmp_path / "many.repo").read_text() == text
    assert well("yum_repository", **gone, name="one", diff=True)["diff"]["after"] == ""
    assert not (tmp_path / "many.repo").exists()


def test_a_repository_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "bad.repo").write_text("baseurl = nowhere\n")
    reply = invoke("yum_repository", name="bad", description="Bad", baseurl="u", reposdir=str(tmp_path))
    assert reply["msg"].startswith(f"{tmp_path}/bad.repo cannot be read as a repository file: ")
    assert (tmp_path / "bad.repo").read_text() == "baseurl = nowhere\n"


@pytest.mark.parametrize(
    ("release", "told"),
    [
        ("rocky9", "Rocky 9.4 RedHat"),
        ("rocky10", "Rocky 10.0 RedHat"),
        ("alma9", "AlmaLinux 9.5 RedHat"),
        ("alma10", "AlmaLinux 10.0 RedHat"),
        ("rhel9", "RedHat 9.4 RedHat"),
        ("rhel10", "RedHat 10.0 RedHat"),
        ("oracle9", "OracleLinux 9.4 RedHat"),
        ("stream9", "CentOS 9 RedHat"),
        ("stream10", "CentOS 10 RedHat"),
        ("fedora41", "Fedora 41 RedHat"),
        ("openeuler24", "openEuler 24.03 RedHat"),
        ("kylin10", "Kylin Linux Advanced Server V10 RedHat"),
        ("anolis8", "Anolis 8.8 Anolis"),
        ("ubuntu22", "Ubuntu 22.04 Debian"),
        ("ubuntu24", "Ubuntu 24.04 Debian"),
        ("debian12", "Debian 12.8 Debian"),
    ],
)
def test_distributions_are_told_from_their_files(
    release: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in RELEASES[release].items():
        (tmp_path / name).write_text(text)
    plain = _proc.read
    monkeypatch.setattr(
        _facts_distribution, "read", lambda path, default="": plain(path.replace("/etc", str(tmp_path)), default)
    )
    facts = _facts_distribution.collect(Context({}))
    assert f"{facts['distribution']} {facts['distribution_version']} {facts['os_family']}" == told


def test_wsl_is_told_by_its_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = "5.15.153.1-microsoft-standard-WSL2"
    names = os.uname_result(("Linux", "pc", kernel, "#1 SMP", "x86_64"))
    monkeypatch.setattr(os, "uname", lambda: names)
    assert well("setup", gather_subset=["!all"])["ansible_facts"]["ansible_kernel"] == kernel
