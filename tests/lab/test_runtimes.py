"""Gangs in containers, on hosts with a docker engine of their own; the engine is a rehearsal (see rehearsal_engine.py).

The image is as small as images get: it borrows the host's /usr, read-only.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from r1fleet import lab as labs
from r1fleet.cli.connect import connector
from r1fleet.errors import LabError, PreflightFailed
from r1fleet.events import Event
from r1fleet.inventory import Host, Inventory
from r1fleet.lab import Lab
from r1fleet.launch import GangFailed, LaunchOptions, LaunchResult, launch, stop
from r1fleet.launch.plan import Plan, digest_of
from r1fleet.runtimes import Image
from r1fleet.spec import Container
from r1fleet.status import Access, StatusOptions, StatusReport, status
from r1fleet.transport import Become
from tests.gangs import ENGINE, MODEL, PORT, rehearsal
from tests.lab.ground import eventually
from tests.lab.reach import answer, ask

SOURCE = Path(__file__).with_name("rehearsal_engine.py")
NAME = "boxed"
IMAGE = "rehearsal:1"
KEY = "s3cr3t-of-the-box"
WHERE_THE_KEY_IS = (
    f"{{ cat /proc/[0-9]*/cmdline; su nobody -s /bin/sh -c 'cat /proc/[0-9]*/environ' 2>/dev/null;"
    f" cat /var/lib/r1fleet/{NAME}/*.json* /var/lib/r1fleet/{NAME}/generations/*/logs/*;"
    f" find /var/lib/r1fleet/{NAME} -type f ! -name '*.secrets' -exec cat {{}} +; journalctl --no-pager -b; }}"
    " | grep -ac 's3cr3t-of-the-bo[x]'; true"
)
MAKE_IMAGE = f"""
folder=$(mktemp -d) && cd $folder && mkdir -m 1777 tmp && mkdir usr sbin
for name in bin lib lib64; do ln -s usr/$name $name; done
tar -c . | docker import - {IMAGE}
"""


class Stage:
    """Two lab hosts with docker and the rehearsal's image."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.hosts = {host.name: _host(lab, host.name, str(host.address)) for host in lab.hosts}
        self.access = Access(connector(), lambda host: Become())
        self.events: list[Event] = []

    def plan(
        self,
        container: Container | None = None,
        *,
        runtime: str = "docker",
        hosts: tuple[str, ...] = ("h1", "h2"),
        boot: bool = False,
        **more: Any,
    ) -> Plan:
        """Plan the rehearsal's gang: in containers, or in another runtime."""
        usual = Container(ulimits={}, volumes=("/usr:/usr:ro",))
        own = usual.model_copy(update=container.model_dump(exclude_unset=True)) if container else usual
        places = [(name, self.hosts[name].variables["ansible_host"]) for name in hosts]
        plain = rehearsal(places, **{"name": NAME, **more})
        changes: dict[str, object] = {"runtime": runtime, "boot": boot, "container": own}
        deployment = plain.deployment.model_copy(update={**changes, "image": IMAGE if runtime == "docker" else None})
        image = Image(IMAGE, own, (ENGINE,)) if runtime == "docker" else None
        labels = (("deployment", plain.name),)
        ranks = [replace(rank, process=replace(rank.process, image=image, labels=labels)) for rank in plain.ranks]
        without = frozenset(hosts if runtime == "unsupervised" else ())
        plan = replace(plain, deployment=deployment, ranks=tuple(ranks), without_systemd=without)
        return replace(plan, digest=digest_of(plan))

    def launch(self, plan: Plan, **more: Any) -> LaunchResult:
        return launch(plan, self.access, self.events.append, LaunchOptions(hosts=self.hosts, interval=0.1, **more))

    def stop(self, name: str = NAME) -> Any:
        return stop(self.hosts.values(), self.access, self.events.append, name)

    def states(self) -> dict[str, str]:
        """Tell every deployment's state."""
        return {row.name: row.state for row in self.status().deployments}

    def status(self) -> StatusReport:
        return status(
            [Inventory("lab", None, self.hosts, {})], Access(connector(), lambda host: Become()), StatusOptions()
        )

    def generation(self) -> int:
        return self.status().deployments[0].generation

    def sh(self, host: str, script: str) -> str:
        return answer(self.lab, host, script, user="root")

    def left(self) -> str:
        """List what is left of any rank: containers, processes, listening ports."""
        look = (
            "docker ps -aq --filter name=^r1fleet-; ps -eo args | grep '[/]opt/rehearsal/engine.py';"
            " ps -eo args | grep 'r1fleet.agent.sessio[n]'; ls /etc/systemd/system | grep ^r1fleet-;"
            f" ss -ltnH 'sport = :{PORT}'; true"
        )
        return "".join(self.sh(host, look) for host in self.hosts)


