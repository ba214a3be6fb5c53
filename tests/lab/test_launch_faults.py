"""What goes wrong around a launch, on real hosts; the engine is a rehearsal that behaves as vLLM was seen to.

Each ends tidy: no process, unit or lock is left, and the message names rank, host, first error and next step.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import yaml

from r1fleet.cli import main as cli
from r1fleet.errors import ExitCode, HostFailed, LockHeld, PreflightFailed
from r1fleet.events import Event, Output, Step
from r1fleet.lab import Lab
from r1fleet.launch import GangFailed, lock_release, lock_status
from r1fleet.spec import Job, Timeouts
from tests.gangs import MODEL, PORT
from tests.lab import boxed
from tests.lab.reach import ROOT, answer
from tests.lab.stages import NAME, VENV, Stage

OUTER = dict(os.environ)
STATE = f"/var/lib/r1fleet/{NAME}"


def at(name: str, state: str, act: Callable[[], object]) -> Callable[[Event], None]:
    """Act once, when a step of the launch has come to a state."""
    done: list[Event] = []

    def observe(event: Event) -> None:
        if isinstance(event, Step) and (event.name, event.state) == (name, state) and not done:
            done.append(event)
            act()

    return observe


def tidy(stage: Stage) -> bool:
    """Tell whether nothing of the gang is left: no unit, no process, no listening port, no lock."""
    return stage.traces() == "" and lock_status(stage.hosts.values(), stage.access) == ()


# --- between the plan and the start -----------------------------------------------------------------


def test_a_port_that_is_taken_between_the_check_and_the_start_is_the_ranks_own_first_error(stage: Stage) -> None:
    def take() -> None:
        stage.sh("h1", f"systemd-run -q --unit=taker python3 -m http.server {PORT} --directory /tmp")
        stage.sh("h1", f"until ss -ltnH 'sport = :{PORT}' | grep -q .; do sleep 0.05; done")

    try:
        with pytest.raises(GangFailed) as caught:
            stage.launch(stage.plan(), at("check", "done", take))
    finally:
        stage.sh("h1", "systemctl stop taker")
    assert (caught.value.failure.host, caught.value.failure.rank) == ("h1", 0)
    assert "Address already in use" in caught.value.failure.first_error
    assert f"r1fleet logs {NAME} --rank 0" in str(caught.value)
    assert tidy(stage)


def test_what_differs_between_hosts_or_lacks_on_one_is_named_with_its_hashes(stage: Stage) -> None:
    plan = stage.plan(venv=VENV)
    stage.sh("h1", f"echo one > {VENV}/r1fleet.json; mv {MODEL} {MODEL}.away")
    stage.sh("h2", f"echo two > {VENV}/r1fleet.json")
    try:
        with pytest.raises(PreflightFailed) as caught:
            stage.launch(plan)
    finally:
        stage.sh("h1", f"mv {MODEL}.away {MODEL}; rm {VENV}/r1fleet.json")
        stage.sh("h2", f"rm {VENV}/r1fleet.json")
    hashes = {text: stage.sh("h1", f"echo {text} | sha256sum")[:12] for text in ("one", "two")}
    assert f"h2: the engine's environment: {hashes['two']}, not {hashes['one']} as on h1" in caught.value.what
    assert f"h1: {MODEL} is not there" in caught.value.what
    assert caught.value.exit_code is ExitCode.PREFLIGHT
    assert tidy(stage)


def test_a_full_disk_on_one_host_starts_nothing_anywhere(stage: Stage) -> None:
    stage.sh("h2", f"mkdir -p {STATE} && mount -t tmpfs -o size=16k none {STATE}")
    try:
        with pytest.raises(HostFailed, match=f"(?s)h2: {STATE}.*No space left on device"):
            stage.launch(stage.plan(), force=frozenset({"room"}))
        assert tidy(stage)
        assert stage.status().deployments[0].state == "failed"
    finally:
        stage.sh("h2", f"umount {STATE}")


# --- ranks ------------------------------------------------------------------------------------------


def test_a_rank_killed_while_the_endpoint_does_not_answer_yet_is_named(stage: Stage) -> None:
    def kill(event: Event) -> None:
        if isinstance(event, Step) and event.name == "answering":
            stage.sh("h2", f"systemctl kill -s KILL r1fleet-{NAME}-0-1")

    plan = stage.plan(env={"REHEARSAL_NEVER_READY": "1", "REHEARSAL_DEAF": "1"})
    with pytest.raises(GangFailed, match="rank 1 ended with status 137") as caught:
        stage.launch(plan, kill)
    assert caught.value.failure.host == "h2"
    assert tidy(stage)


@pytest.mark.slow
def test_a_launcher_killed_after_readiness_takes_its_workers_along_and_the_gang_is_degraded(stage: Stage) -> None:
    stage.launch(stage.plan(env={"REHEARSAL_ORPHAN": "1", "REHEARSAL_DEAF": "1"}, stop_seconds=1))
    stage.sh("h2", f"systemctl kill --kill-who=main -s KILL r1fleet-{NAME}-0-1")
    stage.sh("h2", f"while systemctl is-active -q r1fleet-{NAME}-0-1; do sleep 0.1; done")
    stage.sh("h2", "for i in $(seq 50); do pgrep -f SIG_[I]GN || exit 0; sleep 0.1; done; exit 1")

    row = stage.status().deployments[0]
    assert (row.state, [rank.state for rank in row.ranks]) == ("degraded", ["ready", "failed"])
    assert stage.stop().exit_code is ExitCode.OK
    assert tidy(stage)


def test_a_rank_that_hangs_is_stopped_all_the_same(stage: Stage) -> None:
    stage.launch(stage.plan(env={"REHEARSAL_DEAF": "1"}, stop_seconds=1))
    stage.sh("h2", f"systemctl kill -s STOP r1fleet-{NAME}-0-1")
    assert stage.stop().left == {}
    assert tidy(stage)


def test_loading_that_takes_too_long_names_the_phase_and_what_to_do(stage: Stage) -> None:
    with pytest.raises(GangFailed, match=rf"nothing answers HTTP on port {PORT} within 1 s") as caught:
        stage.launch(stage.plan(env={"REHEARSAL_LOAD": "60"}, timeouts=Timeouts(rendezvous=30, load=1, ready=30)))
    assert "raise timeouts.load" in str(caught.value)
    assert tidy(stage)


# --- controllers ------------------------------------------------------------------------------------

CONTROLLER = """
import sys
from r1fleet.errors import FleetError
from r1fleet.events import RankState, Step
from r1fleet.lab import find
from tests.lab.stages import Stage
stage = Stage(find(sys.argv[1]))
def tell(event):
    name = event.name if isinstance(event, Step) and event.state == "done" else ""
    name = name or (event.state if isinstance(event, RankState) else "")
    if name in sys.argv[2:]:
        print(name, flush=True)
        sys.stdin.readline()
