"""What a user does with a launched gang, by the command line: ask, talk, read its logs, look at it.

The ranks run on two lab hosts; the engine is the rehearsal's (see rehearsal_engine.py).
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from r1fleet.lab import Lab
from tests.lab.reach import controller, r1fleet
from tests.lab.stages import NAME, Stage
from tests.terminal import Terminal

HELLO = "hello from the rehearsal"


@pytest.fixture(scope="module")
def gang(equipped: Lab) -> Iterator[Stage]:
    """A ready gang whose endpoint wants a key."""
    stage = Stage(equipped)
    stage.launch(stage.plan(api_key=True, env={"REHEARSAL_PACE": "0.02"}), api_key="a key")
    yield stage
    stage.stop()
    stage.transport.close()
    for host in stage.hosts:
        stage.sh(host, f"rm -rf /var/lib/r1fleet/{NAME}")


def run(gang: Stage, *argv: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return r1fleet(*argv, "-i", str(gang.lab.inventory), stdin=stdin)


def at_terminal(gang: Stage, *argv: str) -> Terminal:
    return Terminal(*argv, "-i", str(gang.lab.inventory))


def test_a_question_is_answered_by_the_leader_who_has_the_key(gang: Stage) -> None:
    asked = run(gang, "ask", "hello?")
    assert (asked.returncode, asked.stdout) == (0, f"{HELLO}\n")
    assert "127.0.0.1:18000 on h1" in asked.stderr


def test_what_the_model_thinks_is_kept_out_of_a_pipe(gang: Stage) -> None:
    asked = run(gang, "ask", "-", stdin="please think\nabout it\n")
    assert asked.stdout == f"{HELLO}\n"
    assert asked.stderr.startswith("thinking: let me see\n\n")


def test_at_a_terminal_one_talks_stops_an_answer_and_leaves(gang: Stage) -> None:
    with at_terminal(gang, "ask") as chat:
        chat.until(">>> ")
        chat.type("hello\n")
        assert HELLO in chat.until(">>> ")
        chat.type("count\n")
        chat.until("5 6 7 ")
        chat.interrupt()
        chat.until("stopped\n")
        chat.until(">>> ")
        chat.type("half a line")
        chat.until("half a line")
        time.sleep(0.5)  # readline must wait for keys again, or it hears of the signal with the next one
        chat.interrupt()
        chat.until(">>> ")
        chat.type("and again\n")
        assert "you began with: hello" in chat.until(">>> ")
        chat.type("\x04")
        assert chat.end() == 0
        assert "Traceback" not in chat.seen
    gang.sh(
        "h1", f"until grep -q 'the client has gone' /var/lib/r1fleet/{NAME}/generations/1/logs/*; do sleep 0.1; done"
    )


def test_logs_are_led_by_host_and_rank_where_there_are_several(gang: Stage) -> None:
    both = run(gang, "logs").stdout.splitlines()
    assert both[:2] == ["(h1, rank 0) rank 0 begins", "(h1, rank 0) all 2 ranks have met"]
    assert "(h2, rank 1) all 2 ranks have met" in both
    one = run(gang, "logs", "--rank", "1", "--since", "1h", "-n", "1")
    assert one.stdout == "all 2 ranks have met\n"
    assert "h2: rank 1: its log has no times" in one.stderr


def test_status_shows_what_was_seen_and_tells_clients_how_to_ask_without_the_key(gang: Stage) -> None:
    (row,) = json.loads(run(gang, "status", "--json", "--probe").stdout)["deployments"]
    assert (row["state"], row["declared"], row["api_key"]) == ("ready", False, {"env": "KEY"})
    assert [gang["completion_age"] for gang in row["gangs"]] == [0.0]
    (row,) = json.loads(run(gang, "status", "--json").stdout)["deployments"]
    assert 0 < row["gangs"][0]["completion_age"] < 60
    said = run(gang, "status", "--urls").stdout
    assert '-H "Authorization: Bearer ${KEY}"' in said
    assert "a key" not in said


def test_watching_redraws_a_terminal_and_follows_in_a_pipe_until_ctrl_c(gang: Stage) -> None:
    with at_terminal(gang, "status", "--watch", "--interval", "0.2") as watching:
        watching.until("Ctrl-C leaves")
        watching.until("ready")
        watching.until("Ctrl-C leaves")
        watching.interrupt()
        assert watching.end() == 0
        assert watching.seen.rstrip().endswith("\x1b[?25h")
        assert "Traceback" not in watching.seen
    with controller("status", "-w", "--json", "--interval", "0.2", "-i", str(gang.lab.inventory)) as piped:
        assert piped.stdout is not None
        states = [json.loads(piped.stdout.readline())["deployments"][0]["state"] for _ in range(2)]
        piped.send_signal(signal.SIGINT)
        assert (states, piped.stdout.readlines()[1:], piped.wait(30)) == (["ready", "ready"], [], 0)


def test_followed_logs_survive_a_rotation_and_the_next_generation_and_end_with_ctrl_c(gang: Stage) -> None:
    log = f"/var/lib/r1fleet/{NAME}/generations/1/logs/r1fleet-{NAME}-0-1.log"
    with controller("logs", "-f", "--rank", "1", "-i", str(gang.lab.inventory)) as following:
        assert following.stdout is not None
        assert [following.stdout.readline() for _ in range(2)] == ["rank 1 begins\n", "all 2 ranks have met\n"]
        gang.sh("h2", f"echo before >>{log}; cp {log} {log}.1; : >{log}; echo after >>{log}")
        assert [following.stdout.readline() for _ in range(2)] == ["before\n", "after\n"]
        gang.sh("h2", f"mv {log} {log}.1; echo moved >{log}")
        assert following.stdout.readline() == "moved\n"

        gang.launch(gang.plan(env={"REHEARSAL_PACE": "0.02"}), replace=True)

        assert following.stdout.readline() == f"generation 2 of {NAME} has begun\n"
        assert [following.stdout.readline() for _ in range(2)] == ["rank 1 begins\n", "all 2 ranks have met\n"]
        following.send_signal(signal.SIGINT)
        assert following.stdout.read() == ""
        assert following.wait(30) == 0
    assert run(gang, "logs", "--previous", "--rank", "1").stdout == "moved\n"


def test_without_a_key_one_asks_straight_and_through_a_pipe_every_line_is_a_turn(gang: Stage) -> None:
    asked = run(gang, "ask", "--json", stdin="one\n\ntwo\n")
    turns = [json.loads(line) for line in asked.stdout.splitlines()]
    assert asked.returncode == 0
    assert [turn["text"] for turn in turns] == [HELLO, "you began with: one"]
    assert {turn["url"] for turn in turns} == {f"http://{gang.lab.host('h1').address}:18000"}
