"""The role engine_image pulls from a registry of the lab's own, for real."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab.roles.applying import Roles

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(600)]

ROLE = "engine_image"
# Debian's own asks for a password.
CONFIGURATION = """
version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/docker-registry}}
http: {addr: ":5000"}
"""
NAME = "example/engine:v1"


@pytest.fixture(scope="module")
def registry(roles: Roles) -> str:
    """h2 has a registry; both hosts have docker and may use it without a certificate."""
    address = f"{roles.lab.host('h2').address}:5000"
    roles.done("docker", docker_source="distribution", docker_daemon_options={"insecure-registries": [address]})
    words = f"http_proxy={roles.lab.proxy} apt-get -qq install -y --no-install-recommends docker-registry"
    roles.root("h2", f"{words} >/dev/null 2>&1")
    configure = f"cat > /etc/docker/registry/config.yml <<'END'\n{CONFIGURATION}\nEND\n"
    roles.root("h2", f"{configure} systemctl restart docker-registry")
    push(roles, address, "one")
    return address


@pytest.fixture
def given(registry: str) -> dict[str, Any]:
    return {"engine_image_name": NAME, "engine_image_pull_name": f"{registry}/engine:v1"}


def push(roles: Roles, address: str, content: str) -> str:
    """Let the tag mean this content, and return its digest."""
    name = f"{address}/engine:v1"
    script = (
        f"mkdir -p image; echo {content} > image/file; tar -C image -c . | docker import - {name}; docker push {name}"
    )
    said = roles.root("h2", f"cd /root; {script}; docker image rm {name}")
    return "sha256:" + said.partition("digest: sha256:")[2].split()[0]


def recorded(roles: Roles, host: str) -> dict[str, str]:
    told: dict[str, str] = json.loads(roles.root(host, "cat /var/lib/r1fleet/images/example--engine--v1.json"))
    return told


def test_an_image_comes_by_a_mirrors_name_and_gets_its_own(roles: Roles, given: dict[str, Any]) -> None:
    roles.done(ROLE, **given)
    assert recorded(roles, "h1") == recorded(roles, "h2")
    assert recorded(roles, "h1")["digest"].startswith("sha256:")
    assert roles.root("h1", f"docker image inspect --format '{{{{.Id}}}}' {NAME}") == recorded(roles, "h1")["id"]
    again = roles.done(ROLE, **given)
    assert (again.changed("h1"), again.changed("h2")) == ([], [])


def test_a_tag_that_has_moved_is_followed_only_when_asked_and_by_all(
    roles: Roles, registry: str, given: dict[str, Any]
) -> None:
    before = recorded(roles, "h1")["digest"]
    digest = push(roles, registry, "two")
    assert roles.done(ROLE, hosts="h1", **given).changed("h1") == []
    roles.done(ROLE, hosts="h2", engine_image_pull_always=True, **given)
    assert (recorded(roles, "h1")["digest"], recorded(roles, "h2")["digest"]) == (before, digest)
    said = roles.apply(ROLE, **given)
    assert "hosts hold different images" in said.failure("h1")
    assert "hosts hold different images" in said.failure("h2")
    roles.done(ROLE, engine_image_digest=digest, **given)
    assert recorded(roles, "h1")["digest"] == digest
    assert roles.done(ROLE, engine_image_digest=digest, **given).changed("h1") == []


def test_a_digest_that_the_registry_does_not_have_is_told(roles: Roles, given: dict[str, Any]) -> None:
    applied = roles.apply(ROLE, hosts="h1", engine_image_digest=f"sha256:{'0' * 64}", **given)
    assert "manifest unknown" in str(applied.explain())


def test_check_mode_pulls_nothing(roles: Roles, given: dict[str, Any]) -> None:
    roles.done(ROLE, tasks_from="uninstall", **given)
    roles.done(ROLE, check=True, **given)
    assert NAME.partition(":")[0] not in roles.root("h1", "docker images")
