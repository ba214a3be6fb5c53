"""command and shell: when they run, what they tell, and what reaches a program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.invoking import invoke, well


def test_a_command_tells_what_it_said(tmp_path: Path) -> None:
    reply = well("command", argv=["sh", "-c", "echo out; echo err >&2"], chdir=str(tmp_path))
    assert (reply["rc"], reply["stdout"], reply["stderr"], reply["changed"]) == (0, "out", "err", True)
    assert reply["stdout_lines"] == ["out"]
    assert reply["start"] < reply["end"]


def test_a_failing_command_fails() -> None:
    reply = invoke("shell", cmd="echo before; exit 3")
    assert (reply["failed"], reply["rc"], reply["msg"]) == (True, 3, "non-zero return code")
    assert reply["stdout"] == "before"


def test_words_are_words() -> None:
    odd = ["", "two words", "new\nline", "-n", "$HOME", "'\"", ";ls"]
    script = 'for word; do printf "<%s>" "$word"; done'
    reply = well("command", argv=["sh", "-c", script, "sh", *odd], expand_argument_vars=False)
    assert reply["stdout"] == "".join(f"<{word}>" for word in odd)


def test_variables_are_filled_in_without_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREETING", "a; b")
    assert well("command", cmd="echo $GREETING $UNSET_HERE")["stdout"] == "a; b $UNSET_HERE"


@pytest.mark.parametrize("argument", ["creates", "removes"])
def test_what_need_not_run_does_not(tmp_path: Path, argument: str) -> None:
    there, missing = tmp_path / "there", tmp_path / "missing"
    there.touch()
    stops, goes = (there, missing) if argument == "creates" else (missing, there)
    for check in (True, False):
        assert not well("command", cmd="echo hi", check=check, **{argument: str(stops)})["changed"]
        assert well("command", cmd="echo hi", check=check, **{argument: str(goes)})["changed"]


def test_check_mode_runs_nothing(tmp_path: Path) -> None:
    reply = well("command", cmd=f"touch {tmp_path}/made", check=True)
    assert reply["skipped"]
    assert not (tmp_path / "made").exists()


def test_standard_input_gets_its_newline() -> None:
    assert well("shell", cmd="od -An -c", stdin="a")["stdout"].split() == ["a", "\\n"]
    assert well("shell", cmd="od -An -c", stdin="a", stdin_add_newline=False)["stdout"].split() == ["a"]


def test_what_is_no_text_is_shown_as_far_as_it_goes() -> None:
    assert well("shell", cmd="printf 'a\\377b'")["stdout"] == "a\ufffdb"


def test_much_output_is_cut_with_a_note() -> None:
    reply = well("shell", cmd="head -c 12000000 /dev/zero | tr '\\0' x")
    assert len(reply["stdout"]) < 11_000_000
    assert "bytes were dropped" in reply["stdout"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"cmd": "no-such-program-here"}, "No such file or directory"),
        ({"cmd": "true", "chdir": "/no/such/folder"}, "Unable to change directory"),
        ({"cmd": "echo 'open"}, "cannot split"),
        ({"cmd": "   "}, "no command given"),
        ({}, "one of the following is required"),
    ],
)
def test_what_cannot_run(args: dict[str, Any], message: str) -> None:
    reply = invoke("command", **args)
    assert reply["failed"]
    assert message in reply["msg"]
