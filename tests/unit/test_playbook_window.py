"""Windows: host-local tasks go ahead of each other's results, and nothing else about them is different."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from r1fleet.events import HostCounts, ItemResult, TaskResult, TaskStarted
from r1fleet.inventory import Host
from r1fleet.local.session import LocalSession
from r1fleet.transport import Become, Call, Reply
from tests.plays import FakeSession, FakeTransport, Project, shell

THREE = """
- {name: one, file: {path: /1, state: directory}, register: first}
- {name: two, file: {path: /2, state: directory}}
- {name: three, file: {path: /3, state: directory}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def paths(transport: FakeTransport, host: str = "h1") -> list[str]:
    return [str(call.args.get("path", call.args.get("cmd"))) for name, call in transport.calls if name == host]


def failing(path: str, host: str = "h1") -> FakeTransport:
    def answer(name: str, call: Call) -> Reply:
        wrong = name == host and call.args.get("path") == path
        return {"changed": False, "failed": True, "msg": "disk full"} if wrong else shell(name, call)

    return FakeTransport(answer)


@dataclass
class _Holding(FakeTransport):
    """Answers nothing before ``expected`` calls have come to a host."""

    expected: int = 3
    held: dict[str, list[tuple[Future[Reply], Future[Reply]]]] = field(default_factory=dict)

    def open(self, host: Host, become: Become | None = None) -> FakeSession:
        """Open a session that holds its answers back."""
        session = super().open(host)
        held = self.held.setdefault(host.name, [])
        submit = session.submit

        def later(call: Call, on_output: object = None) -> Future[Reply]:
            outer: Future[Reply] = Future()
            held.append((outer, submit(call)))
            if len(held) == self.expected:
                for waiting, inner in held:
                    waiting.set_result(inner.result())
            return outer

        session.submit = later  # type: ignore[method-assign]
        return session


def test_calls_go_ahead_of_the_results_of_those_before(project: Project) -> None:
    told = project.tasks(THREE, _Holding())
    assert paths(told.transport) == ["/1", "/2", "/3"]
    assert told.counts("h3") == HostCounts(ok=3)


def test_the_items_of_loops_go_ahead_too(project: Project) -> None:
    told = project.tasks(
        "- {name: one, file: {path: '/{{ item }}', state: directory}, loop: [1, 2]}\n" + THREE, _Holding(expected=5)
    )
    assert paths(told.transport) == ["/1", "/2", "/1", "/2", "/3"]
    assert [event.label for event in told.events if isinstance(event, ItemResult) and event.host == "h2"] == ["1", "2"]


def test_a_failure_ends_the_window_on_its_host_only(project: Project) -> None:
    told = project.tasks(THREE + "- {name: four, command: echo}\n", failing("/2"))
    assert paths(told.transport) == ["/1", "/2"]
    assert told.statuses("h1") == [("one", "ok"), ("two", "failed")]
    assert told.statuses("h2") == [("one", "ok"), ("two", "ok"), ("three", "ok"), ("four", "changed")]


def test_results_are_told_task_by_task(project: Project) -> None:
    told = project.tasks(THREE, failing("/1", "h3"))
    order = [
        event.name if isinstance(event, TaskStarted) else event.task
        for event in told.events
        if isinstance(event, (TaskStarted, TaskResult))
    ]
    assert order == ["one"] * 4 + ["two"] * 3 + ["three"] * 3


def test_a_failure_in_a_window_is_rescued_like_any_other(project: Project) -> None:
    told = project.tasks(
        """
        - block:
            - {name: one, file: {path: /1, state: directory}}
            - {name: two, file: {path: /2, state: directory}}
          rescue: [{name: mend, debug: {msg: "{{ ansible_failed_task.name }}"}}]
    """,
        failing("/1"),
    )
    assert told.statuses("h1") == [("one", "rescued"), ("mend", "ok")]
    assert told.result("mend")["msg"] == "one"


def test_a_task_that_needs_a_result_waits_for_it(project: Project) -> None:
    def answer(name: str, call: Call) -> Reply:
        return {"changed": call.args["path"] == "/1", "size": 7}

    told = project.tasks(
        THREE
        + """
- {name: four, file: {path: "/{{ first.size }}", state: directory}, when: first is changed, register: fourth}
- {name: five, file: {path: /5, state: directory}, when: fourth is changed}
- {name: six, file: {path: /6, state: directory}, loop: "{{ [fourth.size] }}"}
""",
        FakeTransport(answer),
    )
    assert paths(told.transport) == ["/1", "/2", "/3", "/7", "/6"]
    assert told.statuses("h1")[3:] == [("four", "ok"), ("five", "skipped"), ("six", "ok")]


def test_a_look_at_other_hosts_waits_for_them(project: Project) -> None:
    told = project.tasks(
        THREE + "- {name: four, file: {path: \"/{{ hostvars['h3'].first.state }}\", state: directory}}\n" + THREE,
        FakeTransport(lambda name, call: {"changed": True, "state": f"of-{name}"}),
    )
    assert paths(told.transport) == ["/1", "/2", "/3", "/of-h3", "/1", "/2", "/3"]
    assert told.counts("h1") == HostCounts(ok=7, changed=7)


def test_an_undefined_variable_stops_what_would_come_after_it(project: Project) -> None:
    told = project.tasks("""
        - {name: one, file: {path: /1, state: directory}}
        - {name: two, file: {path: "{{ absent }}", state: directory}}
        - {name: three, file: {path: /3, state: directory}}
    """)
    assert paths(told.transport) == ["/1"]
    assert told.statuses("h1") == [("one", "ok"), ("two", "failed")]


def test_handlers_of_a_window_run_once(project: Project) -> None:
    told = project.play(
        """
        - hosts: all
          gather_facts: false
          tasks:
            - {file: {path: /1, state: directory}, notify: late}
            - {file: {path: /2, state: directory}, notify: late}
          handlers: [{name: late, command: echo late}]
    """,
        FakeTransport(lambda name, call: {"changed": True}),
    )
    assert paths(told.transport) == ["/1", "/2", "echo late"]


def test_hosts_that_are_down_leave_the_window_to_the_others(project: Project) -> None:
    told = project.tasks(THREE, FakeTransport(down=frozenset({"h1"})))
    assert told.statuses("h1") == [("one", "unreachable")]
    assert told.statuses("h2") == [("one", "ok"), ("two", "ok"), ("three", "ok")]


def test_tags_that_choose_nothing_of_a_window_run_nothing(project: Project) -> None:
    told = project.tasks(THREE, tags=("other",))
    assert told.recap.hosts == {}


def test_the_agent_runs_nothing_behind_a_failure_of_the_same_window(tmp_path: Path) -> None:
    session = LocalSession("here")

    def touch(name: str, window: tuple[str, int] | None, state: str = "touch") -> Future[Reply]:
        return session.submit(Call("file", {"path": str(tmp_path / name), "state": state}, window=window))

    try:
        replies = [
            touch("a", ("w", 0)),
            touch("absent/b", ("w", 1)),
            touch("c", ("w", 1)),
            touch("d", ("w", 2)),
            touch("e", ("other", 0)),
            touch("f", None),
        ]
        results = [future.result(60) for future in replies]
    finally:
        session.close()
    assert [bool(result.get("failed")) for result in results] == [False, True, False, False, False, False]
    assert results[3] == {"changed": False, "unrun": True}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c", "e", "f"]


def test_the_items_of_a_loop_are_told_when_their_task_is_shown(project: Project) -> None:
    told = project.tasks("""
        - {name: one, file: {path: /1, state: directory}}
        - {name: two, file: {path: "/{{ item }}", state: directory}, loop: [a, b]}
    """)
    order = [
        (type(event).__name__, event.name if isinstance(event, TaskStarted) else event.task)
        for event in told.events
        if isinstance(event, (TaskStarted, ItemResult, TaskResult))
    ]
    begun = order.index(("TaskStarted", "two"))
    assert order[:begun] == [("TaskStarted", "one"), *[("TaskResult", "one")] * 3]
    assert sorted(set(order[begun + 1 :])) == [("ItemResult", "two"), ("TaskResult", "two")]
