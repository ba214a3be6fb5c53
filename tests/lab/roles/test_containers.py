"""The roles docker and engine_image with the distribution's docker, for real: a daemon, containers, images."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.differential.footprint import Footprint
from tests.lab.roles.applying import Applied, Roles

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

# A lab host is a container itself, with read-only control groups and without keyrings: this lets containers run in it.
RUNTIME = """
mount -o remount,rw /sys/fs/cgroup
for one in /sys/fs/cgroup/*; do mountpoint -q $one && mount -o remount,rw,bind $one; done
mkdir -p /etc/docker /root/images/sleep
cat > /root/runc-lab <<'END'
#!/bin/bash
words=(); for word; do words+=("$word"); [ "$word" = create ] && words+=(--no-new-keyring); done
exec runc "${words[@]}"
END
chmod 755 /root/runc-lab
for file in /bin/sleep $(ldd /bin/sleep | grep -o '/[^ ]*'); do cp --parents $file /root/images/sleep; done
"""
THEIRS = {
    "default-runtime": "lab",
    "runtimes": {"lab": {"path": "/root/runc-lab"}},
    "log-driver": "local",
    "live-restore": False,
    "registry-mirrors": ["https://mine.example"],
}
MIRROR = "https://mirror.example"
DOCKER: dict[str, Any] = {"docker_source": "distribution", "docker_registry_mirrors": [MIRROR]}
OPTIONS: dict[str, Any] = {"docker_daemon_options": {"debug": True, "log-opts": {"max-size": "7m"}}}


@pytest.fixture(scope="module")
def before(roles: Roles) -> Footprint:
    """h1 has a daemon.json of its owner's; h2 is bare."""
    roles.root("h1", RUNTIME)
    write(roles, json.dumps(THEIRS))
    return roles.footprint("h1")


@pytest.fixture(scope="module")
def first(roles: Roles, before: Footprint) -> Applied:
    return roles.done("docker", **DOCKER)


def write(roles: Roles, text: str) -> None:
    roles.root("h1", f"cat > /etc/docker/daemon.json <<'END'\n{text}\nEND")


def told(roles: Roles, host: str, what: str) -> str:
    return roles.root(host, f"docker info --format '{{{{{what}}}}}'")


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ('{"live-restore": true,\n}', "line 2 column 1"),
        ("[]", "something else"),
        ("live-restore: true", "line 1 column 1"),
    ],
)
def test_a_daemon_json_that_is_no_json_is_named_and_nothing_is_touched(
    roles: Roles, before: Footprint, text: str, because: str
) -> None:
    kept = roles.root("h1", "cat /etc/docker/daemon.json")
    write(roles, text)
    said = roles.apply("docker", hosts="h1", **DOCKER).failure("h1")
    assert said.startswith("/etc/docker/daemon.json is not a JSON object (")
    assert because in said
    assert roles.root("h1", "cat /etc/docker/daemon.json; dpkg-query -W docker.io 2>/dev/null; true") == text
    write(roles, kept)


def test_docker_from_snap_is_refused(roles: Roles, before: Footprint) -> None:
    said = roles.apply("docker", hosts="h1", docker_snap=["/etc/hosts"], **DOCKER).failure("h1")
    assert "comes from snap" in said
    assert "docker.io" not in roles.root("h1", "dpkg-query -W")


def test_beside_docker_desktop_no_engine_is_installed(roles: Roles, before: Footprint) -> None:
    desktop = {**DOCKER, "docker_desktop_mount": "/etc"}
    assert "Switch this distribution on in Docker Desktop" in roles.apply("docker", hosts="h1", **desktop).failure("h1")
    roles.root("h1", "printf '#!/bin/sh\\n' > /usr/local/bin/docker; chmod 755 /usr/local/bin/docker")
    assert "Docker Desktop serves this distribution" in roles.done("docker", hosts="h1", **desktop).told("h1")
    roles.root("h1", "rm /usr/local/bin/docker")
    assert "docker.io" not in roles.root("h1", "dpkg-query -W")


def test_a_daemon_with_the_owners_settings_and_ours_runs(roles: Roles, first: Applied) -> None:
    assert told(roles, "h1", ".DefaultRuntime") == "lab"
    assert told(roles, "h1", ".LoggingDriver") == "local"  # and so it got no options of json-file
    assert told(roles, "h1", "json .RegistryConfig.Mirrors") == f'["{MIRROR}/","https://mine.example/"]'
    assert told(roles, "h1", ".LiveRestoreEnabled") == "false"


def test_a_bare_host_gets_log_rotation_and_live_restore(roles: Roles, first: Applied) -> None:
    assert told(roles, "h2", ".LoggingDriver") == "json-file"
    assert told(roles, "h2", ".LiveRestoreEnabled") == "true"
    assert '"max-size": "100m"' in roles.root("h2", "cat /etc/docker/daemon.json")


def test_a_second_run_changes_nothing(roles: Roles, first: Applied) -> None:
    again = roles.done("docker", **DOCKER)
    assert (again.changed("h1"), again.changed("h2")) == ([], [])


def test_check_mode_changes_nothing(roles: Roles, first: Applied) -> None:
    now = roles.footprint("h1")
    applied = roles.done("docker", hosts="h1", check=True, **DOCKER, **OPTIONS)
    assert "Merge daemon.json" in applied.changed("h1")
    assert roles.footprint("h1").since(now) == []


def test_a_pinned_version_does_not_replace_another_engine(roles: Roles, first: Applied) -> None:
    given = {"docker_source": "docker", "docker_version": "29.8.0"}
    assert "Set docker_replace: true" in roles.apply("docker", hosts="h1", **given).failure("h1")


def test_settings_do_not_stop_containers(roles: Roles, first: Applied) -> None:
    roles.root("h1", "tar -C /root/images/sleep -c . | docker import - tiny/sleep:1")
    container = roles.root("h1", "docker run --detach --network none tiny/sleep:1 /bin/sleep 600")
    applied = roles.done("docker", hosts="h1", **DOCKER, **OPTIONS)
    assert "1 containers run and would end with a restart" in applied.told("h1")
    assert roles.root("h1", "docker ps --quiet --no-trunc") == container
    assert told(roles, "h1", ".Debug") == "true"  # taken up without a restart
    roles.root("h1", "docker rm --force $(docker ps --quiet)")


def save(roles: Roles, host: str, content: str) -> None:
    """Make an image's tar on a host, as a copy of weights would bring it."""
    roles.root(
        host,
        f"mkdir -p /root/images/engine; echo {content} > /root/images/engine/file; cd /root; tar -C images/engine -c . "
        "| docker import - tiny/engine:1; docker save -o engine.tar tiny/engine:1; docker image rm tiny/engine:1",
    )


LOAD = {"engine_image_name": "tiny/engine:1", "engine_image_source": "load", "engine_image_tar": "/root/engine.tar"}


def test_an_image_is_loaded_once_and_recorded(roles: Roles, first: Applied) -> None:
    save(roles, "h1", "one")
    applied = roles.done("engine_image", hosts="h1", **LOAD)
    assert "Load the image" in applied.changed("h1")
    recorded = json.loads(roles.root("h1", "cat /var/lib/r1fleet/images/tiny--engine--1.json"))
    assert recorded["id"] == roles.root("h1", "docker image inspect --format '{{.Id}}' tiny/engine:1")
    assert roles.done("engine_image", hosts="h1", **LOAD).changed("h1") == []


def test_a_tar_with_another_sha256_is_not_loaded(roles: Roles, first: Applied) -> None:
    save(roles, "h2", "two")
    said = roles.apply("engine_image", hosts="h2", engine_image_tar_sha256="0" * 64, **LOAD).failure("h2")
    assert "Nothing was loaded" in said
    assert roles.root("h2", "docker images --quiet") == ""


def test_hosts_that_hold_different_images_by_one_name_are_told(roles: Roles, first: Applied) -> None:
    said = roles.apply("engine_image", **LOAD)
    assert "hosts hold different images by the name of tiny/engine:1" in said.failure("h1")


@pytest.mark.slow
def test_a_tar_that_holds_something_else_is_told(roles: Roles, first: Applied) -> None:
    given = {**LOAD, "engine_image_name": "tiny/other:1"}
    said = roles.apply("engine_image", hosts="h1", **given).failure("h1")
    assert "/root/engine.tar holds another image (Loaded image: tiny/engine:1)" in said


@pytest.mark.slow
def test_an_image_is_built_and_built_again_only_when_its_sources_change(roles: Roles, first: Applied) -> None:
    context = roles.folder / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nARG WHAT\nLABEL what=$WHAT\nCOPY file /file\n")
    (context / "file").write_text("one\n")
    given = {"engine_image_name": "tiny/built:1", "engine_image_source": "build", "engine_image_context": str(context)}
    built = []
    for args in ({"WHAT": "this"}, {"WHAT": "this"}, {"WHAT": "that"}):
        applied = roles.done("engine_image", hosts="h1", engine_image_build_args=args, **given)
        built.append("Build the image" in applied.changed("h1"))
    assert built == [True, False, True]
    assert roles.root("h1", "docker image inspect --format '{{.Config.Labels.what}}' tiny/built:1") == "that"


def test_without_docker_an_image_has_no_place(roles: Roles, first: Applied) -> None:
    roles.root("h2", "systemctl stop docker.socket docker 2>&1")
    assert "apply the role docker first" in roles.apply("engine_image", hosts="h2", **LOAD).failure("h2")
    roles.root("h2", "systemctl start docker.socket docker")


def test_uninstalling_leaves_the_owners_daemon_json(roles: Roles, first: Applied) -> None:
    for name in ("tiny/engine:1", "tiny/built:1"):
        roles.done("engine_image", hosts="h1", tasks_from="uninstall", engine_image_name=name)
    left = "ls /var/lib/r1fleet/images; docker images --format '{{.Repository}}' | grep -v none"
    assert roles.root("h1", left) == "tiny/sleep"
    roles.done("docker", hosts="h2", tasks_from="uninstall", docker_uninstall_data=True, **DOCKER)
    assert roles.root("h2", "ls /etc/docker /var/lib/docker 2>/dev/null; dpkg-query -W | grep docker; true") == ""
    roles.done("docker", hosts="h1", tasks_from="uninstall", **DOCKER, **OPTIONS)
    assert json.loads(roles.root("h1", "cat /etc/docker/daemon.json")) == THEIRS
    again = roles.done("docker", tasks_from="uninstall", docker_uninstall_data=True, **DOCKER)
    assert again.changed("h2") == []
