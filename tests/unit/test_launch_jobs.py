"""A job starts as a gang, is done when every rank has ended with 0, and may be typed into."""

from __future__ import annotations

import os
import pty
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from r1fleet.agent.context import Context
from r1fleet.cli.terminal import Typed
from r1fleet.errors import ExitCode, SpecError, UsageError
from r1fleet.events import Note, Output, RankState
from r1fleet.inventory import Inventory
from r1fleet.launch import GangFailed
from r1fleet.launch.plan import Plan, startable
from r1fleet.modules import fleet_attach
from r1fleet.spec import Job
from r1fleet.status import StatusOptions, status
from tests.fleets import FakeHost
from tests.unit.test_launch import NAME, Run, plan_for, press_ctrl_c, unit

BATCH = Job(prompts=("Hello", "And you?"))
CHAT = Job()


class Person:
    """Types what it was given, then nothing more; ends where told so."""

    def __init__(self, *said: str | None) -> None:
        self.said = list(said)

    def read(self, seconds: float) -> str | None:
        time.sleep(seconds)
        return self.said.pop(0) if self.said else ""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("r1fleet.launch.watch.SETTLE", 0)
    monkeypatch.setattr("r1fleet.launch.attach.TICK", 0.01)
    return Run()


def job(what: Job = BATCH, **more: Any) -> Plan:
    return plan_for("a", "b", job=what, **more)


def end_all(run: Run) -> None:
    """Let both ranks end well, as soon as both run."""

    def end(host: FakeHost) -> None:
        if all(unit(rank) in run.fleet[name].units for rank, name in enumerate("ab")):
            run.fleet["a"].said = '{"text": "hi"}\n'
            for rank, name in enumerate("ab"):
                run.fleet[name].end(unit(rank), 0)

    run.fleet["a"].look = end


def press_once_it_speaks(run: Run) -> None:
    pressed: list[str] = []

    def press(host: FakeHost) -> None:
        if run.told(Output) and not pressed:
            pressed.append(host.name)
            press_ctrl_c()

    run.fleet["a"].look = press


def states(run: Run) -> list[tuple[str, list[str]]]:
    inventory = Inventory("lab", None, run.fleet.hosts, {})
    report = status([inventory], run.fleet.access, StatusOptions())
    return [(row.state, [rank.state for rank in row.ranks]) for row in report.deployments]


def test_a_job_is_done_when_every_rank_has_ended_with_0_and_its_output_is_shown_and_kept(run: Run) -> None:
    end_all(run)
    result = run.launch(job())

    assert (result.state, result.exit_code) == ("done", ExitCode.OK)
    assert "".join(event.text for event in run.told(Output)) == '{"text": "hi"}\n'
    assert result.outputs == (f"a:/var/lib/r1fleet/{NAME}/generations/1/logs/{unit(0)}.out",)
    assert [event.state for event in run.told(RankState) if event.rank == 1][-1] == "done"
    assert states(run) == [("done", ["done", "done"])]
    assert [entry["what"] for entry in run.fleet["b"].folders[NAME]["journal"]] == ["launch", "done"]


def test_a_done_job_launched_again_runs_again(run: Run) -> None:
    end_all(run)
    run.launch(job())
    for host in run.fleet.fakes.values():
        host.units.clear()
    assert (run.launch(job()).state, run.fleet["a"].current()["generation"]) == ("done", 2)


def test_a_job_that_is_done_before_its_ranks_were_seen_to_meet_is_done_and_its_judge_is_ended(run: Run) -> None:
    end_all(run)
    end = run.fleet["a"].look

    def too_fast(host: FakeHost) -> None:
        end(host)
        host.verdict = {"failed": {"what": "no connection from 10.0.0.2", "phase": "rendezvous"}}

    run.fleet["b"].look = lambda host: too_fast(run.fleet["a"]) if unit(0) in run.fleet["a"].units else None
    run.fleet["a"].look = lambda host: None
    assert run.launch(job()).state == "done"
    assert run.fleet["a"].running() == []
    assert states(run) == [("done", ["done", "done"])]


def test_one_rank_that_ends_early_and_well_is_not_the_end(run: Run) -> None:
    def first(host: FakeHost) -> None:
        if unit(1) in host.running() and run.fleet["a"].running():
            host.end(unit(1), 0)

    run.fleet["b"].look = first
    run.launch(job(), detach=True)
    run.fleet["a"].verdict = {"progress": {"phase": "running"}}
    assert states(run) == [("running", ["running", "done"])]


