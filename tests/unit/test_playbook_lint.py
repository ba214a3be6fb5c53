"""lint tells by file and line what is outside the subset, and counts what is inside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from r1fleet.cli.main import run
from r1fleet.errors import UsageError, Where
from r1fleet.playbook import Report, lint

ROOT = Path(__file__).parents[2]
TASKS = """\
- name: fine
  ansible.builtin.copy: {content: x, dest: "{{ place }}"}
- ufw: {rule: allow}
- block:
    - name: nearly
      coppy: {src: a}
    - stat: {pth: /x}
  rescu: []
- debug: {msg: "{{ x | nosuch }}"}
  wen: true
- debug: {msg: "{{ lookup('nothing', 'x') is strange }}"}
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write(tmp_path / "roles/bad/tasks/main.yml", TASKS)
    write(tmp_path / "roles/bad/templates/deep/conf.j2", "one\n{{ two | nosuch }}\n")
    write(tmp_path / "roles/bad/defaults/main.yml", "a: '{{ b | nosuch }}'\n")
    write(tmp_path / "roles/good/tasks/main.yml", "- command: id\n- import_tasks: more.yml\n")
    write(tmp_path / "roles/good/handlers/main.yml", "- {name: again, debug: {msg: x}, listen: all}\n")
    write(
        tmp_path / "site.yml",
        "- hosts: all\n  roles: [bad, role: good]\n  tasks:\n    - include_tasks: more/some.yml\n",
    )
    write(tmp_path / "more/some.yml", "- nothing_known: {}\n")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def places(report: Report) -> list[tuple[str, int | None, str]]:
    found = [(problem.where or Where(), problem.what) for problem in report.problems]
    return [(Path(str(where.path)).name, where.line, what) for where, what in found]


def test_everything_outside_is_told_with_its_place(tree: Path) -> None:
    found = places(lint([tree / "roles" / "bad"]))
    assert [(name, line) for name, line, _ in found] == [
        ("main.yml", 3), ("main.yml", 8), ("main.yml", 6), ("main.yml", 7),
        ("main.yml", 10), ("main.yml", 9), ("main.yml", 11), ("main.yml", 11),
        ("main.yml", 1), ("conf.j2", 2),
    ]  # fmt: skip
    told = " ".join(what for _, _, what in found)
    for words in (
        "'ufw'",
        "'coppy'",
        "pth",
        "'rescu'",
        "'wen'",
        "filter 'nosuch'",
        "lookup 'nothing'",
        "test 'strange'",
    ):
        assert words in told


def test_hints_name_what_is_near_or_what_to_use_instead(tree: Path) -> None:
    hints = {problem.what.split("'")[1]: problem.hint for problem in lint([tree]).problems if "'" in problem.what}
    assert hints["coppy"] == "did you mean 'copy'?"
    assert "by `template`" in str(hints["ufw"])
    assert "docs/modules.md" in str(hints["nothing_known"])
    assert "plugins of roles and collections are not loaded" in str(hints["nosuch"])


def test_shares_are_counted_by_task(tree: Path) -> None:
    report = lint([tree / "roles"])
    bad, good = (report.parts[str(tree / "roles" / name)] for name in ("bad", "good"))
    assert (bad.tasks, bad.named, bad.inside) == (6, 4, 1)
    assert (good.tasks, good.named, good.inside) == (3, 3, 3)
    assert report.missing == {"ufw": 1, "coppy": 1}
    assert report.whole == {str(tree / "roles" / "good")}


def test_a_playbook_brings_the_roles_and_files_that_it_names(tree: Path) -> None:
    report = lint([tree / "site.yml"])
    assert {Path(name).name for name in report.parts} == {"site.yml", "bad", "good", "some.yml"}
    assert report.missing["nothing_known"] == 1
    write(tree / "site.yml", "- {hosts: all, roles: [elsewhere, '{{ which }}']}\n")
    report = lint([tree / "site.yml"])
    assert not report.problems
    assert [words in place for words, place in zip(("not found", "known to the run only"), report.unread, strict=True)]


def test_what_tests_a_role_is_left_alone(tree: Path) -> None:
    write(tree / "roles/good/molecule/default/converge.yml", "- {hosts: all, tasks: [{ufw: {}}]}\n")
    write(tree / "tests/site.yml", "- {hosts: all, tasks: [{ufw: {}}]}\n")
    assert lint([tree]).missing["ufw"] == 1


def test_modules_of_ones_own_are_inside_and_those_for_ansible_are_not(tree: Path) -> None:
    write(tree / "roles/good/library/mine.py", "ARGUMENTS = {}\ndef run(ctx):\n    return {}\n")
    write(tree / "roles/good/library/theirs.py", "from ansible.module_utils.basic import AnsibleModule\n")
    write(tree / "roles/good/tasks/main.yml", "- mine:\n- mine: {a: 1}\n- theirs:\n")
    report = lint([tree / "roles" / "good"])
    assert (report.total.named, report.total.inside, dict(report.missing)) == (3, 2, {"theirs": 1})
    assert "is a module for Ansible" in report.problems[1].what


def test_files_that_cannot_be_read_are_told_or_named(tree: Path) -> None:
    write(tree / "roles/good/tasks/main.yml", "- command: [\n")
    write(tree / "roles/good/vars/secret.yml", "$ANSIBLE_VAULT;1.1;AES256\n6162\n")
    report = lint([tree / "roles" / "good"])
    assert ["not valid YAML" in problem.what for problem in report.problems] == [True]
    assert [Path(place).name for place in report.unread] == ["secret.yml: encrypted"]


@pytest.mark.parametrize("path", ["nowhere", "empty"])
def test_a_path_without_anything_to_look_at_is_an_error(tree: Path, path: str) -> None:
    (tree / "empty").mkdir()
    with pytest.raises(UsageError, match=path):
        lint([tree / path])


def test_the_command_line(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", str(tree / "roles" / "good")]) == 0
    assert "3 tasks in 1 roles and playbooks: 3 (100.0 %) name a module" in capsys.readouterr().out
    assert run(["lint", "--json", str(tree / "roles")]) == 5
    told = json.loads(capsys.readouterr().out)
    assert (told["tasks"], told["named"], told["inside"]) == (9, 7, 4)
    assert told["problems"][0] == {
        "path": str(tree / "roles/bad/tasks/main.yml"), "line": 3, "column": 3,
        "what": "unknown module 'ufw'", "hint": told["problems"][0]["hint"],
    }  # fmt: skip
    assert run(["lint", str(tree / "nowhere")]) == 5


def test_r1fleets_own_roles_and_playbooks_are_inside() -> None:
    report = lint([ROOT / "roles", ROOT / "playbooks"])
    assert [str(problem) for problem in report.problems] == []


def test_a_reader_that_stops_early_is_no_error(tree: Path) -> None:
    write(tree / "roles/bad/tasks/many.yml", "- {ufw: {}}\n" * 20000)
    argv = f"{sys.executable} -m r1fleet lint {tree}; echo $? >&2"
    done = subprocess.run(
        ["bash", "-c", f"({argv}) | head -1"], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == "141\n"