try:
    print(stage.launch(stage.plan(env={"REHEARSAL_LOAD": "1"}), tell).state, flush=True)
except FleetError as error:
    print(int(error.exit_code), flush=True)
"""


def other(stage: Stage, *pauses: str) -> subprocess.Popen[str]:
    """Start a controller of its own, which waits at each of ``pauses`` for a line."""
    argv = [sys.executable, "-c", CONTROLLER, stage.lab.name, *pauses]
    environment = {**OUTER, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_controller_killed_under_its_lock_leaves_what_another_sees_and_stops(stage: Stage) -> None:
    with other(stage, "starting") as killed:
        assert heard(killed) == "starting"
        killed.kill()

    row = stage.status().deployments[0]
    assert row.lock.endswith("on h1")
    with pytest.raises(LockHeld) as caught:
        stage.stop()
    assert f"process {killed.pid}, launch of generation 1" in caught.value.what
    assert "that process is gone" in caught.value.what
    assert caught.value.hint == f"r1fleet lock release {NAME}"

    assert [lock.owner for lock in lock_release(stage.hosts.values(), stage.access)] == ["gone"]
    assert stage.stop().left == {}
    assert tidy(stage)
    assert stage.launch(stage.plan()).generation == 2


def test_of_two_controllers_that_launch_at_once_one_starts_and_the_other_says_so(stage: Stage) -> None:
    with other(stage, "check") as first, other(stage, "check") as second:
        assert [heard(first), heard(second)] == ["check", "check"]
        for controller in (first, second):
            assert controller.stdin is not None
            controller.stdin.write("\n")
            controller.stdin.flush()
        said = sorted([heard(first), heard(second)])
    assert said == ["7", "ready"]
    assert stage.sh("h1", f"ls {STATE}/generations") == "1"


# --- jobs -------------------------------------------------------------------------------------------


def test_a_job_of_two_hosts_is_done_when_both_ranks_have_ended_and_its_output_is_kept(stage: Stage) -> None:
    plan = stage.plan(env={"REHEARSAL_JOB": "0", "REHEARSAL_DEAF": "1"}, job=Job(prompts=("one",)))
    result = stage.launch(plan)
    assert (result.state, result.exit_code) == ("done", ExitCode.OK)
    text = "".join(event.text for event in stage.events if isinstance(event, Output))
    assert text == "the answer\n"
    path = result.outputs[0].removeprefix("h1:")
    assert stage.sh("h1", f"cat {path}") + "\n" == text
    row = stage.status().deployments[0]
    assert (row.state, [rank.state for rank in row.ranks]) == ("done", ["done", "done"])
    assert tidy(stage)

    with pytest.raises(GangFailed, match="rank 1 ended with status 5") as caught:
        stage.launch(stage.plan(env={"REHEARSAL_JOB": "5", "REHEARSAL_DEAF": "1"}, job=Job(prompts=("one",))))
    assert caught.value.failure.host == "h2"
    assert tidy(stage)


@pytest.mark.slow
def test_a_job_in_containers_is_typed_into_and_its_output_is_kept(boxes: boxed.Stage) -> None:
    plan = boxes.plan(env={"REHEARSAL_JOB": "ask", "REHEARSAL_DEAF": "1"}, job=Job(), name="asked")
    try:
        result = boxes.launch(plan, terminal=Person("hel", "lo\n", None))
        assert result.state == "done"
        text = "".join(event.text for event in boxes.events if isinstance(event, Output))
        assert text == "you said hello\nthe answer\n"
        path = result.outputs[0].removeprefix("h1:")
        assert answer(boxes.lab, "h1", f"cat {path}", user="root") + "\n" == text
        assert boxes.states()["asked"] == "done"
        assert boxes.launch(plan, terminal=Person(None)).generation == 2
    finally:
        assert boxes.stop("asked").left == {}


class Person:
    """Types what it was given; None is its end."""

    def __init__(self, *said: str | None) -> None:
        self._said = list(said)

    def read(self, seconds: float) -> str | None:
        time.sleep(seconds)
        return self._said.pop(0) if self._said else ""


# --- by the command line, in a terminal -------------------------------------------------------------


class Project:
    """A folder whose inventory launches the rehearsal by vLLM's words."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self.folder = folder
        written: dict[str, Any] = yaml.safe_load(stage.lab.inventory.read_text())
        self.common = {
            "engine": "vllm",
            "accelerator": "cpu",
            "runtime": "venv",
            "venv": VENV,
            "model": "tiny",
            "model_path": MODEL,
            "served_model_name": "tiny",
            "hosts": "nodes",
            "tensor_parallel": 2,
            "user": "lab",
            "port": PORT,
            "rendezvous_port": 18500,
            "env": {"REHEARSAL_LOAD": "3"},
        }
        self.written = written
        written["all"]["children"]["leader"] = {"hosts": {"h1": {}}}
        self.deploy()
        self.inventory = folder / "site.yaml"

    def deploy(self, **more: object) -> None:
        body = {key: value for key, value in {**self.common, **more}.items() if value is not None}
        self.written["all"]["vars"]["deployments"] = {NAME: body}
        (self.folder / "site.yaml").write_text(yaml.safe_dump(self.written))

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run the command line in this process: hosts are real, a second is saved."""
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            code = cli.run([*argv, "-i", str(self.inventory)])
        return subprocess.CompletedProcess(argv, code, out.getvalue(), err.getvalue())

    def in_terminal(self, *argv: str, answers: list[tuple[str, bytes]]) -> tuple[int, str]:
        """Run in a terminal; each answer is typed once its words have come."""
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "r1fleet", *argv, "-i", str(self.inventory)]
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200"}
        waiting, text, deadline = list(answers), "", time.monotonic() + 60
        with subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT, env=environment, start_new_session=True,
            preexec_fn=_take_terminal,
        ) as running:  # fmt: skip
            while (running.poll() is None or select.select([ours], [], [], 0)[0]) and time.monotonic() < deadline:
                if select.select([ours], [], [], 0.2)[0]:
                    text += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", os.read(ours, 65536).decode("utf-8", "replace"))
                if waiting and waiting[0][0] in text:
                    os.write(ours, waiting.pop(0)[1])
            running.kill()
        os.close(ours)
        os.close(theirs)
        assert "Traceback" not in text, text
        return running.returncode, text


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def project(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("R1FLEET_CACHE", str(tmp_path / "cache"))
    return Project(stage, tmp_path)


@pytest.fixture(scope="module")
def seen(equipped: Lab) -> Iterator[Stage]:
    stage = Stage(equipped)
    yield stage
    assert tidy(stage)
    stage.transport.close()


@pytest.fixture
def untouched(seen: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose launches never come to a start."""
    monkeypatch.setenv("R1FLEET_CACHE", str(tmp_path / "cache"))
    return Project(seen, tmp_path)


