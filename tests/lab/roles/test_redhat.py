"""The roles base, docker and node_tuning on a host dressed as Rocky Linux 9: real dnf, stand-ins of packages."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.roles.applying import Roles
from tests.standins import rpmhost
from tests.standins.deb import DAEMON
from tests.standins.rpmrepo import KEY, Repository, Rpm

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(600)]

UNIT = {"/usr/lib/systemd/system/docker.service": DAEMON.format(name="docker", command="/bin/sleep infinity")}
DOCKER = (
    Rpm("docker-ce", "29.7.1", epoch=3, requires=("docker-ce-cli", "containerd.io"), files=UNIT),
    Rpm("docker-ce", "29.8.0", epoch=3, requires=("docker-ce-cli", "containerd.io"), files=UNIT),
    Rpm("docker-ce-cli", "29.7.1", epoch=1),
    Rpm("docker-ce-cli", "29.8.0", epoch=1),
    Rpm("containerd.io", "2.1.5", conflicts=("containerd", "runc"), provides=("runc",)),
    Rpm("docker-buildx-plugin", "0.30.1"),
    Rpm("docker-compose-plugin", "5.0.2"),
)
SYSTEM = (Rpm("numactl-libs", "2.0.18"), Rpm("ca-certificates", "2025.2"), Rpm("runc", "1.2.5"))
URL = "file:///srv/docker-ce"
GIVEN: dict[str, Any] = {"hosts": "h1", "docker_url": URL}


@pytest.fixture(scope="module", autouse=True)
def _dressed(roles: Roles) -> None:
    rpmhost.dress(roles.lab, "h1")
    system = rpmhost.publish(roles.lab, "h1", Repository("appstream", SYSTEM))
    repo = Repository("appstream", SYSTEM).repo_file(system.url, key_url=system.key_url)
    roles.root("h1", f"cat > /etc/yum.repos.d/appstream.repo <<'END'\n{repo}END\n")
    docker = rpmhost.publish(roles.lab, "h1", Repository("docker-ce", DOCKER))
    roles.root("h1", f"mkdir -p /srv/docker-ce/centos/9/x86_64; cp {docker.folder}/{KEY} /srv/docker-ce/centos/gpg")
    roles.root("h1", f"ln -s {docker.folder} /srv/docker-ce/centos/9/x86_64/stable")


def installed(roles: Roles) -> list[str]:
    names = "docker-ce docker-ce-cli containerd.io docker-buildx-plugin docker-compose-plugin runc"
    return [
        line
        for line in roles.root("h1", f"rpm -q --qf '%{{NAME}} %{{VERSION}}\\n' {names}; true").splitlines()
        if "not installed" not in line
    ]


def test_base_installs_what_rhels_kin_calls_it(roles: Roles) -> None:
    roles.done("base", hosts="h1")
    assert roles.root("h1", "rpm -q --qf '%{NAME} ' numactl-libs ca-certificates") == "numactl-libs ca-certificates"
    assert roles.done("base", hosts="h1").changed("h1") == []


def test_docker_comes_from_its_repository_in_place_of_what_is_in_the_way(roles: Roles) -> None:
    roles.root("h1", "dnf -q -y install runc")
    roles.done("docker", docker_version="29.7.1", **GIVEN)
    assert installed(roles) == [
        "docker-ce 29.7.1",
        "docker-ce-cli 29.7.1",
        "containerd.io 2.1.5",
        "docker-buildx-plugin 0.30.1",
        "docker-compose-plugin 5.0.2",
    ]
    assert roles.root("h1", "systemctl is-enabled docker; systemctl is-active docker") == "enabled\nactive"
    assert '"live-restore": true' in roles.root("h1", "cat /etc/docker/daemon.json")
    assert roles.done("docker", docker_version="29.7.1", **GIVEN).changed("h1") == []
    assert roles.done("docker", **GIVEN).changed("h1") == []


def test_another_pin_moves_it_and_there_is_no_distributions_docker(roles: Roles) -> None:
    roles.done("docker", docker_version="29.8.0", **GIVEN)
    assert "docker-ce 29.8.0" in installed(roles)
    said = roles.apply("docker", docker_source="distribution", **GIVEN).failure("h1")
    assert "Rocky has no docker of its own" in said


def test_docker_goes_and_leaves_nothing(roles: Roles) -> None:
    roles.done("docker", tasks_from="uninstall", docker_uninstall_data=True, **GIVEN)
    assert installed(roles) == []
    left = "ls -d /etc/docker /etc/yum.repos.d/docker* 2>/dev/null; find /etc/systemd -name 'docker*'; true"
    assert roles.root("h1", left) == ""


def test_dnf_automatic_keeps_off(roles: Roles) -> None:
    theirs = "[commands]\\nupgrade_type = default\\n[base]\\ndebuglevel = 1\\n"
    roles.root("h1", f"printf '{theirs}' > /etc/dnf/automatic.conf")
    given = {"node_tuning_time": False, "limit": "h1"}
    roles.done("node_tuning", **given)
    read = "import configparser; c = configparser.ConfigParser(); c.read('/etc/dnf/automatic.conf')"
    kept = roles.root("h1", f"python3 -c \"{read}; print(c['base']['excludepkgs'], c['base']['debuglevel'])\"")
    assert kept.startswith("*nvidia*, ")
    assert kept.endswith(" 1")
    assert roles.done("node_tuning", **given).changed("h1") == []
    roles.done("node_tuning", hosts="h1", tasks_from="uninstall")
    assert roles.root("h1", "cat /etc/dnf/automatic.conf") == theirs.replace("\\n", "\n").strip()
