"""reboot: what counts as another boot, and what is said of a host that never comes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from r1fleet.errors import HostUnreachable, Where
from r1fleet.transport import Call, Reply
from tests.plays import FakeTransport, Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, hosts=1)


class Machine:
    """A host that goes down when told to, and may come back after some looks at it."""

    def __init__(self, *, looks: int | None, test: Callable[[], int] = lambda: 0) -> None:
        self.boot = 1
        self.down = False
        self.asked: list[str] = []
        self._looks = looks
        self._test = test

    def answer(self, host: str, call: Call) -> Reply:
        """Answer as a shell on the host would, or not at all."""
        command = str(call.args.get("cmd", call.module))
        if self.down:
            self._come_back(host)
        self.asked.append(command)
        if call.module == "stat":
            return {"changed": False, "stat": {"exists": call.args["path"] == "/sbin/shutdown"}}
        if command.startswith("/sbin/shutdown"):
            self.down = True
            raise HostUnreachable("the connection was closed", where=Where(host=host))
        if command == "test-it":
            return _ended(self._test())
        return {**_ended(0), "stdout": f"boot-{self.boot}"}

    def _come_back(self, host: str) -> None:
        if self._looks is None or self._looks > 0:
            self._looks = None if self._looks is None else self._looks - 1
            raise HostUnreachable("no route to host", where=Where(host=host))
        self.down, self.boot = False, self.boot + 1


def _ended(rc: int) -> Reply:
    failed: dict[str, Any] = {"failed": True, "msg": "non-zero return code"} if rc else {}
    return {"changed": True, "rc": rc, "stdout": "", "stderr": "", **failed}


def rebooted(project: Project, machine: Machine, arguments: str = "{}") -> dict[str, Any]:
    told = project.tasks(f"- {{name: go, reboot: {arguments}}}", FakeTransport(machine.answer))
    return told.result("go")


def test_a_host_that_comes_back_is_another_boot(project: Project) -> None:
    machine = Machine(looks=1)
    reply = rebooted(project, machine, """{msg: "it's time"}""")
    assert (reply["changed"], reply["rebooted"]) == (True, True)
    assert """/sbin/shutdown -r 0 'it'"'"'s time'""" in machine.asked


@pytest.mark.parametrize(("delay", "minutes"), [(59, 0), (60, 1), (179, 2)])
def test_a_delay_is_in_whole_minutes(project: Project, delay: int, minutes: int) -> None:
    machine = Machine(looks=0)
    rebooted(project, machine, f"{{pre_reboot_delay_sec: {delay}}}")
    assert any(f"shutdown -r {minutes} " in command for command in machine.asked)


def test_a_host_that_never_comes_back_says_what_was_done(project: Project) -> None:
    reply = rebooted(project, Machine(looks=None), "{reboot_timeout: 1}")
    assert reply["failed"]
    assert reply["msg"].startswith("Timed out waiting for last boot time check (timeout=1): ")
    assert "/sbin/shutdown -r 0 'Reboot initiated by Ansible'" in reply["msg"]
    assert "on h1; it does not answer: no route to host" in reply["msg"]


def test_a_host_that_is_not_well_after_its_boot_says_why(project: Project) -> None:
    machine = Machine(looks=0, test=lambda: 1)
    reply = rebooted(project, machine, "{reboot_timeout: 1, test_command: test-it}")
    assert reply["msg"].startswith("Timed out waiting for post-reboot test command (timeout=1): ")
    assert "'test-it': rc: 1" in reply["msg"]
    assert machine.asked.count("test-it") > 1


def test_the_task_s_command_of_the_test_may_fail_at_first(project: Project) -> None:
    ends = iter([1, 0])
    machine = Machine(looks=0, test=lambda: next(ends))
    assert rebooted(project, machine, "{test_command: test-it}")["rebooted"]


def test_check_mode_and_this_controller_stay_up(project: Project) -> None:
    machine = Machine(looks=0)
    told = project.tasks("- {name: go, reboot: }", FakeTransport(machine.answer), check=True)
    assert told.result("go")["rebooted"]
    told = project.tasks("- {name: go, reboot: , delegate_to: localhost}", FakeTransport(machine.answer))
    assert told.result("go")["msg"] == "Running reboot with local connection would reboot the control node."
    assert machine.asked == []