def test_ctrl_c_in_a_terminal_before_all_ranks_run_rolls_back_and_afterwards_detaches(project: Project) -> None:
    code, text = project.in_terminal("launch", "--output", "plain", answers=[("running: stage", b"\x03")])
    assert (code, "rolled back" in text) == (ExitCode.INTERRUPTED, True), text
    assert tidy(project.stage)

    code, text = project.in_terminal("launch", "--output", "plain", answers=[("ranks run", b"\x03")])
    assert code == ExitCode.INTERRUPTED, text
    assert f"r1fleet status / logs {NAME} -f / stop {NAME}" in text
    assert "engine.py" in project.stage.traces()

    again = project.run("launch")
    assert (again.returncode, again.stdout.splitlines()[-1]) == (
        0, f"info: {NAME} is ready: http://{project.stage.hosts['h1'].address}:{PORT}/v1",
    )  # fmt: skip
    assert f"{NAME} is already ready" in project.run("launch").stdout


def test_a_job_is_typed_into_and_ends_with_ctrl_d_or_ctrl_c(project: Project) -> None:
    project.deploy(hosts="leader", tensor_parallel=1, port=None, served_model_name=None, job={}, env=None)
    code, text = project.in_terminal("launch", "--attach", answers=[(">>> ", b"hello\n"), ("you said hello", b"\x04")])
    assert (code, f"{NAME} is done" in text) == (0, True), text
    assert tidy(project.stage)

    code, text = project.in_terminal("launch", "--attach", answers=[(">>> ", b"\x03")])
    assert (code, "the job has been stopped" in text) == (ExitCode.INTERRUPTED, True), text
    assert tidy(project.stage)
    assert project.stage.status().deployments[0].state == "stopped"