def _host(lab: Lab, name: str, address: str) -> Host:
    variables = {
        "ansible_host": address,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(lab.key),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={lab.known_hosts}",
    }
    return Host(name, variables, ("nodes",))


@pytest.fixture(scope="module")
def ground(lab_name: str) -> Iterator[Stage]:
    name = f"{lab_name}-docker"
    labs.down(name)
    stage = Stage(labs.up(name, hosts=2, docker=True, extra_vars={}))
    for host in stage.hosts:
        stage.sh(host, f"mkdir -p {MODEL} && echo '{{}}' >{MODEL}/config.json && rm -rf /tmp/*.tar")
        ask(stage.lab, host, f"cat >{ENGINE}", user="root", stdin=SOURCE.read_text())
    assert eventually(lambda: ask(stage.lab, "h1", "docker version", user="root").returncode == 0)
    assert eventually(lambda: ask(stage.lab, "h2", "docker version", user="root").returncode == 0)
    stage.sh("h1", MAKE_IMAGE)
    _copy_image(stage.lab)
    yield stage
    labs.down(name)


def _copy_image(lab: Lab) -> None:
    """Copy the image, so that it is the same on both hosts: an import makes another each time."""
    saved = subprocess.run(
        lab.ssh("h1", "docker", "save", IMAGE, user="root").argv, capture_output=True, timeout=60, check=True
    )
    subprocess.run(
        lab.ssh("h2", "docker", "load", user="root").argv,
        input=saved.stdout,
        capture_output=True,
        timeout=60,
        check=True,
    )


@pytest.fixture
def stage(ground: Stage) -> Iterator[Stage]:
    yield ground
    ground.stop()
    for host in ground.hosts:
        ground.sh(host, "docker ps -aq | xargs -r docker rm -f")


def test_two_ranks_in_containers_on_two_hosts_answer_and_stop_leaves_nothing(stage: Stage) -> None:
    ready = stage.launch(stage.plan())

    assert (ready.state, ready.sample) == ("ready", "hello from the rehearsal")
    (row,) = stage.status().deployments
    assert [(rank.state, rank.resident > 0) for rank in row.ranks] == [("ready", True)] * 2
    stage.sh("h2", f"docker kill r1fleet-{NAME}-0-1")
    assert eventually(lambda: stage.status().deployments[0].state in ("degraded", "failed"))
    (_, second) = stage.status().deployments[0].ranks
    assert (second.state, second.detail) == ("failed", "ended with status 137")
    assert eventually(lambda: stage.status().deployments[0].state == "failed")
    assert stage.launch(stage.plan()).state == "ready"  # though the names of both containers are still taken
    stage.stop()
    assert stage.left() == ""
    assert stage.status().deployments[0].state == "stopped"


