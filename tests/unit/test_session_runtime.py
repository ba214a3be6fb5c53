"""The runtime of hosts without systemd, with real process trees on this machine; nothing of them may be left."""

from __future__ import annotations

import getpass
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from r1fleet.command import Command, cmd
from r1fleet.runtimes import Process, ProcessState, Session, secrets_text

SESSION = Session()
NAME = f"r1fleet-session-test-{os.getpid()}-0"
NAP = f"sleep 4{os.getpid()}"

# It forgets its environment, leaves its session and its parent, and does not care for SIGTERM.
STUBBORN = f"env -i setsid sh -c \"trap '' TERM; {NAP} & {NAP}; {NAP}\" & sleep 0.2; "


class Host:
    """This machine, as a host that has nothing but Python."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "logs").mkdir()

    def script(self, text: str, **changes: object) -> Process:
        plain = Process(
            name=NAME,
            command=cmd("sh", "-c", text, "engine", env={"GREETING": "it's  here"}),
            user=getpass.getuser(),
            directory=str(self.folder),
            log=f"{self.folder}/logs/{NAME}.log",
            exit_record=f"{self.folder}/{NAME}.exit",
            stop_seconds=1,
        )
        return replace(plain, **changes)  # type: ignore[arg-type]

    def run(self, command: Command) -> tuple[int, str]:
        done = subprocess.run(command.argv, capture_output=True, text=True, timeout=30, check=False)
        return done.returncode, done.stdout + done.stderr

    def start(self, process: Process) -> tuple[int, str]:
        for file in SESSION.files(process):
            path = Path(file.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.content)
            path.chmod(file.mode)
        return self.run(SESSION.start(process))

    def stop(self, process: Process) -> int:
        return self.run(SESSION.stop(process))[0]

    def state(self, process: Process) -> ProcessState:
        return SESSION.parse(self.run(SESSION.inspect(process))[1])

    def end(self, process: Process) -> ProcessState:
        """Look until the process has ended."""
        wait(lambda: self.state(process).state != "running")
        return self.state(process)


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def naps() -> list[int]:
    """List this test's own sleepers, wherever they are."""
    found = subprocess.run(["pgrep", "-fx", NAP], capture_output=True, text=True, check=False).stdout
    return [int(word) for word in found.split()]


def keepers() -> list[int]:
    found = subprocess.run(["pgrep", "-f", f"session keep .*{NAME}"], capture_output=True, text=True, check=False)
    return [int(word) for word in found.stdout.split()]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.stop(made.script("true"))
    for pid in naps():
        os.kill(pid, 9)


def test_a_session_has_its_environment_secrets_and_limits(host: Host) -> None:
    secrets = host.folder / "secrets"
    secrets.write_text(secrets_text({"KEY": "a'$(id)b"}))
    text = f'echo "$GREETING|$KEY|$(id -un)|$(ulimit -n)|$R1FLEET_UNIT"; exec {NAP}'
    engine = host.script(text, secrets=str(secrets), limits=(("nofile", "234"),))

    assert host.start(engine) == (0, "")
    wait(lambda: bool(naps()))

    state = host.state(engine)
    assert (state.state, [state.pid]) == ("running", naps())
    assert Path(engine.log).read_text() == f"it's  here|a'$(id)b|{getpass.getuser()}|234|{NAME}\n"
    (keeper,) = keepers()
    for file in ("environ", "cmdline"):
        assert b"$(id)b" not in Path(f"/proc/{keeper}/{file}").read_bytes()


def test_a_name_can_be_taken_only_once(host: Host) -> None:
    engine = host.script(f"exec {NAP}")
    host.start(engine)

    code, told = host.start(engine)

    assert (code, told) == (1, f"{NAME} runs already\n")
    assert len(keepers()) == 1


def test_stopping_ends_all_that_came_of_it_wherever_it_went(host: Host) -> None:
    engine = host.script(STUBBORN + f"exec {NAP}")
    host.start(engine)
    wait(lambda: len(naps()) == 3)

    assert host.stop(engine) == 0

    assert (naps(), keepers()) == ([], [])
    assert host.state(engine) == ProcessState("exited", 143)
    assert host.stop(engine) == 0


def test_what_a_killed_keeper_has_left_is_found_by_its_mark(host: Host) -> None:
    engine = host.script(f"setsid {NAP} & env -i {NAP} & exec {NAP}")
    host.start(engine)
    wait(lambda: len(naps()) == 3)
    (keeper,) = keepers()
    os.kill(keeper, 9)

    assert host.state(engine).state == "absent"
    assert host.stop(engine) == 0
    assert naps() == []


@pytest.mark.parametrize(
    ("text", "state", "status"),
    [("exit 7", "failed", 7), ("kill -9 $$", "failed", 137), (f"{STUBBORN} exit 0", "exited", 0)],
    ids=["failed", "killed", "stubborn"],
)
def test_how_a_process_ended_is_told_and_what_it_left_is_ended(host: Host, text: str, state: str, status: int) -> None:
    engine = host.script(text)
    host.start(engine)

    ended = host.end(engine)

    assert (ended.state, ended.status) == (state, status)
    wait(lambda: not naps() and not keepers())


def test_a_number_that_another_process_has_by_now_is_not_touched(host: Host) -> None:
    engine = host.script(f"exec {NAP}")
    host.start(engine)
    host.stop(engine)
    Path(engine.exit_record).unlink()
    with subprocess.Popen(NAP.split()) as other:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        kept = f'{{"pid": {other.pid}, "start": "1", "boot_id": "{boot}", "child": 4194304, "since": ""}}'
        (host.folder / f"{NAME}.pid").write_text(kept)

        assert host.state(engine).state == "absent"
        assert host.stop(engine) == 0

        assert naps() == [other.pid]
        other.kill()


def test_a_failure_is_tried_again_as_often_as_was_asked(host: Host) -> None:
    engine = host.script(f"echo begun >>{host.folder}/times; exit 3", restarts=1)
    host.start(engine)

    wait(lambda: not keepers())

    assert host.state(engine) == ProcessState("failed", 3)
    assert (host.folder / "times").read_text() == "begun\nbegun\n"


def test_a_user_that_does_not_exist_starts_nothing(host: Host) -> None:
    assert host.start(host.script(f"exec {NAP}", user="nosuchuser")) == (
        1,
        "there is no user nosuchuser on this host\n",
    )
    assert (naps(), keepers()) == ([], [])
