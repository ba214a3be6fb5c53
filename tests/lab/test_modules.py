"""Modules on a real host: apt, systemd, accounts, facts, over SSH and sudo."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from r1fleet import lab as labs
from r1fleet.cli.connect import connector
from r1fleet.inventory import Host
from r1fleet.lab.handout import proxy_env
from r1fleet.transport import Become, Call, Reply, Session

pytestmark = pytest.mark.lab

UNIT = (
    "[Unit]\nDescription=rehearsal\n[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
)
WRITE_LOCK = """
import fcntl, sys
stream = open("/var/lib/dpkg/lock-frontend", "w")
fcntl.lockf(stream, fcntl.LOCK_EX)
open("/run/lock-is-held", "w").close()
sys.stdin.read()
"""


class Target:
    """One lab host, spoken to as root."""

    def __init__(self, session: Session, environment: dict[str, str]) -> None:
        self._session = session
        self._environment = environment
        self.told: list[str] = []

    def ask(self, module: str, *, check: bool = False, **args: Any) -> Reply:
        """Run a module; a traceback is a bug."""
        call = Call(module, args, become=Become(), check=check, environment=self._environment)
        reply = self._session.submit(call, self.told.append).result()
        assert "exception" not in reply, reply["exception"]
        return reply

    def well(self, module: str, **args: Any) -> Reply:
        """Run a module that must not fail."""
        reply = self.ask(module, **args)
        assert not reply.get("failed"), reply
        return reply

    def changes(self, module: str, **args: Any) -> list[bool]:
        """Run in check mode, then twice for real; return what each run calls changed."""
        return [self.well(module, check=check, **args)["changed"] for check in (True, False, False)]

    def shell(self, command: str) -> str:
        """Return what a command says."""
        return str(self.well("shell", cmd=command)["stdout"])


@pytest.fixture(scope="module")
def target(lab_name: str) -> Iterator[Target]:
    lab = labs.up(f"{lab_name}-modules", hosts=1)
    transport = connector()
    variables = {
        "ansible_host": lab.host("h1").address,
        "ansible_user": "lab",
        "ansible_ssh_private_key_file": str(lab.key),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={lab.known_hosts} -o ConnectTimeout=5",
    }
    yield Target(transport.open(Host("h1", variables)), proxy_env(lab))
    transport.close()
    labs.down(lab.name)


# --- packages --------------------------------------------------------------------------------------


def test_a_package_comes_and_goes(target: Target) -> None:
    target.well("apt", update_cache=True, cache_valid_time=3600)
    assert target.changes("apt", name="sl") == [True, True, False]
    assert target.shell("dpkg-query -W -f '${Status}' sl") == "install ok installed"
    assert target.changes("package", name=["sl"], state="absent") == [True, True, False]


def test_a_satisfied_package_starts_no_program(target: Target) -> None:
    target.shell("mv /usr/bin/apt-get /usr/bin/apt-get.away")
    try:
        assert not target.well("apt", name=["bash", "coreutils>=1"])["changed"]
        assert "apt-get" in target.ask("apt", name="sl")["msg"]
    finally:
        target.shell("mv /usr/bin/apt-get.away /usr/bin/apt-get")


def test_the_cache_is_as_old_as_it_says(target: Target) -> None:
    target.shell("rm -f /var/lib/apt/lists/*_*")
    assert target.well("apt", update_cache=True)["cache_updated"]
    # Looked again, and nothing new: that is no change.
    assert not target.well("apt", update_cache=True)["changed"]
    again = target.well("apt", update_cache=True, cache_valid_time=3600)
    assert (again["changed"], again["cache_updated"]) == (False, False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no-such-package-at-all", "No package matching 'no-such-package-at-all' is available"),
        ("no-such-*", "No package(s) matching 'no-such-*' available"),
        ("bash=9.9", "no available installation candidate for bash=9.9"),
        ("bash>=99", "no available installation candidate for bash>=99"),
    ],
)
def test_what_apt_does_not_have(target: Target, name: str, message: str) -> None:
    assert target.ask("apt", name=name)["msg"] == message


def test_a_virtual_package_that_another_provides_is_there(target: Target) -> None:
    assert not target.well("apt", name="awk")["changed"]


def test_apt_names_the_holder_of_its_lock(target: Target) -> None:
    holder = f"python3 -c '{WRITE_LOCK}'"
    target.shell(f"rm -f /run/lock-is-held; mkfifo /run/hold; (setsid {holder} < /run/hold > /dev/null 2>&1 &)")
    target.shell("exec 3> /run/hold; (setsid sleep 600 >&3 2>/dev/null & echo $! > /run/holder) 3>&3")
    target.well("wait_for", path="/run/lock-is-held", timeout=20, sleep=1)
    try:
        reply = target.ask("apt", name="sl", lock_timeout=1)
    finally:
        target.shell("kill $(cat /run/holder); rm -f /run/hold /run/holder /run/lock-is-held")
    assert "lock-frontend is held by process" in reply["msg"]
    assert "python3" in reply["msg"]
    assert any("waiting for apt" in line for line in target.told)


def test_a_package_file(target: Target) -> None:
    target.shell("cd /tmp && apt-get download -q sl && mv sl_*.deb /tmp/sl.deb")
    assert target.changes("apt", deb="/tmp/sl.deb") == [True, True, False]
    target.well("apt", name="sl", state="absent", purge=True)


# --- services --------------------------------------------------------------------------------------


def test_a_unit_starts_is_enabled_and_stops(target: Target) -> None:
    target.shell(f"printf '%s' '{UNIT}' > /etc/systemd/system/rehearsal.service")
    target.well("systemd", daemon_reload=True)
    assert target.changes("systemd", name="rehearsal", state="started", enabled=True) == [True, True, False]
    assert target.shell("systemctl is-active rehearsal; systemctl is-enabled rehearsal").split() == [
        "active",
        "enabled",
    ]
    before = target.shell("systemctl show -p MainPID --value rehearsal")
    assert target.well("service", name="rehearsal", state="restarted")["changed"]
    assert target.shell("systemctl show -p MainPID --value rehearsal") != before
    assert target.changes("service", name="rehearsal", state="stopped", enabled=False) == [True, True, False]
    target.shell("rm /etc/systemd/system/rehearsal.service")
    target.well("systemd", name="rehearsal", masked=True, daemon_reload=True)
    assert target.shell("readlink /etc/systemd/system/rehearsal.service") == "/dev/null"
    assert target.changes("systemd", name="rehearsal", masked=False) == [True, True, False]


def test_a_service_that_is_not_there(target: Target) -> None:
    reply = target.ask("service", name="no-such-unit", state="started")
    assert reply["msg"] == "Could not find the requested service no-such-unit: host"


def test_a_service_that_cannot_start_says_so(target: Target) -> None:
    target.shell("printf '[Service]\\nType=oneshot\\nExecStart=/bin/false\\n' > /run/systemd/system/broken.service")
    reply = target.ask("systemd", name="broken", state="started", daemon_reload=True)
    assert reply["msg"].startswith("Unable to start service broken: Job for broken.service failed")


# --- accounts --------------------------------------------------------------------------------------


def test_a_group_and_a_user(target: Target) -> None:
    assert target.changes("group", name="crew", gid=4242) == [True, True, False]
    wanted = {"name": "deck", "group": "crew", "groups": ["adm"], "shell": "/bin/bash", "comment": "Deck Hand"}
    assert target.changes("user", **wanted) == [True, True, False]
    assert target.shell("id -nG deck") == "crew adm"
    assert target.shell("stat -c %U:%G /home/deck") == "deck:crew"
    assert target.changes("user", name="deck", groups=["users"], append=True) == [True, True, False]
    assert target.changes("user", name="deck", state="absent", remove=True) == [True, True, False]
    assert target.changes("group", name="crew", state="absent") == [True, True, False]


def test_a_password_is_set_by_its_hash_and_stands_in_no_command_line(target: Target) -> None:
    target.shell("mv /usr/sbin/chpasswd /usr/sbin/chpasswd.real")
    spy = '#!/bin/sh\ntr "\\0" " " < /proc/$$/cmdline > /run/spied\nexec /usr/sbin/chpasswd.real "$@"\n'
    target.shell(f"printf '%s' '{spy}' > /usr/sbin/chpasswd; chmod 755 /usr/sbin/chpasswd")
    secret = "$6$rehearsal$0123456789abcdefghijkl"
    try:
        assert target.changes("user", name="keyed", password=secret) == [True, True, False]
        assert secret not in target.shell("cat /run/spied")
    finally:
        target.shell("mv /usr/sbin/chpasswd.real /usr/sbin/chpasswd")
    assert target.shell("getent shadow keyed | cut -d: -f2") == secret
    target.well("user", name="keyed", state="absent", remove=True)


# --- facts -----------------------------------------------------------------------------------------


def test_facts_agree_with_the_host(target: Target) -> None:
    facts = target.well("setup")["ansible_facts"]
    assert facts["ansible_kernel"] == target.shell("uname -r")
    assert facts["ansible_hostname"] == target.shell("hostname -s")
    assert facts["ansible_processor_nproc"] == int(target.shell("nproc"))
    assert (facts["ansible_os_family"], facts["ansible_service_mgr"], facts["ansible_pkg_mgr"]) == (
        "Debian",
        "systemd",
        "apt",
    )
    address = target.shell("hostname -I").split()[0]
    assert address in facts["ansible_all_ipv4_addresses"]
    assert facts["ansible_user_id"] == "root"


def test_facts_are_filtered(target: Target) -> None:
    facts = target.well("setup", gather_subset=["!all", "network"], filter=["ansible_interfaces", "kernel"])
    assert set(facts["ansible_facts"]) == {"ansible_interfaces", "ansible_kernel", "gather_subset", "module_setup"}
    assert "Bad subset" in target.ask("setup", gather_subset=["nothing"])["msg"]
