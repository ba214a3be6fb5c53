"""How tasks reach hosts, what runs on in the background there, and arguments as one template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from r1fleet.transport import Call, Reply
from tests.plays import FakeTransport, Project, shell


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, hosts=1)


def opened(transport: FakeTransport) -> list[tuple[Any, Any, Any]]:
    names = ("ansible_connection", "ansible_user", "ansible_port")
    return [tuple(host.variables.get(name) for name in names) for host in transport.opened]  # type: ignore[misc]


def test_a_task_may_be_reached_in_its_own_way_and_each_way_is_opened_once(project: Project) -> None:
    told = project.tasks("""
        - {name: one, command: echo}
        - {name: two, command: echo, remote_user: ann, port: "{{ 2000 + 22 }}"}
        - {name: three, command: echo, connection: local}
        - {name: four, command: echo, remote_user: ann, port: 2022}
        - block:
            - {name: five, command: echo}
          remote_user: bob
    """)
    assert opened(told.transport) == [
        (None, None, None),
        (None, "ann", 2022),
        ("local", None, None),
        (None, "bob", None),
    ]


def test_windows_do_not_span_ways(project: Project) -> None:
    told = project.tasks("""
        - {name: one, file: {path: /a, state: directory}}
        - {name: two, file: {path: /b, state: directory}}
        - {name: three, file: {path: /c, state: directory}, connection: local}
    """)
    assert opened(told.transport) == [(None, None, None), ("local", None, None)]
    windows = [call.window[0] if call.window else None for _, call in told.transport.calls]
    assert windows[0] == windows[1] != windows[2]


def test_the_hosts_own_variables_win_over_keywords(project: Project) -> None:
    project.write("inventories/host_vars/h1.yaml", "{ansible_connection: ssh, ansible_user: own, ansible_port: 22}\n")
    told = project.tasks("- {name: one, command: echo, remote_user: ann, port: 1, connection: local}", remote_user="x")
    assert opened(told.transport) == [("ssh", "own", 22)]


def test_the_key_of_the_inventory_reaches_the_transport_by_either_of_its_names(project: Project) -> None:
    names = ("ansible_private_key_file", "ansible_ssh_private_key_file")
    project.write("inventories/host_vars/h1.yaml", "".join(f"{name}: '{{{{ base }}}}/key'\n" for name in names))
    told = project.tasks("- {name: one, command: echo}")
    assert [told.transport.opened[0].variables[name] for name in names] == ["inventory/key", "inventory/key"]


def test_the_plays_keywords_hold_for_its_tasks_and_for_gathering(project: Project) -> None:
    told = project.play("""
        - hosts: all
          connection: local
          remote_user: ann
          tasks:
            - {name: one, command: echo}
    """)
    assert opened(told.transport) == [("local", "ann", None)]
    assert told.statuses("h1")[0][0] == "Gathering Facts"


class Jobs:
    """A host that runs jobs: each ends when it has been asked for ``patience`` times."""

    def __init__(self, patience: int, result: Reply) -> None:
        self.patience = patience
        self.result = result
        self.log: list[str] = []

    def __call__(self, host: str, call: Call) -> Reply:
        about = {"ansible_job_id": "j1.2", "started": True, "finished": False, "results_file": "/x"}
        if call.module == "agent.job":
            self.log.append(f"start {call.args['module']} {call.args['args']} {call.args['limit']}")
            return {**about, "changed": True}
        if call.module != "async_status":
            return shell(host, call)
        self.log.append(str(call.args.get("mode", "status")))
        self.patience -= 1
        return {**about, **self.result, "finished": True} if self.patience <= 0 else {**about, "changed": False}


def test_a_job_is_awaited_and_forgotten(project: Project) -> None:
    jobs = Jobs(2, {"changed": True, "stdout": "hi", "rc": 0})
    told = project.tasks("- {name: one, command: x, async: 20, poll: 0.01, register: out}", FakeTransport(jobs))
    assert jobs.log == ["start command {'cmd': 'x'} 20", "status", "status", "cleanup"]
    assert told.result("one")["stdout"] == "hi"
    assert told.statuses("h1") == [("one", "changed")]


def test_a_job_that_is_not_awaited_is_asked_for_later(project: Project) -> None:
    jobs = Jobs(2, {"changed": True, "stdout": "hi", "rc": 0})
    told = project.tasks(
        """
        - {name: one, command: x, async: 20, poll: 0, register: job}
        - name: two
          async_status: {jid: "{{ job.ansible_job_id }}"}
          register: out
          until: out is finished
          delay: 0
          retries: 5
        """,
        FakeTransport(jobs),
    )
    assert told.result("one")["finished"] is False
    assert told.result("two")["attempts"] == 2
    assert told.result("two")["stdout"] == "hi"


def test_a_job_that_fails_fails_its_task(project: Project) -> None:
    jobs = Jobs(1, {"changed": False, "failed": True, "msg": "Timeout exceeded"})
    told = project.tasks("- {name: one, command: x, async: 1, poll: 0.01}", FakeTransport(jobs))
    assert told.result("one")["msg"] == "Timeout exceeded"
    assert told.counts().failed == 1


def test_jobs_do_not_go_with_check_mode(project: Project) -> None:
    told = project.tasks("- {name: one, command: x, async: 1}", check=True)
    assert "check mode and async cannot be used" in told.result("one")["msg"]
    assert told.transport.calls == []


def test_one_template_may_give_all_arguments(project: Project) -> None:
    told = project.tasks("""
        - {name: one, file: {mode: "0600"}, args: "{{ given }}", vars: {given: {path: /x, state: touch}}}
        - {name: two, file: "{{ given }}", vars: {given: {path: /y}}}
        - {name: three, file: "{{ given }}", vars: {given: {pathh: /y}}, ignore_errors: true}
        - {name: four, file: "{{ given }}", vars: {given: 5}, ignore_errors: true}
    """)
    assert [dict(call.args) for _, call in told.transport.calls] == [
        {"mode": "0600", "path": "/x", "state": "touch"},
        {"path": "/y"},
    ]
    assert "Did you mean path?" in told.result("three")["msg"]
    assert "a mapping, not a number" in told.result("four")["msg"]
