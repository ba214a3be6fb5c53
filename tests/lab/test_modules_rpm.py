"""Modules on a RHEL-like host: Debian's dnf and rpm, Rocky's os-release, a signed repository made at that moment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from r1fleet import lab as labs
from r1fleet.cli.connect import connector
from r1fleet.inventory import Host
from r1fleet.lab import Lab
from r1fleet.transport import Become, Call, Reply, Session
from tests.lab.reach import answer
from tests.standins.rpmhost import Published, dress, publish
from tests.standins.rpmrepo import KEY
from tests.standins.rpmshelf import SHELF
from tests.standins.server import Served, serve

pytestmark = [pytest.mark.lab, pytest.mark.slow]

LOCK = "/var/cache/dnf/metadata_lock.pid"


class Rhel:
    """The host, spoken to as root."""

    def __init__(self, lab: Lab, session: Session, shelf: Published) -> None:
        self.lab = lab
        self.shelf = shelf
        self.told: list[str] = []
        self._session = session

    def ask(self, module: str, *, check: bool = False, **args: Any) -> Reply:
        """Run a module; a traceback is a bug."""
        reply = self._session.submit(Call(module, args, become=Become(), check=check), self.told.append).result()
        assert "exception" not in reply, reply["exception"]
        return reply

    def changes(self, module: str, **args: Any) -> list[bool]:
        """Run in check mode, then twice for real; return what each run calls changed."""
        replies = [self.ask(module, check=check, **args) for check in (True, False, False)]
        assert not any(reply.get("failed") for reply in replies), replies
        return [reply["changed"] for reply in replies]

    def version(self, name: str) -> str:
        """Ask rpm itself."""
        return self.shell(f"rpm -q {name} --queryformat '%{{VERSION}}'")

    def shell(self, command: str) -> str:
        """Return what a command says to root."""
        return answer(self.lab, "h1", command, user="root")


@pytest.fixture(scope="module")
def rhel(lab_name: str) -> Iterator[Rhel]:
    name = f"{lab_name}-rhel"
    labs.down(name)
    lab = labs.up(name, hosts=1, extra_vars={})
    dress(lab, "h1")
    shelf = publish(lab, "h1", SHELF)
    transport = connector()
    variables = {
        "ansible_host": lab.host("h1").address,
        "ansible_user": "lab",
        "ansible_ssh_private_key_file": str(lab.key),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={lab.known_hosts} -o ConnectTimeout=5",
    }
    host = Rhel(lab, transport.open(Host("h1", variables)), shelf)
    source = {"name": "shelf", "description": "Shelf", "baseurl": shelf.url, "gpgcheck": True, "gpgkey": shelf.key_url}
    assert host.changes("yum_repository", **source) == [True, True, False]
    yield host
    transport.close()
    labs.down(name)


@pytest.fixture
def served(rhel: Rhel) -> Iterator[Served]:
    folder = rhel.lab.host("h1").root / rhel.shelf.folder.lstrip("/")
    with serve(folder, rhel.lab.gateway) as serving:
        yield serving


def test_the_host_is_told_as_what_it_looks_like(rhel: Rhel) -> None:
    facts = rhel.ask("setup", gather_subset=["!all"])["ansible_facts"]
    names = ("distribution", "distribution_version", "os_family", "pkg_mgr", "service_mgr")
    assert [facts[f"ansible_{name}"] for name in names] == ["Rocky", "9.4", "RedHat", "dnf", "systemd"]
    assert facts["ansible_selinux"]["status"] == "disabled"


def test_a_package_comes_and_goes_by_either_name(rhel: Rhel) -> None:
    assert rhel.changes("package", name="tool", state="present") == [True, True, False]
    assert rhel.version("tool") == "2.0"
    assert rhel.changes("yum", name=["tool"], state="absent") == [True, True, False]


def test_a_satisfied_package_starts_no_dnf(rhel: Rhel) -> None:
    rhel.ask("dnf", name="epochal")
    rhel.shell("mv /usr/bin/dnf /usr/bin/dnf.away")
    try:
        assert not rhel.ask("dnf", name=["epochal", "epochal-2:3.0", "epochal >= 2:2"])["changed"]
    finally:
        rhel.shell("mv /usr/bin/dnf.away /usr/bin/dnf")


def test_dnf_waits_for_the_holder_of_its_lock_and_names_it(rhel: Rhel) -> None:
    rhel.shell(f"(setsid sleep 600 >/dev/null 2>&1 & echo -n $! > {LOCK})")
    told = rhel.ask("dnf", name="plug-a", lock_timeout=1)
    assert told["msg"].startswith("dnf lockfile is held by process ")
    assert f"(sleep 600), says {LOCK}" in told["msg"]
    rhel.shell(f"(setsid sh -c 'sleep 2; kill $(cat {LOCK})' >/dev/null 2>&1 &)")
    assert rhel.ask("dnf", name="plug-a", lock_timeout=60)["changed"]
    assert any("waiting for dnf: its lock is held by process " in line for line in rhel.told)


def test_a_package_comes_from_a_url(rhel: Rhel, served: Served) -> None:
    url = f"{served.url}/tool-1.5-1.el9.noarch.rpm"
    assert rhel.changes("dnf", name=url) == [True, True, False]
    assert rhel.version("tool") == "1.5"
    assert "HTTP Error 404" in rhel.ask("dnf", name=f"{served.url}/none.rpm")["msg"]
    assert "is not signed" in rhel.ask("dnf", name=f"{served.url}/unsigned-1.0-1.el9.noarch.rpm")["msg"]
    rhel.ask("dnf", name="tool", state="absent")


def test_a_key_comes_from_a_url_and_is_the_expected_one(rhel: Rhel, served: Served) -> None:
    url = f"{served.url}/{KEY}"
    rhel.ask("rpm_key", key=rhel.shelf.fingerprint, state="absent")
    assert "does not match any key fingerprints" in rhel.ask("rpm_key", key=url, fingerprint=["0" * 40])["msg"]
    assert rhel.changes("rpm_key", key=url, fingerprint=[rhel.shelf.fingerprint]) == [True, True, False]
    assert "failed to fetch key at" in rhel.ask("rpm_key", key=f"{served.url}/none")["msg"]
    assert rhel.changes("rpm_key", key=url, state="absent") == [True, True, False]


def test_what_is_locked_stays(rhel: Rhel) -> None:
    rhel.ask("dnf", name="tool-1.0")
    assert rhel.changes("dnf_versionlock", name="tool") == [True, True, False]
    assert not rhel.ask("dnf", name="*", state="latest", exclude="plug-*")["changed"]
    assert rhel.changes("dnf_versionlock", name="tool", state="absent") == [True, True, False]
    assert rhel.changes("dnf", name="tool", state="latest") == [True, True, False]


def test_a_stream_is_switched_when_a_task_names_another(rhel: Rhel) -> None:
    assert rhel.changes("dnf", name="@driver:570") == [True, True, False]
    assert rhel.changes("dnf", name="@driver:580/full") == [True, True, False]
    assert (rhel.version("driver"), rhel.version("driver-extra")) == ("580.65", "580.65")
    assert rhel.changes("dnf", name="@driver", state="absent") == [True, True, False]
    assert "state=enabled" not in rhel.shell("cat /etc/dnf/modules.d/driver.module")


def test_accounts_and_units_are_kept(rhel: Rhel) -> None:
    unit = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
    rhel.shell(f"printf '{unit}' > /etc/systemd/system/kept.service; systemctl daemon-reload")
    assert rhel.changes("group", name="keepers", system=True) == [True, True, False]
    account = {
        "name": "keeper",
        "group": "keepers",
        "system": True,
        "shell": "/sbin/nologin",
        "home": "/var/lib/keeper",
    }
    assert rhel.changes("user", **account) == [True, True, False]
    assert rhel.changes("service", name="kept", state="started", enabled=True) == [True, True, False]
    assert rhel.changes("systemd", name="kept", state="stopped", enabled=False) == [True, True, False]
