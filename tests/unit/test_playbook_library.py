"""A user's own modules in `library/`: found, checked as ours are, refused with a way on where they are Ansible's."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1fleet.errors import PlaybookError
from tests.plays import FakeTransport, Project

OURS = """
ARGUMENTS = {
    "key": {"type": "str", "required": True, "aliases": ["name"]},
    "level": {"type": "int", "choices": [1, 2]},
    "token": {"type": "str", "no_log": True},
}
LOCAL = True


def run(ctx):
    return {"changed": not ctx.check, "key": ctx.args["key"]}
"""
THEIRS = """
from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(argument_spec={})
    module.exit_json()


main()
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.write("playbooks/library/note.py", OURS)
    return project


def play(tasks: str) -> str:
    return f"- hosts: all\n  gather_facts: false\n  tasks:\n    {tasks}\n"


def test_a_module_beside_the_playbook_is_a_module_like_others(project: Project) -> None:
    transport = FakeTransport()
    project.play(play('- note: {name: "{{ inventory_hostname }}", level: 2}'), transport, check=True)
    assert sorted((host, call.module, call.args["name"], call.check) for host, call in transport.calls) == [
        ("h1", "note", "h1", True), ("h2", "note", "h2", True), ("h3", "note", "h3", True),
    ]  # fmt: skip


def test_only_what_tasks_name_travels(project: Project) -> None:
    project.write("playbooks/library/unused.py", "raise SystemExit\n")
    read = project.load(play("- note: name=x"))
    assert list(read.library.sources) == ["note"]
    assert "def run(ctx)" in read.library.sources["note"]


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("- note: {nam: x}", ("note: Unsupported parameters for (note) module: nam", "Did you mean name?")),
        ("- note: {name: x, level: 3}", ("value of level must be one of: 1, 2",)),
        ("- note: {level: 1}", ("missing required arguments: key",)),
        ("- notes: {name: x}", ("unknown module 'notes'", "did you mean 'note'?")),
        ("- action: note nam=x", ("Unsupported parameters for (note) module: nam",)),
    ],
)
def test_its_arguments_are_checked_before_any_host_is_touched(
    project: Project, task: str, words: tuple[str, ...]
) -> None:
    with pytest.raises(PlaybookError) as caught:
        project.load(play(task))
    assert all(word in str(caught.value) for word in words), caught.value
    assert caught.value.where is not None
    assert caught.value.where.line == 4


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (THEIRS, ("theirs.py:2", "imports ansible.module_utils.basic", "ctx.fail() fail_json()")),
        ("def run(ctx):\n    return {\n", ("theirs.py:2", "is no Python")),
        ("ARGUMENTS = {}\n", ("theirs.py:1", "has no `def run(ctx)`")),
        ("def run(ctx):\n    return {}\n", ("theirs.py:1", "has no ARGUMENTS")),
        (
            "import nothing_like_it\nARGUMENTS = {}\ndef run(ctx):\n    return {}\n",
            ("theirs.py:1", "cannot be loaded: ModuleNotFoundError", "standard library"),
        ),
        (
            "ARGUMENTS = {'a': {'type': 'string'}}\ndef run(ctx):\n    return {}\n",
            ("'a' has the unknown type 'string'", "bool, bytes"),
        ),
    ],
)
def test_a_module_that_cannot_be_used_says_where_and_what_to_do(
    project: Project, source: str, words: tuple[str, ...]
) -> None:
    project.write("playbooks/library/theirs.py", source)
    with pytest.raises(PlaybookError) as caught:
        project.load(play("- theirs: {a: x}"))
    assert all(word in str(caught.value) for word in words), caught.value
    assert (Path(str(caught.value.where and caught.value.where.path)).name) == "site.yaml"


def test_one_that_no_task_names_is_left_alone(project: Project) -> None:
    project.write("playbooks/library/theirs.py", THEIRS)
    project.load(play("- note: {name: x}"))


def test_roles_bring_theirs_for_all_that_comes_after(project: Project) -> None:
    project.write("roles/bringing/library/other.py", OURS)
    project.write("roles/bringing/tasks/main.yml", "- other: {name: in the role}\n")
    transport = FakeTransport()
    project.play(
        "- {hosts: h1, gather_facts: false, roles: [bringing], post_tasks: [{other: {name: behind it}}]}", transport
    )
    assert [call.args["name"] for _, call in transport.calls] == ["in the role", "behind it"]


def test_a_role_that_only_the_run_names_cannot_bring_new_ones(project: Project) -> None:
    project.write("roles/bringing/library/other.py", OURS)
    project.write("roles/bringing/tasks/main.yml", "- other: {name: x}\n")
    told = project.play(
        play('- {name: in, include_role: {name: "{{ which }}"}}'), FakeTransport(), extra_vars={"which": "bringing"}
    )
    assert told.counts("h1").failed == 1
    text = str([event for event in told.events if "known before the run" in str(event)])
    assert "name its role without a template" in text


def test_two_of_one_name_must_be_the_same(project: Project) -> None:
    project.write("roles/a/library/note.py", OURS)
    project.write("roles/a/tasks/main.yml", "- note: {name: x}\n")
    project.load("- {hosts: all, roles: [a]}")
    project.write("roles/a/library/note.py", OURS + "\n# newer\n")
    with pytest.raises(PlaybookError, match="two modules are called 'note'"):
        project.load("- {hosts: all, roles: [a]}")


def test_r1fleets_own_modules_are_not_replaced(project: Project) -> None:
    project.write("playbooks/library/stat.py", THEIRS)
    transport = FakeTransport()
    project.play(play("- stat: {path: /x}"), transport)
    assert {call.module for _, call in transport.calls} == {"stat"}
    project.write("playbooks/library/stat.py", OURS)
    with pytest.raises(PlaybookError, match="r1fleet has a module 'stat' already"):
        project.load(play("- stat: {path: /x}"))


def test_its_secret_arguments_stand_in_no_result(project: Project) -> None:
    told = project.play(
        play("- {name: ask, note: {name: x, token: hush}}"), FakeTransport(lambda _h, _c: {"said": "hush!"})
    )
    assert told.result("ask")["said"] == "********!"
