"""The role node_tuning where ufw, firewalld or iptables runs, for real; nftables is in test_node_tuning."""

from __future__ import annotations

import pytest

from tests.lab.reach import ask
from tests.lab.roles.applying import Roles

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(600)]

ROLE = "node_tuning"
GIVEN = {"node_tuning_time": False}
LISTEN = "import socket,time; s=socket.create_server(('', 50123)); time.sleep(6000)"


@pytest.fixture(scope="module", autouse=True)
def _listening(roles: Roles) -> None:
    for host in ("h1", "h2"):
        roles.root(host, f'systemd-run --unit=listener python3 -c "{LISTEN}" 2>&1')
        roles.root(host, f"http_proxy={roles.lab.proxy} apt-get -qq update")


def install(roles: Roles, host: str, *packages: str) -> None:
    words = (
        f"http_proxy={roles.lab.proxy} DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends"
    )
    roles.root(host, f"{words} {' '.join(packages)} >/dev/null 2>&1")


def reaches(roles: Roles, host: str) -> bool:
    """Tell whether the other host reaches a port of this one that nothing has opened by name."""
    probe = f"import socket; socket.create_connection(('{roles.lab.host(host).address}', 50123), 1)"
    other = "h2" if host == "h1" else "h1"
    return ask(roles.lab, other, f'python3 -c "{probe}"', user="root").returncode == 0


def test_ufw_lets_peers_in_and_forgets_those_who_have_left(roles: Roles) -> None:
    install(roles, "h1", "ufw")
    roles.root("h1", "ufw default deny incoming; ufw allow 22/tcp; ufw --force enable")
    roles.root("h1", "ufw allow from 192.0.2.7 comment r1fleet; ufw allow from 192.0.2.8 comment theirs")
    assert not reaches(roles, "h1")
    roles.done(ROLE, check=True, **GIVEN)
    assert not reaches(roles, "h1")
    roles.done(ROLE, **GIVEN)
    assert reaches(roles, "h1")
    rules = roles.root("h1", "ufw show added")
    assert "192.0.2.7" not in rules
    assert "192.0.2.8" in rules
    assert roles.done(ROLE, **GIVEN).changed("h1") == []
    roles.done(ROLE, tasks_from="uninstall")
    assert not reaches(roles, "h1")
    assert "r1fleet" not in roles.root("h1", "ufw show added")
    roles.root("h1", "ufw disable; apt-get -qq purge -y ufw >/dev/null 2>&1; nft flush ruleset")


def test_firewalld_gets_a_zone_of_its_own(roles: Roles) -> None:
    install(roles, "h2", "firewalld")
    roles.root("h2", "systemctl start firewalld; firewall-cmd --state")
    assert not reaches(roles, "h2")
    roles.done(ROLE, **GIVEN)
    assert reaches(roles, "h2")
    assert roles.root("h2", "firewall-cmd --zone=r1fleet --list-sources") == roles.lab.host("h1").address
    assert roles.done(ROLE, **GIVEN).changed("h2") == []
    roles.done(ROLE, tasks_from="uninstall")
    assert not reaches(roles, "h2")
    assert "r1fleet" not in roles.root("h2", "firewall-cmd --get-zones")
    roles.root("h2", "systemctl disable --now firewalld 2>&1")


def test_iptables_rules_come_first_and_only_where_something_is_dropped(roles: Roles) -> None:
    install(roles, "h1", "iptables")
    roles.root("h1", "iptables -A INPUT -p tcp --dport 22 -j ACCEPT; iptables -A INPUT -p tcp -j REJECT")
    assert not reaches(roles, "h1")
    roles.done(ROLE, **GIVEN)
    assert reaches(roles, "h1")
    assert "r1fleet" in roles.root("h1", "iptables -S INPUT 1")
    assert "r1fleet" not in roles.root("h1", "ip6tables -S")
    assert roles.done(ROLE, **GIVEN).changed("h1") == []
    roles.done(ROLE, tasks_from="uninstall")
    assert not reaches(roles, "h1")
    assert "r1fleet" not in roles.root("h1", "iptables -S")
