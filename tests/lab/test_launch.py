"""Gangs on real hosts under real systemd; the engine is a rehearsal (see rehearsal_engine.py)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from r1fleet import lab as labs
from r1fleet.errors import ExitCode, LockHeld, PreflightFailed, UsageError
from r1fleet.events import EndpointReady, Event, LogLines, LogSources
from r1fleet.launch import GangFailed, LaunchOptions, lock_release, lock_status, restart, stop
from r1fleet.launch.lock import Lock
from r1fleet.spec import Timeouts
from r1fleet.status import AskOptions, Contact, LogOptions, ask, logs
from tests.conftest import LabFactory
from tests.gangs import MODEL, PORT, rehearsal
from tests.lab.stages import NAME, Stage, equip

ROOT = Path(__file__).parents[2]


def test_a_gang_is_launched_seen_asked_and_stopped_without_a_trace(stage: Stage) -> None:
    result = stage.launch(stage.plan())

    assert (result.state, result.generation, result.exit_code) == ("ready", 1, ExitCode.OK)
    assert result.sample == "hello from the rehearsal"
    assert stage.states(0) == stage.states(1) == ["starting", "running", "ready"]
    assert [event.sample for event in stage.events if isinstance(event, EndpointReady)] == ["hello from the rehearsal"]

    report = stage.status(probe=True)
    row = report.deployments[0]
    assert (row.state, row.generation, report.exit_code) == ("ready", 1, ExitCode.OK)
    assert [(rank.host, rank.state) for rank in row.ranks] == [("h1", "ready"), ("h2", "ready")]
    assert [probe.text for probe in row.probes] == ["hello from the rehearsal"]
    pids = [stage.sh(rank.host, f"systemctl show -P MainPID r1fleet-{NAME}-0-{rank.rank}") for rank in row.ranks]
    assert [str(rank.pid) for rank in row.ranks] == [pid.strip() for pid in pids]
    json.dumps(report.as_json())

    assert ask(stage.hosts.values(), stage.access, AskOptions("hello?")).text == "hello from the rehearsal"

    again = stage.launch(stage.plan())
    assert (again.state, again.generation, again.exit_code) == ("already ready", 1, ExitCode.OK)

    assert stage.stop().exit_code is ExitCode.OK
    assert stage.traces() == ""
    assert stage.status().deployments[0].state == "stopped"
    assert stage.stop().message == f"nothing of {NAME} is running"


def test_status_with_nothing_launched_is_one_sentence(stage: Stage) -> None:
    report = stage.status()
    assert report.message == "Nothing has been launched on lab."
    assert report.exit_code is ExitCode.OK


def test_a_rank_that_dies_while_loading_ends_the_launch_and_is_named(stage: Stage) -> None:
    with pytest.raises(GangFailed) as caught:
        stage.launch(stage.plan(env={"REHEARSAL_DIES": "1"}))

    error = caught.value
    assert (error.failure.host, error.failure.rank) == ("h2", 1)
    assert error.failure.first_error == "ValueError: rank 1 cannot load its shard"
    assert "ended with status 3" in error.what
    assert "RuntimeError: a peer has gone" in "".join(error.failure.others)
    assert error.exit_code is ExitCode.HOST_FAILED
    assert error.left == {}
    assert stage.traces() == ""
    row = stage.status().deployments[0]
    assert row.state == "failed"
    assert "rank 1 cannot load its shard" in row.detail
    assert lock_status(stage.hosts.values(), stage.access) == ()


def test_a_rank_killed_while_loading_is_named_though_an_orphan_of_it_lives_on(stage: Stage) -> None:
    plan = stage.plan(env={"REHEARSAL_LOAD": "60", "REHEARSAL_ORPHAN": "1"}, stop_seconds=1)

    def kill(event: Event) -> None:
        if isinstance(event, LogLines) and event.rank == 1 and "all 2 ranks have met" in event.lines:
            stage.sh("h2", f"systemctl kill --kill-who=main -s KILL r1fleet-{NAME}-0-1")

    with pytest.raises(GangFailed) as caught:
        stage.launch(plan, kill)
    assert (caught.value.failure.host, caught.value.failure.rank) == ("h2", 1)
    assert "ended with status 137" in caught.value.what
    assert stage.traces() == ""


def test_a_rank_that_never_comes_is_found_by_the_leaders_own_judge(stage: Stage) -> None:
    timeouts = Timeouts(rendezvous=1, load=60, ready=60)
    with pytest.raises(GangFailed) as caught:
        stage.launch(stage.plan(env={"REHEARSAL_ABSENT": "1"}, timeouts=timeouts))
    assert (caught.value.failure.host, caught.value.failure.rank) == ("h2", 1)
    assert "no connection from" in caught.value.what
    assert stage.traces() == ""


def test_http_that_answers_without_a_completion_is_not_ready(stage: Stage) -> None:
    timeouts = Timeouts(rendezvous=60, load=60, ready=1)
    with pytest.raises(GangFailed, match=r"no completion within 1 s .* HTTP 503"):
        stage.launch(stage.plan(env={"REHEARSAL_NEVER_READY": "1"}, timeouts=timeouts))
    assert stage.traces() == ""


def test_stop_leaves_no_process_that_ignores_sigterm(stage: Stage) -> None:
    stage.launch(stage.plan(env={"REHEARSAL_ORPHAN": "0"}, stop_seconds=1))
    assert "SIG_IGN" in stage.traces()
    assert stage.stop().left == {}
    assert stage.traces() == ""


@pytest.mark.parametrize("fault", ["crash", "blackhole"])
def test_a_host_lost_while_loading_is_named_and_the_rest_is_stopped(own_lab: LabFactory, fault: str) -> None:
    lab = own_lab(hosts=2)
    stage = Stage(lab)
    equip(stage)

    def lose(event: Event) -> None:
        if isinstance(event, LogLines) and event.rank == 1:
            labs.break_host(lab.name, "h2", fault)

    with pytest.raises(GangFailed) as caught:
        stage.launch(stage.plan(env={"REHEARSAL_LOAD": "60"}), lose)
    assert "h2" in caught.value.left
    assert "not confirmed stopped" in caught.value.what
    assert (
        stage.sh("h1", f"pgrep -fa '[e]ngine.py'; cat /var/lib/r1fleet/{NAME}/lock/owner.json 2>/dev/null; true") == ""
    )
    report = stage.status()
    assert [(host.host, host.state) for host in report.hosts] == [("h1", "ok"), ("h2", "unreachable")]
    assert (report.deployments[0].state, report.exit_code) == ("failed", ExitCode.UNREACHABLE)

    labs.heal_host(lab.name, "h2")
    assert stage.stop().left == {}
    assert stage.traces() == ""
    stage.transport.close()


def test_findings_of_all_hosts_come_together_and_nothing_is_changed(stage: Stage) -> None:
    with pytest.raises(PreflightFailed) as caught:
        stage.launch(stage.plan(model_path="/nowhere/tiny", user="absent"))
    assert "h1, h2: /nowhere/tiny is not there" in caught.value.what
    assert "h1, h2: there is no user absent" in caught.value.what
    for host in ("h1", "h2"):
        assert stage.sh(host, f"ls -d /var/lib/r1fleet/{NAME} || true") == ""
    assert "r1fleet provision" in str(caught.value)


def test_a_taken_port_names_its_holder(stage: Stage) -> None:
    stage.sh("h1", f"systemd-run -q --unit=taker python3 -m http.server {PORT} --directory /tmp")
    try:
        stage.sh("h1", f"until ss -ltnH 'sport = :{PORT}' | grep -q .; do sleep 0.05; done")
        with pytest.raises(PreflightFailed, match=rf"h1: port {PORT} \(endpoint\) is taken by pid \d+ \(.*http.server"):
            stage.launch(stage.plan())
    finally:
        stage.sh("h1", "systemctl stop taker")


def test_hosts_whose_models_differ_are_refused(stage: Stage) -> None:
    stage.sh("h2", f"echo other > {MODEL}/.r1fleet-manifest.json")
    try:
        with pytest.raises(PreflightFailed, match=r"the model's manifest: none, not|not none as on"):
            stage.launch(stage.plan())
    finally:
        stage.sh("h2", f"rm {MODEL}/.r1fleet-manifest.json")


def test_a_held_lock_names_its_owner_and_can_be_released(stage: Stage) -> None:
    with Contact(stage.access, stage.hosts.values()) as contact:
        Lock(contact, "h1", NAME, "launch", "ann@elsewhere").acquire(1)
    with pytest.raises(LockHeld, match="ann@elsewhere") as caught:
        stage.launch(stage.plan())
    assert f"r1fleet lock release {NAME}" in str(caught.value)
    assert caught.value.exit_code is ExitCode.LOCKED
    assert stage.traces() == ""

    assert [lock.by for lock in lock_release(stage.hosts.values(), stage.access)] == ["ann@elsewhere"]
    assert stage.launch(stage.plan()).state == "ready"


def test_another_plan_shows_its_difference_and_replaces_only_when_told(stage: Stage) -> None:
    stage.launch(stage.plan(env={"COLOUR": "red"}))
    other = stage.plan(env={"COLOUR": "blue"})
    with pytest.raises(UsageError) as caught:
        stage.launch(other)
    assert "-    COLOUR=red" in caught.value.what
    assert "+    COLOUR=blue" in caught.value.what
    assert stage.status().deployments[0].generation == 1

    result = stage.launch(other, replace=True)
    assert (result.state, result.generation) == ("ready", 2)
    result = restart(other, stage.access, stage.events.append, LaunchOptions(hosts=stage.hosts, interval=0.1))
    assert (result.state, result.generation) == ("ready", 3)


def test_an_api_key_reaches_the_ranks_and_the_judge_and_no_other_eye(stage: Stage) -> None:
    key = "s3cr'et $HOME"
    result = stage.launch(stage.plan(api_key=True), api_key=key)
    assert result.state == "ready"
    assert stage.status(probe=True).deployments[0].probes[0].ok
    assert ask(stage.hosts.values(), stage.access, AskOptions("hello?")).text == "hello from the rehearsal"
    for host in stage.hosts:
        readable = f"runuser -u nobody -- grep -rls 's3c[r]' /var/lib/r1fleet/{NAME}"
        processes = "cat /proc/[0-9]*/cmdline | grep -c 's3c[r]'"
        units = f"systemctl cat 'r1fleet-{NAME}-*'; systemctl show 'r1fleet-{NAME}-*'; journalctl --no-pager -b"
        kept = f"find /var/lib/r1fleet/{NAME} /run/systemd/transient -type f ! -name '*.secrets' -exec cat {{}} +"
        environ = "runuser -u nobody -- cat /proc/[0-9]*/environ 2>/dev/null"
        told = f"{{ {units}; {kept}; {environ}; }} | grep -ac 's3c[r]'"
        assert stage.sh(host, f"{readable}; {processes}; {told}; true") == "0\n0"
        modes = stage.sh(host, f"find /var/lib/r1fleet/{NAME} -name '*.secrets' -printf '%m %u'")
        assert modes == "400 lab"


CONTROLLER = """
import sys
from r1fleet.events import Step
from r1fleet.lab import find
from tests.lab.stages import Stage
stage = Stage(find(sys.argv[1]))
def tell(event):
    if isinstance(event, Step) and (event.name, event.state) == ("start", "done"):
        print("started", flush=True)
