"""What a run tells of its results, and what it asks before it begins."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from r1fleet.events import ItemResult, TaskResult
from r1fleet.playbook.filters_crypt import password_hash
from r1fleet.transport import Call, Reply
from tests.plays import FakeTransport, Project, Told


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, hosts=1)


def differing(_: str, __: Call) -> Reply:
    return {"changed": True, "diff": {"before": "a\n", "after": "b\n"}}


def differences(told: Told) -> dict[str, bool]:
    events = [event for event in told.events if isinstance(event, (TaskResult, ItemResult))]
    return {event.task: "diff" in event.result for event in events if "results" not in event.result}


TASKS = """
- {name: plain, copy: {content: a, dest: /a}}
- {name: wanted, copy: {content: a, dest: /a}, diff: true}
- {name: unwanted, copy: {content: a, dest: /a}, diff: false}
- {name: each, copy: {content: a, dest: /a}, diff: true, loop: [1]}
"""


@pytest.mark.parametrize(("option", "plain"), [(False, False), (True, True)])
def test_a_task_says_itself_whether_its_difference_is_shown(project: Project, option: bool, plain: bool) -> None:
    told = project.tasks(TASKS, FakeTransport(differing), diff=option)
    assert differences(told) == {"plain": plain, "wanted": True, "unwanted": False, "each": True}


def test_an_answer_may_be_hashed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = iter(["sesame", "slip", "sesame", "sesame"])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(getpass, "getpass", lambda _: next(typed))
    told = project.play("""
        - hosts: all
          gather_facts: false
          vars_prompt: [{name: secret, encrypt: sha512_crypt, salt: abcdefgh, rounds: 1000, confirm: true}]
          tasks:
            - debug: {msg: "{{ secret }}"}
    """)
    assert told.messages() == [password_hash("sesame", "sha512", "abcdefgh", rounds=1000)]


def test_a_link_that_leads_back_into_its_tree_is_copied_as_a_link(project: Project, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "circle").symlink_to("../../tree")
    (tree / "aside").mkdir()
    (tree / "sub" / "other").symlink_to("../aside")
    (tree / "sub" / "itself").symlink_to("itself")
    (tree / "sub" / "broken").symlink_to("absent")
    told = project.tasks(f"- {{name: copied, copy: {{src: {tree}/, dest: /there}}}}")
    entries = told.transport.calls[0][1].args["_entries"]
    kinds = {entry["path"]: entry["kind"] for entry in entries}
    links = dict.fromkeys(["sub/broken", "sub/circle", "sub/itself"], "link")
    assert kinds == {"aside": "directory", "sub": "directory", "sub/other": "directory", **links}


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("{throttle: '{{ text }}', vars: {text: x}}", "`throttle` takes a number, not 'x'"),
        ("{retries: '{{ text }}', until: true, vars: {text: x}}", "`retries` takes a number, not 'x'"),
        ("{delay: '{{ text }}', until: true, vars: {text: x}}", "`delay` takes a number, not 'x'"),
        ("{port: '{{ text }}', vars: {text: x}}", "`port` takes a number, not 'x'"),
        ("{timeout: -1}", "Timeout -1 is invalid"),
        ("{become: '{{ text }}', vars: {text: yesss}}", "The value 'yesss' could not be converted to 'bool'"),
        ("{become: '{{ text }}', vars: {text: ''}}", "The value '' could not be converted to 'bool'"),
        ("{run_once: '{{ text }}', vars: {text: x}}", "processing keyword 'run_once': The value 'x'"),
        ("{any_errors_fatal: '{{ text }}', vars: {text: 2}}", "processing keyword 'any_errors_fatal': The value 2"),
        ("{check_mode: '{{ text }}', vars: {text: [1]}}", "processing keyword 'check_mode': The value [1]"),
        ("{vars: {greeting: hi}, args: {chdir: '{{ greting }}'}}", "'greting' is undefined"),
        ("{loop: [1, 2], loop_control: {pause: '{{ text }}'}, vars: {text: x}}", "`pause` takes a number, not 'x'"),
        ("{loop: [1, 2], loop_control: {break_when: absent}}", "'absent' is undefined"),
        ("{loop: [1, 2], loop_control: {label: '{{ absent }}'}}", "'absent' is undefined"),
        ("{when: '{{ text }}', vars: {text: 1 ==}}", "template error: unexpected 'end of template'"),
    ],
)
def test_a_wrong_keyword_fails_its_task_and_no_more(project: Project, task: str, said: str) -> None:
    told = project.tasks(f"""
