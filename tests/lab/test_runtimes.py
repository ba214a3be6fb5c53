"""Gangs in the runtimes that are not plain services: containers, sessions without systemd, and all of them rebooted."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from r1fleet import lab as labs
from r1fleet.errors import LabError, PreflightFailed
from r1fleet.lab import Lab
from r1fleet.lab.disk import true_key
from r1fleet.launch import GangFailed, stop_orphans
from r1fleet.spec import Container
from tests.conftest import LabFactory
from tests.gangs import PORT
from tests.lab.boxed import IMAGE, MAKE_IMAGE, NAME, Stage, copy_image
from tests.lab.ground import eventually
from tests.lab.reach import answer, machine, r1fleet

KEY = "s3cr3t-of-the-box"
WHERE_THE_KEY_IS = (
    f"{{ cat /proc/[0-9]*/cmdline; su nobody -s /bin/sh -c 'cat /proc/[0-9]*/environ' 2>/dev/null;"
    f" cat /var/lib/r1fleet/{NAME}/*.json* /var/lib/r1fleet/{NAME}/generations/*/logs/*;"
    f" find /var/lib/r1fleet/{NAME} -type f ! -name '*.secrets' -exec cat {{}} +; journalctl --no-pager -b; }}"
    " | grep -ac 's3cr3t-of-the-bo[x]'; true"
)


@pytest.fixture
def stage(boxes: Stage) -> Iterator[Stage]:
    yield boxes
    boxes.stop()
    for host in boxes.hosts:
        boxes.sh(host, "docker ps -aq | xargs -r docker rm -f")


def test_two_ranks_in_containers_on_two_hosts_answer_and_stop_leaves_nothing(stage: Stage) -> None:
    ready = stage.launch(stage.plan())

    assert (ready.state, ready.sample) == ("ready", "hello from the rehearsal")
    (row,) = stage.status().deployments
    assert [(rank.state, rank.resident > 0) for rank in row.ranks] == [("ready", True)] * 2
    image = stage.sh("h1", f"docker image inspect {IMAGE} --format '{{{{.Id}}}}'")
    assert [rank.image for rank in row.ranks] == [image] * 2
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


@pytest.mark.slow
def test_a_container_with_a_network_of_its_own_answers_by_the_port_that_it_publishes(stage: Stage) -> None:
    own = Container(network="bridge", publish=(f"{PORT}:{PORT}",), ipc="private", shm_size="64m")

    assert stage.launch(stage.plan(own, hosts=("h1",))).state == "ready"

    assert "docker0" not in stage.sh("h1", f"docker exec r1fleet-{NAME}-0-0 ls /sys/class/net")
    assert stage.sh("h1", f"docker exec r1fleet-{NAME}-0-0 df -k /dev/shm | tail -n 1").split()[1] == "65536"
    url = f"http://{stage.lab.host('h1').address}:{PORT}"
    assert urllib.request.urlopen(f"{url}/", data=b"{}", timeout=10).status == 200
    stage.stop()
    assert stage.left() == ""


@pytest.mark.slow
def test_what_no_plan_names_any_more_is_seen_and_ended(stage: Stage) -> None:
    stage.launch(stage.plan(hosts=("h1",)))
    stage.launch(stage.plan(hosts=("h2",), runtime="unsupervised", stop_seconds=2))
    for host in stage.hosts:
        stage.sh(host, f"rm -r /var/lib/r1fleet/{NAME}")
    stage.sh("h2", "for name in old-0-1 swarm-a-7-3; do systemd-run --quiet --unit r1fleet-$name sleep 1000; done")

    seen = {row.host: row.strays for row in stage.status().hosts}
    assert [stray.split()[0] for stray in seen["h1"]] == [f"r1fleet-{NAME}-0-0"]
    assert [stray.split()[0] for stray in seen["h2"]] == [f"r1fleet-{NAME}-0-0", "r1fleet-old-0-1"]

    report = stop_orphans(stage.hosts.values(), stage.access, stage.events.append)
    assert (report.stopped, report.left) == (("h1", "h2"), {})
    assert stage.left() == ""
    stage.sh("h2", "systemctl stop r1fleet-swarm-a-7-3")  # a transfer is nobody's orphan: it was still there
    assert not any(row.strays for row in stage.status().hosts)
    again = stop_orphans(stage.hosts.values(), stage.access, stage.events.append)
    assert again.message == "nothing runs there that no plan names"


@pytest.mark.slow
def test_a_rank_that_ends_is_named_with_its_error_and_all_are_stopped(stage: Stage) -> None:
    with pytest.raises(GangFailed) as told:
        stage.launch(stage.plan(env={"REHEARSAL_DIES": "1"}))

    assert "rank 1" in told.value.what
    assert "rank 1 cannot load its shard" in told.value.what
    assert stage.left() == ""


@pytest.mark.slow
def test_an_image_that_is_not_the_same_everywhere_starts_nothing(stage: Stage) -> None:
    stage.sh("h2", MAKE_IMAGE)
    try:
        with pytest.raises(PreflightFailed, match="digest"):
            stage.launch(stage.plan())
    finally:
        copy_image(stage.lab)

    assert stage.left() == ""


@pytest.mark.slow
def test_an_image_whose_name_means_another_one_since_the_launch_is_told_and_goes_on(stage: Stage) -> None:
    stage.launch(stage.plan())
    (_, before) = stage.status().deployments[0].ranks
    assert (before.digest != "", before.means) == (True, before.digest)
    stage.sh("h2", MAKE_IMAGE)
    try:
        (row,) = stage.status().deployments
    finally:
        copy_image(stage.lab)
    assert (row.state, row.ranks[0].detail) == ("ready", "")
    second = row.ranks[1]
    assert second.detail == f"{IMAGE} means {second.means[:12]} now, launched with {before.digest[:12]}"
    assert second.image == before.image


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
    assert eventually(lambda: stage.states() == wanted, 40), stage.states()
    (passing,) = (row for row in stage.status().deployments if row.name == "passing")
    assert passing.ranks[0].detail == "is not running: its host has rebooted"
    for name in wanted:
        stage.stop(name)
    assert stage.left() == ""


HOST_WITHOUT_SYSTEMD = """
mkdir -p /tmp/bare/run/sshd && cp -a /etc /root /tmp/bare/
docker run --detach --init --name bare --network host --volume /usr:/usr:ro --volume /tmp/bare/etc:/etc \
    --volume /tmp/bare/root:/root --volume /tmp/bare/run:/run rehearsal:1 /usr/sbin/sshd -D -p 2222 -o UsePAM=no
