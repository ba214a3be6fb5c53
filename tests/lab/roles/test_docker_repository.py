"""The role docker with a stand-in for Docker's own repository: real apt, on a host dressed as Ubuntu 24.04."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.differential.footprint import Footprint
from tests.differential.oracle import ensure_oracle
from tests.lab.roles.applying import ROOT, Roles
from tests.standins import debhost, dockerce
from tests.standins.aptrepo import Signer, write_dists
from tests.standins.deb import Deb
from tests.standins.server import Served, serve

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

SOURCE = "/etc/apt/sources.list.d/docker.sources"
REVISION = "1~ubuntu.24.04~noble"


@pytest.fixture(scope="module")
def repository(roles: Roles) -> Iterator[Served]:
    """Docker's repository for noble; the distribution's archive has containerd and docker.io."""
    signer = Signer.make(roles.folder / "gpg")
    dockerce.write_repository(roles.folder / "docker-ce", signer, "ubuntu", "ubuntu.24.04", "noble")
    theirs = [Deb("containerd", "1.7.24-1"), Deb("docker.io", "27.5.1-1", {"Depends": "containerd"})]
    write_dists(roles.folder / "archive", theirs, signer, "stand-in", "main")
    with serve(roles.folder, roles.lab.gateway) as served:
        debhost.dress(roles.lab, "h1", "ubuntu2404", served, signer.binary)
        yield served
    signer.close()


@pytest.fixture(scope="module")
def before(roles: Roles, repository: Served) -> Footprint:
    return roles.footprint("h1")


@pytest.fixture
def given(repository: Served) -> dict[str, Any]:
    return {"hosts": "h1", "proxy_env": {}, "docker_url": f"{repository.url}/docker-ce"}


def installed(roles: Roles) -> list[str]:
    return roles.root(
        "h1", "dpkg-query -W -f '${Package} ${Version}\\n' | grep -E 'docker|containerd'; true"
    ).splitlines()


@pytest.mark.slow  # it is asked four times
def test_a_repository_that_is_not_reached_is_named(roles: Roles, before: Footprint, given: dict[str, Any]) -> None:
    said = roles.apply("docker", **{**given, "docker_url": "http://127.0.0.1:9/docker"}).failure("h1")
    assert "could not be installed from http://127.0.0.1:9/docker" in said
    assert "docker_url names another" in said
    assert roles.footprint("h1").since(before) == []


@pytest.mark.slow  # apt is asked six times
def test_a_key_that_does_not_sign_is_told_and_nothing_is_left(
    roles: Roles, before: Footprint, given: dict[str, Any]
) -> None:
    other = Signer.make(roles.folder / "other")
    key = roles.folder / "docker-ce/ubuntu/gpg"
    right = key.read_bytes()
    key.write_bytes(other.armored)
    other.close()
    said = roles.apply("docker", **given).failure("h1")
    key.write_bytes(right)
    assert "Failed to update apt cache" in said
    assert "NO_PUBKEY" in said
    assert "The source that this run had added is gone again" in said
    assert roles.footprint("h1").since(before) == []


def test_the_pinned_version_beats_a_newer_one(
    roles: Roles, before: Footprint, given: dict[str, Any], repository: Served
) -> None:
    roles.done("docker", docker_version="29.7.1", **given)
    assert installed(roles) == [
        f"containerd.io 2.1.5-{REVISION}",
        f"docker-buildx-plugin 0.30.1-{REVISION}",
        f"docker-ce 5:29.7.1-{REVISION}",
        f"docker-ce-cli 5:29.7.1-{REVISION}",
        f"docker-compose-plugin 5.0.2-{REVISION}",
    ]
    assert roles.root("h1", "systemctl is-enabled docker; systemctl is-active docker") == "enabled\nactive"
    repository.asked.clear()
    assert roles.done("docker", docker_version="29.7.1", **given).changed("h1") == []
    assert repository.asked == []  # nor does it ask anybody


@pytest.mark.slow
def test_without_a_pin_what_is_there_stays_and_another_pin_moves_it(
    roles: Roles, before: Footprint, given: dict[str, Any]
) -> None:
    assert roles.done("docker", **given).changed("h1") == []
    for version in ("29.8.0", "29.7.1"):
        roles.done("docker", docker_version=version, **given)
        assert f"docker-ce 5:{version}-{REVISION}" in installed(roles)


@pytest.mark.slow
def test_a_source_of_the_owners_is_used_as_it_is(roles: Roles, before: Footprint, given: dict[str, Any]) -> None:
    theirs = "/etc/apt/sources.list.d/theirs.list"
    roles.root("h1", "cp /etc/apt/keyrings/docker.asc /etc/apt/keyrings/theirs.asc")
    line = f"deb [signed-by=/etc/apt/keyrings/theirs.asc] {given['docker_url']}/ubuntu noble stable"
    roles.root("h1", f"echo '{line}' > {theirs}; rm {SOURCE}")
    roles.done("docker", docker_version="29.8.0", **given)
    assert roles.root("h1", f"ls {SOURCE} 2>/dev/null; true") == ""
    roles.root("h1", f"rm {theirs} /etc/apt/keyrings/theirs.asc")
    roles.done("docker", docker_version="29.8.0", **given)


def test_uninstalling_leaves_no_trace(roles: Roles, before: Footprint, given: dict[str, Any]) -> None:
    roles.done("docker", tasks_from="uninstall", docker_uninstall_data=True, **given)
    assert installed(roles) == []
    assert roles.footprint("h1").since(before) == []


def by_ansible(roles: Roles, given: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Apply the role by ansible-playbook; the play is the one that r1fleet has played before."""
    roles.apply("docker", check=True, **given)
    oracle = ensure_oracle()
    variables = {name: value for name, value in given.items() if name != "hosts"}
    words = ["playbooks/site.yaml", "-i", str(roles.lab.inventory), "-l", "h1", "-e", json.dumps(variables)]
    environment = {**os.environ, **oracle.environment, "ANSIBLE_ROLES_PATH": str(ROOT / "roles")}
    argv = [str(oracle.playbook), *words]
    return subprocess.run(
        argv, cwd=roles.folder, env=environment, capture_output=True, text=True, timeout=280, check=False
    )