def test_a_container_shares_what_was_written_and_the_key_is_nowhere_but_in_its_file(stage: Stage) -> None:
    own = Container(ulimits={"core": "0:0"}, devices=("/dev/null:/dev/extra",), user="1000:1000")
    stage.launch(stage.plan(own, api_key=True), api_key=KEY)
    name = f"r1fleet-{NAME}-0-0"

    shown = stage.sh("h1", f"docker inspect {name}; docker ps -q --filter label=r1fleet.deployment={NAME} | wc -l")
    inside = stage.sh("h1", f"docker exec {name} sh -c 'ls /dev/extra; id -u; ulimit -c'")
    assert inside.split() == ["/dev/extra", "1000", "0"]
    assert shown.endswith("\n1")
    for word in ('"NetworkMode": "host"', '"IpcMode": "host"', '"max-size": "10m"'):
        assert word in shown

    told = (
        f"docker inspect {name}; docker logs {name} 2>&1; docker top {name} -o pid,args; cat /proc/[0-9]*/cmdline;"
        f" su nobody -s /bin/sh -c 'cat /proc/[0-9]*/environ /var/lib/r1fleet/{NAME}/generations/*/*' 2>/dev/null;"
        f" cat /var/lib/r1fleet/{NAME}/*.json* /var/lib/r1fleet/{NAME}/generations/*/logs/* /run/systemd/transient/*;"
        " journalctl --no-pager -b; true"
    )
    assert int(stage.sh("h1", f"{{ {told}; }} | wc -c")) > 10_000
    assert stage.sh("h1", f"{{ {told}; }} | grep -ac 's3cr3t-of-the-bo[x]'; true") == "0"
    assert stage.sh("h1", f"grep -rl {KEY} /var/lib/r1fleet").split() == [
        f"/var/lib/r1fleet/{NAME}/generations/{stage.generation()}/{name}.secrets"
    ]


def test_a_rank_that_ends_is_named_with_its_error_and_all_are_stopped(stage: Stage) -> None:
    with pytest.raises(GangFailed) as told:
        stage.launch(stage.plan(env={"REHEARSAL_DIES": "1"}))

    assert "rank 1" in told.value.what
    assert "rank 1 cannot load its shard" in told.value.what
    assert stage.left() == ""


def test_an_image_that_is_not_the_same_everywhere_starts_nothing(stage: Stage) -> None:
    stage.sh("h2", MAKE_IMAGE)
    try:
        with pytest.raises(PreflightFailed, match="digest"):
            stage.launch(stage.plan())
    finally:
        _copy_image(stage.lab)

    assert stage.left() == ""


def test_a_gang_without_systemd_answers_and_stop_leaves_nothing(stage: Stage) -> None:
    ready = stage.launch(
        stage.plan(runtime="unsupervised", env={"REHEARSAL_ORPHAN": "1"}, api_key=True, stop_seconds=2), api_key=KEY
    )

    assert ready.state == "ready"
    (row,) = stage.status().deployments
    assert [(rank.state, rank.resident > 0) for rank in row.ranks] == [("ready", True)] * 2
    assert stage.sh("h1", f"systemctl list-units --no-legend 'r1fleet-*'; {WHERE_THE_KEY_IS}") == "0"
    stage.sh("h2", "kill -9 $(pgrep -f '^/usr/bin/python3 /opt/rehearsal/engine.py')")
    assert eventually(lambda: stage.status().deployments[0].ranks[1].detail == "ended with status 137 (signal)")
    stage.stop()
    assert stage.left() == ""


def test_after_a_reboot_comes_back_what_was_to_come_back(stage: Stage) -> None:
    stage.launch(stage.plan(boot=True))
    stage.launch(stage.plan(runtime="venv", boot=True, hosts=("h2",), name="lasting", port=18001))
    stage.launch(stage.plan(runtime="venv", hosts=("h1",), name="passing", port=18002))

    for host in stage.hosts:
        labs.break_host(stage.lab.name, host, "reboot")
    for host in stage.hosts:
        labs.heal_host(stage.lab.name, host)

    wanted = {NAME: "ready", "lasting": "ready", "passing": "failed"}
    assert eventually(lambda: stage.states() == wanted), stage.states()
    (passing,) = (row for row in stage.status().deployments if row.name == "passing")
    assert passing.ranks[0].detail == "is not running: its host has rebooted"
    for name in wanted:
        stage.stop(name)
    assert stage.left() == ""


def test_hosts_that_are_up_without_docker_get_none(lab: Lab) -> None:
    with pytest.raises(LabError, match="up without docker"):
        labs.up(lab.name, docker=True, extra_vars={})