- {{name: wrong, command: x, ignore_errors: true, <<: {task}}}
- {{name: next, command: y}}
""")
    assert told.statuses("h1") == [("wrong", "ignored"), ("next", "changed")]
    result = told.result("wrong")
    assert said in str(result.get("msg")) + str(result.get("results"))


def test_what_a_wrong_no_log_hides_stays_hidden(project: Project) -> None:
    told = project.tasks("""
- {name: wrong, command: "echo {{ word }}", no_log: "{{ text }}", vars: {text: x, word: hush}, ignore_errors: true}
""")
    assert told.statuses("h1") == [("wrong", "ignored")]
    assert "censored" in told.result("wrong")


def test_an_undefined_name_is_told_with_the_nearest_one(project: Project) -> None:
    told = project.tasks("""
- {name: wrong, debug: {msg: "{{ greting }}"}, vars: {greeting: hi}, ignore_errors: true}
- {name: far, debug: {msg: "{{ quxquxqux }}"}, ignore_errors: true}
""")
    assert told.result("wrong")["hint"] == "did you mean 'greeting'?"
    assert "hint" not in told.result("far")


def test_a_handler_that_is_not_there_is_told_with_those_that_are(project: Project) -> None:
    told = project.play("""
        - hosts: h1
          gather_facts: false
          tasks:
            - {name: near, command: x, notify: restart sshhd, ignore_errors: true}
            - {name: far, command: x, notify: zzz, ignore_errors: true}
          handlers:
            - {name: restart sshd, command: y}
    """)
    assert told.result("near")["hint"] == "did you mean 'restart sshd'?"
    assert told.result("far")["hint"] == "this play has 'restart sshd'"


def test_tasks_may_include_their_own_file_until_a_condition_ends_it(project: Project) -> None:
    again = '{include_tasks: again.yaml, vars: {left: "{{ fewer }}"}, when: left | int > 1}'
    project.write("playbooks/again.yaml", f'- {{name: "left {{{{ left }}}}", command: x}}\n- {again}\n')
    told = project.tasks("""
- {include_tasks: again.yaml, vars: {left: 2, fewer: 1}}
""")
    names = [name for name, _ in told.statuses("h1")]
    assert [name for name in names if name.startswith("left")] == ["left 2", "left 1"]


def test_an_include_without_end_is_told(project: Project) -> None:
    project.write("playbooks/again.yaml", "- {include_tasks: again.yaml}\n")
    told = project.tasks("""
- {name: first, include_tasks: again.yaml}
""")
    assert told.statuses("h1")[-1] == ("include_tasks", "failed")
    assert "includes go deeper than 100" in told.result("include_tasks")["msg"]


def test_a_missing_file_of_an_include_is_no_error_to_ignore(project: Project) -> None:
    told = project.tasks("""
- {name: first, include_tasks: "{{ name }}.yaml", vars: {name: absent}, ignore_errors: true}
- {name: next, command: y}
""")
    assert told.statuses("h1") == [("first", "failed")]
    assert told.counts().ok == 0


def test_an_include_whose_label_cannot_be_shown_fails_alone(project: Project) -> None:
    project.write("playbooks/more.yaml", "- {name: inside, command: x}\n")
    told = project.tasks("""
- {name: all, include_tasks: more.yaml, loop: [1], loop_control: {label: "{{ absent }}"}, ignore_errors: true}
- {name: next, command: y}
""")
    assert told.statuses("h1") == [("all", "ignored"), ("next", "changed")]


def test_errors_that_are_cleared_in_always_end_with_it(project: Project) -> None:
    told = project.play("""
        - hosts: all
          gather_facts: false
          tasks:
            - block: [{name: broken, command: "false"}]
              always: [{name: always, command: x}, {meta: clear_host_errors}]
            - {name: goes on, command: x}
            - block: [{name: broken again, command: "false"}]
              always: [{name: always again, command: x}]
            - {name: not reached, command: x}
    """)
    assert told.statuses("h1") == [
        ("broken", "failed"),
        ("always", "changed"),
        ("goes on", "changed"),
        ("broken again", "failed"),
        ("always again", "changed"),
    ]


def test_what_a_loop_sets_is_seen_by_its_next_turn(project: Project) -> None:
    told = project.tasks("""
- {name: grow, set_fact: {found: "{{ found + [item] }}"}, vars: {found: [1]}, loop: [2, 3]}
- {name: more, set_fact: {others: "{{ others | default([]) + [item] }}"}, loop: [2, 3]}
- {debug: {msg: "{{ found }} {{ others }}"}}
""")
    assert told.messages() == ["[1, 2, 3] [2, 3]"]


def test_a_serial_that_is_omitted_is_none(project: Project) -> None:
    told = project.play("""
        - {hosts: all, gather_facts: false, serial: "{{ absent | default(omit) }}", tasks: [{name: one, command: x}]}
    """)
    assert told.statuses("h1") == [("one", "changed")]
