"""Programs that a module runs, and modules as the agent runs them."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import r1fleet.agent
from r1fleet.agent import groups, process
from r1fleet.agent.calls import invoke
from r1fleet.agent.context import Context, ModuleFailed
from r1fleet.agent.process import CommandTimeout

Maker = Callable[..., str]


@pytest.fixture
def module() -> Iterator[Maker]:
    made: list[str] = []

    def make(run: Callable[[Context], Any], **more: Any) -> str:
        name = f"r1fleet.modules.made{len(made)}"
        code = types.ModuleType(name)
        code.__dict__.update(more, run=run)
        sys.modules[name] = code
        made.append(name)
        return name

    yield make
    for name in made:
        del sys.modules[name]


def test_a_program_s_streams_and_status() -> None:
    done = Context({}).run("cat; echo problem >&2; exit 3", shell=True, stdin="ü\udcff")
    assert (done.rc, done.stdout, done.error, done.text) == (3, b"\xc3\xbc\xff", "problem\n", "ü\udcff")


def test_large_input_and_output_do_not_block_each_other() -> None:
    data = os.urandom(3_000_000)
    assert Context({}).run(["cat"], stdin=data).stdout == data


def test_output_is_bounded_and_the_rest_is_counted() -> None:
    done = process.run(["head", "-c", "300000", "/dev/zero"], keep=1000)
    assert done.dropped == 299_000
    assert done.stdout == bytes(1000) + b"\n[r1fleet: 299000 more bytes were dropped]\n"


def test_a_child_in_the_background_does_not_hold_the_command() -> None:
    done = Context({}).run("sleep 600 & echo $!", shell=True, timeout=60)
    os.kill(int(done.text), 9)
    assert done.rc == 0


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_time_out_kills_the_whole_group() -> None:
    with pytest.raises(CommandTimeout) as caught:
        Context({}).run("sleep 600 & echo $!; wait", shell=True, timeout=0.5)
    child = int(caught.value.reply["stdout"])
    while _lives(child):  # else pytest's time limit
        time.sleep(0.01)


def test_a_program_that_is_not_there_is_a_failure() -> None:
    with pytest.raises(ModuleFailed, match="No such file or directory") as caught:
        Context({}).run(["no-such-program"])
    assert caught.value.reply["rc"] == 2


def test_environment_and_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    ctx = Context({}, environment={"A": "task"})
    assert ctx.run(["printenv", "A", "B", "LC_ALL"], env={"B": "call"}, locale="C").text == "task\ncall\nC\n"


def test_administration_tools_are_found_without_their_folders_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    ctx = Context({})
    assert ctx.which("useradd") == "/usr/sbin/useradd"
    with pytest.raises(ModuleFailed, match="Failed to find required executable"):
        ctx.need("no-such-program")


def test_a_module_s_result_gets_changed_and_warnings(module: Maker) -> None:
    def run(ctx: Context) -> dict[str, Any]:
        ctx.warn("careful")
        ctx.warn("careful")
        return {"home": os.environ["PLACE"]}

    reply = invoke(module(run), {}, environment={"PLACE": "here"})
    assert reply == {"changed": False, "home": "here", "warnings": ["careful"]}
    assert "PLACE" not in os.environ


def test_a_failure_and_a_bug_are_replies(module: Maker) -> None:
    failed = invoke(module(lambda ctx: ctx.fail("no", code=4)), {})
    assert failed == {"changed": False, "failed": True, "msg": "no", "code": 4}

    def bug(ctx: Context) -> None:
        raise KeyError("x")

    reply = invoke(module(bug), {})
    assert reply["failed"]
    assert "KeyError" in reply["msg"]
    assert "Traceback" in reply["exception"]


def test_wrong_arguments_never_reach_the_module(module: Maker) -> None:
    reply = invoke(module(lambda ctx: {"changed": True}, ARGUMENTS={"a": {"required": True}}), {})
    assert (reply["failed"], reply["msg"]) == (True, "missing required arguments: a")


def test_check_mode_skips_a_module_that_has_none(module: Maker) -> None:
    name = module(lambda ctx: {"changed": True}, CHECK_MODE=False)
    assert invoke(name, {}, check=True)["skipped"]
    assert invoke(name, {})["changed"]


def test_scratch_folders_end_with_the_call(module: Maker) -> None:
    reply = invoke(module(lambda ctx: {"path": ctx.scratch()}), {})
    assert not Path(reply["path"]).exists()


def test_an_unknown_module_is_named() -> None:
    assert "no_such_module" in invoke("no_such_module", {})["msg"]


@pytest.mark.parametrize("path", sorted(Path(r1fleet.agent.__file__).parent.glob("*.py")), ids=lambda path: path.name)
def test_the_agent_is_python_3_7(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 7))


def test_a_program_that_cannot_be_killed_does_not_hold_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def start(*args: Any) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(["sleep", "600"], stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return started[0]

    monkeypatch.setattr(process, "_start", start)
    monkeypatch.setattr(groups, "send", lambda group, number: None)
    with pytest.raises(CommandTimeout) as caught:
        process.run(["sleep", "600"], timeout=0.1)
    started[0].kill()
    started[0].wait()
    assert f"process {started[0].pid} could not be killed: it waits for a device" in str(caught.value)