"""


@pytest.mark.slow
def test_a_launch_finds_out_which_hosts_have_no_systemd(stage: Stage, tmp_path: Path) -> None:
    stage.sh("h1", HOST_WITHOUT_SYSTEMD)
    data = yaml.safe_load(stage.lab.inventory.read_text())
    address = stage.lab.host("h1").address
    (tmp_path / "known_hosts").write_text(f"[{address}]:2222 {true_key(stage.lab.host('h1'))}\n")
    tiny = {"engine": "vllm", "engine_version": "0.32.0", "accelerator": "cpu", "model": "/m", "hosts": "all"}
    data["all"]["vars"] |= {
        "ansible_user": "root",
        "ansible_port": 2222,
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={tmp_path / 'known_hosts'}",
        "deployments": {"tiny": {**tiny, "tensor_parallel": 1}},
    }
    data["all"]["children"] = {"nodes": {"hosts": {"bare": {"ansible_host": address, "r1fleet_address": address}}}}
    (tmp_path / "bare.yaml").write_text(yaml.safe_dump(data))

    told = r1fleet("launch", "tiny", "--dry-run", "-i", str(tmp_path / "bare.yaml"), R1FLEET_CACHE=str(tmp_path / "c"))

    assert "vllm serves /m (unsupervised)" in told.stdout, told.stdout + told.stderr
    assert "systemd is not process 1" not in told.stdout + told.stderr
    assert "/m is not there" in told.stderr


@pytest.mark.slow
def test_a_lab_with_docker_leaves_nothing_of_its_engines(own_lab: LabFactory) -> None:
    made = own_lab(hosts=1, docker=True)
    box = "docker run --detach --volume /usr:/usr:ro --workdir / rehearsal:1 /bin/sleep 1000"
    answer(made, "h1", f"until docker version >/dev/null; do sleep 0.1; done; {MAKE_IMAGE} {box}", user="root")
    assert "overlay2" in machine("find", str(made.folder), "-maxdepth", "4", "-name", "overlay2")

    labs.down(made.name)

    assert not made.folder.exists()
    assert made.cgroup not in Path("/proc/self/mounts").read_text()
    assert machine("find", "/sys/fs/cgroup", "-name", f"{made.cgroup}*", "-maxdepth", "2") == ""
    assert machine("pgrep", "-f", f"containerd-shim.*{made.cgroup}|{made.folder}") == ""


def test_hosts_that_are_up_without_docker_get_none(lab: Lab) -> None:
    with pytest.raises(LabError, match="up without docker"):
        labs.up(lab.name, docker=True, extra_vars={})