def test_prompts_are_answered_and_a_dry_run_changes_nothing(project: Project) -> None:
    job = {"prompts": ["one", "two"]}
    project.deploy(hosts="leader", tensor_parallel=1, port=None, served_model_name=None, job=job, env=None)
    dry = project.run("launch", "--dry-run")
    assert (dry.returncode, f"would: h1: write {STATE}/generations/1/prompts.txt (0644)" in dry.stdout) == (0, True)
    assert "would: h1: run systemd-run" in dry.stdout
    assert project.stage.sh("h1", f"ls -d {STATE} || true") == ""
    assert not (project.folder / "cache").exists() or not list((project.folder / "cache").rglob("*known*"))

    done = project.run("launch")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "one!\ntwo!\n" in done.stdout


def test_replicas_and_another_deployment_run_side_by_side_on_the_same_hosts(project: Project) -> None:
    other = {**project.common, "port": 18100, "rendezvous_port": 18600, "env": {}}
    project.deploy(replicas=2, tensor_parallel=1, env=None)
    project.written["all"]["vars"]["deployments"]["second"] = other
    project.inventory.write_text(yaml.safe_dump(project.written))
    first, second = project.run("launch", NAME), project.run("launch", "second")
    try:
        assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
        addresses = [host.variables["ansible_host"] for host in project.stage.hosts.values()]
        assert [f"ready: {NAME}: tiny answers at http://{address}:{PORT}" in first.stdout for address in addresses] == [
            True, True,
        ]  # fmt: skip
        assert project.run("stop", NAME, "-y").returncode == 0
        units = f"systemctl list-units --all --plain --no-legend 'r1fleet-{NAME}-*'"
        assert [project.stage.sh(host, units) for host in project.stage.hosts] == ["", ""]
        assert [(row.name, row.state) for row in project.stage.status().deployments] == [
            (NAME, "stopped"), ("second", "ready"),
        ]  # fmt: skip
    finally:
        project.run("stop", "second", "-y")
        for host in project.stage.hosts:
            project.stage.sh(host, "rm -rf /var/lib/r1fleet/second")