@pytest.mark.slow
def test_ansible_does_the_same(roles: Roles, before: Footprint, given: dict[str, Any]) -> None:
    lost = by_ansible(roles, {**given, "docker_url": "http://127.0.0.1:9/docker"})
    assert "could not be installed from http://127.0.0.1:9/docker" in lost.stdout + lost.stderr
    assert roles.footprint("h1").since(before) == []
    ran = by_ansible(roles, {**given, "docker_version": "29.7.1"})
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"docker-ce 5:29.7.1-{REVISION}" in installed(roles)
    assert roles.done("docker", docker_version="29.7.1", **given).changed("h1") == []
    roles.done("docker", tasks_from="uninstall", docker_uninstall_data=True, **given)


@pytest.mark.slow
def test_the_distributions_engine_stays_until_it_may_be_replaced(
    roles: Roles, before: Footprint, given: dict[str, Any]
) -> None:
    roles.root("h1", "apt-get -qq install -y containerd >/dev/null 2>&1")
    assert "something else, such as Kubernetes" in roles.apply("docker", **given).failure("h1")
    roles.root("h1", "apt-get -qq install -y docker.io >/dev/null 2>&1")
    kept = roles.apply("docker", **given)
    assert "docker.io is installed and stays" in kept.told("h1")
    assert "docker.io 27.5.1-1" in installed(roles)
    roles.done("docker", docker_replace=True, **given)
    assert [line.split()[0] for line in installed(roles)] == [
        "containerd.io",
        "docker-buildx-plugin",
        "docker-ce",
        "docker-ce-cli",
        "docker-compose-plugin",
    ]
