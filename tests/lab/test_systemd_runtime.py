"""The systemd runtime on a real host: what it starts, what it says of it, and that nothing is left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from r1fleet.command import Command, cmd
from r1fleet.lab import Lab
from r1fleet.runtimes import Process, ProcessState, Systemd, secrets_text
from tests.lab.reach import ask

SYSTEMD = Systemd()
FOLDER = "/var/lib/r1fleet/systemd-test"
NAME = "r1fleet-systemd-test-0-0"


class Host:
    """One lab host, as root."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._name = lab.hosts[0].name

    def sh(self, script: str, stdin: str = "") -> str:
        return self.run(cmd("sh", "-c", script), stdin)[1]

    def run(self, command: Command, stdin: str = "") -> tuple[int, str]:
        done = ask(self._lab, self._name, f"sudo -n {command.shell()}", stdin=stdin)
        return done.returncode, done.stdout

    def write(self, path: str, content: str, mode: int) -> None:
        self.sh(f"umask 077; cat >{path}; chmod {mode:o} {path}; chown nobody {path}", content)

    def start(self, process: Process) -> int:
        self.sh(f"mkdir -p {FOLDER}/logs; rm -f {process.exit_record}")
        for file in SYSTEMD.files(process):
            self.write(file.path, file.content, file.mode)
        return self.run(SYSTEMD.start(process))[0]

    def stop(self, process: Process) -> int:
        return self.run(SYSTEMD.stop(process))[0]

    def state(self, process: Process) -> ProcessState:
        return SYSTEMD.parse(self.run(SYSTEMD.inspect(process))[1])

    def end(self, process: Process) -> ProcessState:
        """Look until the process has ended."""
        while (state := self.state(process)).state == "running":
            pass
        return state


@pytest.fixture
def host(lab: Lab) -> Iterator[Host]:
    made = Host(lab)
    yield made
    made.stop(script("true"))
    made.sh(f"rm -rf {FOLDER}")


def script(text: str) -> Process:
    return Process(
        name=NAME,
        command=cmd("sh", "-c", text, "engine", env={"GREETING": "it's  here"}),
        user="nobody",
        directory=FOLDER,
        log=f"{FOLDER}/logs/{NAME}.log",
        exit_record=f"{FOLDER}/{NAME}.exit",
        stop_seconds=20,
    )


def test_a_service_runs_as_its_user_with_environment_and_secrets(host: Host) -> None:
    engine = replace(script('echo "$GREETING|$KEY|$(id -un)"; exec sleep 1000'), secrets=f"{FOLDER}/secrets")
    host.sh(f"mkdir -p {FOLDER}")
    host.write(f"{FOLDER}/secrets", secrets_text({"KEY": "a'$(id)b"}), 0o400)

    assert host.start(engine) == 0
    state = host.state(engine)

    assert state.state == "running"
    assert host.sh(f"tail -n1 --retry -f {engine.log} | head -n1").strip() == "it's  here|a'$(id)b|nobody"
    assert "KEY" not in host.sh(f"systemctl cat {NAME}; systemctl show {NAME}")


def test_a_name_can_be_taken_only_once(host: Host) -> None:
    engine = script("exec sleep 1000")

    assert host.start(engine) == 0
    assert host.start(engine) != 0


def test_stopping_ends_the_whole_cgroup_and_frees_the_name(host: Host) -> None:
    engine = script("sleep 4321 & setsid sleep 4321 & exec sleep 4321")
    host.start(engine)

    assert host.stop(engine) == 0

    assert host.sh("pgrep -fx 'sleep 4321'") == ""
    assert host.state(engine) == ProcessState("exited", 143)
    assert host.start(engine) == 0


def test_a_process_that_ignores_sigterm_is_killed_when_its_time_is_up(host: Host) -> None:
    engine = replace(script("trap '' TERM; while :; do sleep 1; done"), stop_seconds=1)
    host.start(engine)

    assert host.stop(engine) == 0
    assert host.state(engine) == ProcessState("failed", 137)


@pytest.mark.parametrize(
    ("text", "state", "status"),
    [("exit 7", "failed", 7), ("kill -9 $$", "failed", 137), ("exit 0", "exited", 0)],
)
def test_how_a_process_ended_is_told_before_and_after_its_unit_is_gone(
    host: Host, text: str, state: str, status: int
) -> None:
    engine = script(text)
    host.start(engine)

    before = host.end(engine)
    host.stop(engine)
    after = host.state(engine)

    assert [(one.state, one.status) for one in (before, after)] == [(state, status)] * 2


def test_what_never_was_is_absent_and_stopping_it_is_no_error(host: Host) -> None:
    assert host.stop(script("true")) == 0
    assert host.state(script("true")) == ProcessState("absent")


def test_a_program_that_is_not_there_fails_with_its_name_in_the_log(host: Host) -> None:
    engine = replace(script("true"), command=cmd("/nowhere/bin/vllm", "serve"))
    host.start(engine)

    assert host.end(engine).state == "failed"
    assert "/nowhere/bin/vllm" in host.sh(f"cat {engine.log}")
