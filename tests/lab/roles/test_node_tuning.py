"""The role node_tuning on bare hosts: names, kernel, firewall, and no trace of it afterwards."""

from __future__ import annotations

import pytest

from tests.differential.footprint import Footprint
from tests.lab.reach import ask
from tests.lab.roles.applying import Applied, Roles

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

ROLE = "node_tuning"
DEPLOYMENTS = {"r1": {"port": 40000, "rendezvous_port": 20000}, "small": {"port": 40001}}
PORTS = "20000,40000-40001"
FILTER = """
flush ruleset
table inet guard {
  chain incoming {
    type filter hook input priority 0; policy drop;
    iif lo accept
    ct state established,related accept
    tcp dport 22 accept
  }
}
"""
CLOCK = "[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n"
LISTEN = "import socket,time; s=socket.create_server(('', 50123)); time.sleep(600)"


@pytest.fixture(scope="module")
def before(roles: Roles) -> dict[str, Footprint]:
    """Both hosts as their owner left them: with a name on 127.0.1.1, cloud-init, and a filter on h1."""
    roles.root("h1", f"cat > /etc/nftables.conf <<'E'\n{FILTER}\nE\nsystemctl enable --now nftables 2>&1")
    roles.root("h1", f'systemd-run --unit=listener python3 -c "{LISTEN}" 2>&1')
    for host in ("h1", "h2"):
        roles.root(host, f"printf '127.0.0.1 localhost\\n127.0.1.1 {host}.example {host}\\n' > /etc/hosts")
        roles.root(host, "mkdir -p /etc/cloud/cloud.cfg.d")
        roles.root(host, f"printf '{CLOCK}' > /etc/systemd/system/ntpsec.service; systemctl daemon-reload")
    return {host: roles.footprint(host) for host in ("h1", "h2")}


@pytest.fixture(scope="module")
def first(roles: Roles, before: dict[str, Footprint]) -> Applied:
    return roles.done(ROLE, deployments=DEPLOYMENTS)


def reaches(roles: Roles) -> bool:
    probe = f"import socket; socket.create_connection(('{roles.lab.host('h1').address}', 50123), 1)"
    return ask(roles.lab, "h2", f'python3 -c "{probe}"', user="root").returncode == 0


def test_check_mode_tells_and_changes_nothing(roles: Roles, before: dict[str, Footprint]) -> None:
    applied = roles.done(ROLE, deployments=DEPLOYMENTS, check=True)
    assert "Name the cluster's hosts" in applied.changed("h1")
    assert {host: roles.footprint(host).since(then) for host, then in before.items()} == {"h1": [], "h2": []}
    assert not reaches(roles)


def test_hosts_find_one_another_by_name_and_not_at_127_0_1_1(roles: Roles, first: Applied) -> None:
    for host in ("h1", "h2"):
        for name in ("h1", "h2"):
            assert roles.root(host, f"getent ahostsv4 {name} | cut -d' ' -f1 | sort -u") == roles.lab.host(name).address
    assert "manage_etc_hosts: false" in roles.root("h1", "cat /etc/cloud/cloud.cfg.d/99-r1fleet-hosts.cfg")


def test_no_outgoing_connection_takes_a_deployments_port(roles: Roles, first: Applied) -> None:
    assert roles.root("h2", "sysctl -n net.ipv4.ip_local_reserved_ports") == PORTS
    assert roles.root("h2", "sysctl -n net.ipv4.tcp_rmem").split() == ["4096", "131072", "268435456"]


def test_no_limits_and_no_kernel_settings_are_written_in_a_container(roles: Roles, first: Applied) -> None:
    assert (
        roles.root("h1", "ls /etc/security/limits.d; grep -c 'vm[.]\\|kernel[.]' /etc/sysctl.d/60-r1fleet.conf; true")
        == "0"
    )


def test_what_keeps_the_time_is_enabled_and_not_started_in_a_container(roles: Roles, first: Applied) -> None:
    for host in ("h1", "h2"):
        kept = roles.root(
            host, "systemctl is-enabled ntpsec; systemctl is-active ntpsec; dpkg-query -W | grep chrony; true"
        )
        assert kept.split() == ["enabled", "inactive"]


def test_apt_reads_what_unattended_upgrades_leave_alone(roles: Roles, first: Applied) -> None:
    kept = roles.root("h1", "apt-config dump Unattended-Upgrade::Package-Blacklist")
    assert 'Unattended-Upgrade::Package-Blacklist:: "libnvidia-";' in kept.splitlines()


def test_the_filter_lets_the_clusters_hosts_in_and_keeps_its_own_rules(roles: Roles, first: Applied) -> None:
    assert reaches(roles)
    rules = roles.root("h1", "nft list chain inet guard incoming")
    assert "policy drop" in rules
    assert "tcp dport 22 accept" in rules
    assert rules.count("r1fleet") == 1


def test_the_filter_is_opened_again_after_its_own_restart(roles: Roles, first: Applied) -> None:
    for command in ("restart", "reload"):
        roles.root("h1", f"systemctl {command} nftables")
        assert reaches(roles), command


def test_a_second_run_changes_nothing(roles: Roles, first: Applied) -> None:
    again = roles.done(ROLE, deployments=DEPLOYMENTS)
    assert {host: again.changed(host) for host in ("h1", "h2")} == {"h1": [], "h2": []}


def test_what_somebody_has_undone_is_done_again(roles: Roles, first: Applied) -> None:
    filtered = "nft flush chain inet guard incoming; nft add rule inet guard incoming tcp dport 22 accept"
    roles.root("h1", f"sysctl -qw net.ipv4.ip_local_reserved_ports=; {filtered}")
    assert not reaches(roles)
    again = roles.done(ROLE, deployments=DEPLOYMENTS)
    assert again.changed("h1") == ["Set what is different", "Open the filters"]
    assert reaches(roles)


def test_a_run_on_some_hosts_keeps_the_names_of_all(roles: Roles, first: Applied) -> None:
    again = roles.done(ROLE, deployments=DEPLOYMENTS, limit="h1")
    assert again.changed("h1") == []
    assert roles.root("h1", "getent ahostsv4 h2").split()[0] == roles.lab.host("h2").address


def test_uninstalling_leaves_no_trace(roles: Roles, first: Applied, before: dict[str, Footprint]) -> None:
    roles.done(ROLE, tasks_from="uninstall")
    left = roles.footprint("h1").since(before["h1"])
    # The same words, written at another time; and the time goes on being kept.
    assert [line.split()[:2] for line in left] == [
        ["~", "/etc/hosts"],
        ["+", "/etc/systemd/system/multi-user.target.wants/ntpsec.service"],
    ]
    assert roles.root("h1", "cat /etc/hosts") == "127.0.0.1 localhost\n127.0.1.1 h1.example h1"
    assert not reaches(roles)
    again = roles.done(ROLE, tasks_from="uninstall")
    assert (again.changed("h1"), again.changed("h2")) == ([], [])