def test_a_rank_of_a_job_that_fails_is_named_and_the_others_are_stopped(run: Run) -> None:
    def die(host: FakeHost) -> None:
        if unit(1) in host.running() and run.fleet["a"].running():
            host.end(unit(1), 1, "AssertionError: too many prompts")

    run.fleet["b"].look = die
    with pytest.raises(GangFailed, match=r"(?s)rank 1 ended with status 1.*too many prompts"):
        run.launch(job())
    assert run.nothing_runs()
    assert states(run)[0][0] == "failed"


def test_what_is_typed_reaches_rank_0_and_ctrl_d_says_goodbye(run: Run) -> None:
    person = Person("hel", "lo\n", None)

    def leave(host: FakeHost) -> None:
        if "/exit\n" in "".join(host.typed):
            for rank, name in enumerate("ab"):
                run.fleet[name].end(unit(rank), 0)

    run.fleet["a"].look = leave
    assert run.launch(job(CHAT), terminal=person).state == "done"
    assert "".join(run.fleet["a"].typed) == "hello\n/exit\n"
    assert run.fleet["b"].typed == []
    fifos = [row for row in run.fleet["a"].folders[NAME].values() if isinstance(row, dict) and row.get("fifo")]
    assert [(row["path"].rpartition("/")[2], row["mode"], row["owner"]) for row in fifos] == [
        (f"{unit(0)}.in", 0o600, "lab")
    ]


def test_ctrl_c_at_the_terminal_of_a_job_stops_it(run: Run) -> None:
    press_once_it_speaks(run)
    run.fleet["a"].said = ">>> "
    result = run.launch(job(CHAT), terminal=Person())

    assert (result.state, result.exit_code, result.detail) == (
        "interrupted", ExitCode.INTERRUPTED, "the job has been stopped",
    )  # fmt: skip
    assert run.nothing_runs()
    assert states(run)[0][0] == "stopped"


def test_ctrl_c_leaves_a_job_that_reads_a_file_and_another_launch_follows_it_from_its_beginning(run: Run) -> None:
    run.fleet["a"].said = "first\n"
    press_once_it_speaks(run)
    assert run.launch(job()).state == "interrupted"
    assert run.fleet["a"].running() == [unit(0), unit("ready")]

    run.events.clear()
    run.fleet["a"].verdict = {"progress": {"phase": "running"}}
    run.fleet["a"].look = lambda host: None
    run.fleet["b"].look = lambda host: end_all(run)
    assert run.launch(job()).state == "done"
    assert run.told(Output)[0].text == "first\n"
    assert any("already running" in note.text for note in run.told(Note))


@pytest.mark.parametrize(
    ("plan", "attached", "said"),
    [
        (job(CHAT), False, "asks a person what to generate"),
        (job(BATCH), True, "nobody types"),
        (plan_for("a"), True, "is a service"),
    ],
)
def test_a_terminal_is_for_jobs_that_ask_and_only_for_them(plan: Plan, attached: bool, said: str) -> None:
    with pytest.raises((UsageError, SpecError), match=said):
        startable(plan, attached=attached)


# --- on the host ------------------------------------------------------------------------------------


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    path = tmp_path / "in"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDWR)
    yield path, reader
    os.close(reader)


def attach(**args: Any) -> dict[str, Any]:
    filled = {"offset": 0, "stdin": "", "typed": "", **args}
    return fleet_attach.run(Context(filled))


def test_a_fifo_takes_a_line_whole_or_not_at_all(fifo: tuple[Path, int], tmp_path: Path) -> None:
    path, reader = fifo
    out = str(tmp_path / "none")
    assert attach(output=out, stdin=str(path), typed="häll\n")["taken"] is True
    assert os.read(reader, 100) == "häll\n".encode()
    while attach(output=out, stdin=str(path), typed="x" * 4000)["taken"]:
        pass
    assert len(os.read(reader, 1 << 20)) % 4000 == 0


def test_nobody_who_reads_takes_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "in")
    answer = attach(output=str(tmp_path / "none"), stdin=str(tmp_path / "in"), typed="hello\n")
    assert (answer["taken"], answer["text"], answer["changed"]) == (False, "", False)


def test_output_is_told_from_an_offset_and_never_half_a_character(tmp_path: Path) -> None:
    out = tmp_path / "out"
    raw = ">>> grüß".encode()
    out.write_bytes(raw[:-1])
    first = attach(output=str(out))
    assert first["text"] == ">>> grü"
    out.write_bytes(raw + b"\xff!")
    assert attach(output=str(out), offset=first["offset"])["text"].startswith("ß")


def test_a_terminal_is_read_as_it_comes_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r") as end:
        monkeypatch.setattr(sys, "stdin", end)
        typed = Typed()
        assert typed.read(0.01) == ""
        os.write(ours, "hä\n".encode())
        assert typed.read(5) == "hä\n"
        os.write(ours, b"\x04")
        assert typed.read(5) is None
    os.close(ours)