# --- bad input, by the command line -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "argv", "code", "said"),
    [
        ({}, ["rehearsl"], 5, [f"no deployment rehearsl in site; did you mean {NAME}?", f"known: {NAME}"]),
        ({"user": "nobody-here"}, [], 6, ["h1, h2: there is no user nobody-here"]),
        ({"venv": "/opt/empty"}, [], 6, ["/opt/empty/bin/vllm is not there or cannot be run", "r1fleet provision"]),
        (
            {"engine": "lmdeploy", "accelerator": "nvidia", "machine": "1xH200", "api_key": {"env": "K"}},
            [],
            5,
            ["has an api_key, but LMDeploy", "leave api_key out"],
        ),
        ({}, ["--attach"], 5, [f"{NAME} is a service: it has no input", f"r1fleet ask -d {NAME}"]),
        ({}, ["--force", "nothing"], 5, ["there is no check 'nothing'"]),
    ],
    ids=["no such deployment", "no such user", "no engine", "no way for a key", "nothing to attach", "no such check"],
)
def test_what_cannot_be_launched_is_told_before_anything_starts(
    untouched: Project, more: dict[str, Any], argv: list[str], code: int, said: list[str]
) -> None:
    untouched.deploy(**more)
    ran = untouched.run("launch", *argv)
    assert ran.returncode == code, ran.stdout + ran.stderr
    for words in said:
        assert words in ran.stdout + ran.stderr


def test_a_stop_of_what_neither_inventory_nor_hosts_know_is_no_success(untouched: Project) -> None:
    untouched.deploy()
    ran = untouched.run("stop", "rehearsl", "-y")
    assert ran.returncode == ExitCode.USAGE
    assert f"no deployment rehearsl in site; did you mean {NAME}?" in ran.stderr
    known = untouched.run("stop", "-y")
    assert (known.returncode, f"nothing of {NAME} is running" in known.stdout) == (ExitCode.OK, True)


def test_hosts_in_use_by_another_deployment_are_refused(untouched: Project) -> None:
    untouched.written["all"]["vars"]["deployments"]["second"] = {**untouched.common}
    untouched.inventory.write_text(yaml.safe_dump(untouched.written))
    ran = untouched.run("launch", NAME)
    assert ran.returncode == ExitCode.USAGE
    assert f"port {PORT}" in ran.stderr
    assert "instead_of" in ran.stderr


def test_the_lock_of_a_controller_that_is_gone_is_shown_and_released(project: Project) -> None:
    with other(project.stage, "starting") as killed:
        assert heard(killed) == "starting"
        locked = project.run("launch")
        alive = project.run("lock", "release")
        killed.send_signal(signal.SIGKILL)
    assert (locked.returncode, f"process {killed.pid}" in locked.stderr) == (ExitCode.LOCKED, True)
    assert (alive.returncode, "needs a yes" in alive.stderr) == (ExitCode.USAGE, True)
    assert re.search(rf"{killed.pid} +gone", project.run("lock", "status").stdout)
    assert f"released {NAME} on h1" in project.run("lock", "release").stdout
    assert project.run("lock", "status").stdout == "no lock is held\n"