print(stage.launch(stage.plan(env={"REHEARSAL_LOAD": "3"}), tell).state, flush=True)
"""


def _controller(stage: Stage) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-c", CONTROLLER, stage.lab.name]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)


def test_a_killed_controller_leaves_a_gang_that_becomes_ready_for_any_other(stage: Stage) -> None:
    with _controller(stage) as controller:
        assert controller.stdout is not None
        assert controller.stdout.readline() == "started\n"
        controller.kill()
    assert stage.status().deployments[0].state == "starting"

    stage.sh("h1", f"until [ -e /var/lib/r1fleet/{NAME}/generations/1/verdict-0/ready.json ]; do sleep 0.05; done")
    row = stage.status().deployments[0]
    assert (row.state, row.sample, row.lock) == ("ready", "hello from the rehearsal", "")
    assert stage.stop().exit_code is ExitCode.OK
    assert stage.traces() == ""


def test_ctrl_c_after_the_start_detaches_and_the_same_launch_joins_again(stage: Stage) -> None:
    with _controller(stage) as controller:
        assert controller.stdout is not None
        assert controller.stdout.readline() == "started\n"
        controller.send_signal(signal.SIGINT)
        assert controller.stdout.read() == "interrupted\n"
    result = stage.launch(stage.plan(env={"REHEARSAL_LOAD": "3"}))
    assert (result.state, result.generation) in [("ready", 1), ("already ready", 1)]


def test_logs_are_tailed_by_rank_and_a_wrong_rank_is_refused(stage: Stage) -> None:
    stage.launch(stage.plan())
    stage.events.clear()
    logs(stage.hosts.values(), stage.access, stage.events.append, LogOptions(NAME, ranks=(1,), lines=1))
    assert stage.events == [LogSources(NAME, 1, ((0, 1, "h2"),)), LogLines(NAME, 1, "h2", ("all 2 ranks have met",))]
    with pytest.raises(UsageError, match="no rank 7"):
        logs(stage.hosts.values(), stage.access, stage.events.append, LogOptions(NAME, ranks=(7,)))


def test_a_plan_of_one_host_needs_no_rendezvous(stage: Stage) -> None:
    plan = rehearsal([("h1", stage.hosts["h1"].address)])
    assert stage.launch(plan).state == "ready"
    assert len(stage.status().deployments[0].ranks) == 1


def test_a_dead_rank_of_a_ready_gang_is_degraded_and_a_gang_of_dead_ranks_has_failed(stage: Stage) -> None:
    deaf = stage.plan(env={"REHEARSAL_DEAF": "1"})
    stage.launch(deaf)
    stage.sh("h2", f"systemctl kill -s KILL r1fleet-{NAME}-0-1")
    report = stage.status()
    row = report.deployments[0]
    assert (row.state, row.ranks[1].state, report.exit_code) == ("degraded", "failed", ExitCode.HOST_FAILED)
    with pytest.raises(UsageError, match="is degraded with this very plan"):
        stage.launch(deaf)

    stage.sh("h1", f"systemctl kill -s KILL r1fleet-{NAME}-0-0")
    assert stage.status().deployments[0].state == "failed"
    assert stage.launch(deaf).generation == 2


def test_the_plan_on_the_host_outlives_its_inventory(stage: Stage) -> None:
    stage.launch(stage.plan())
    only_leader = {"h1": stage.hosts["h1"]}
    report = stop(only_leader.values(), stage.access, stage.events.append, NAME)
    assert report.left == {"h2": "it is not in this inventory"}
    assert report.exit_code is ExitCode.UNREACHABLE
    assert replace(stage.stop(), stopped=()).left == {}
