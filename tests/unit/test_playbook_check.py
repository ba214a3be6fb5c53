"""What is wrong with a playbook is told before any host is touched, with its place and a hint."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1fleet.errors import ExitCode, PlaybookError
from r1fleet.playbook import catalogue, keywords
from r1fleet.playbook.actions.tables import CONTROLLER
from r1fleet.playbook.filters import FILTERS
from r1fleet.playbook.lookups import LOOKUPS
from r1fleet.playbook.truths import TESTS
from tests.plays import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def refused(project: Project, tasks: str, line: int = 4) -> str:
    """Return the one error that tasks cause, checked for its line."""
    with pytest.raises(PlaybookError) as caught:
        project.load(f"- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}")
    assert caught.value.exit_code == ExitCode.USAGE
    assert caught.value.where is not None, caught.value
    assert (Path(str(caught.value.where.path)).name, caught.value.where.line) == ("site.yaml", line), caught.value
    return str(caught.value)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("    - coppy: {src: a, dest: b}", ("unknown module 'coppy'", "did you mean 'copy'?")),
        ("    - {command: x, wen: true}", ("unknown keyword 'wen'", "did you mean 'when'?")),
        ("    - {debug: {msg: x}, async: 5}", ("debug does not support async",)),
        ("    - {command: x, connection: winrm}", ("connection 'winrm' is not supported", "local")),
        ("    - {command: x, listen: a}", ("keyword 'listen' does not belong on a task",)),
        ("    - {command: x, shell: y}", ("a task has one action, this one has 2",)),
        ("    - name: nothing", ("this task has no action",)),
        ("    - file: {path: /x, stat: absent}", ("Unsupported parameters", "stat", "Did you mean state?")),
        ("    - file: {path: /x, state: gone}", ("value of state must be one of", "gone")),
        ("    - file: {state: absent}", ("missing required arguments: path",)),
        ("    - copy: {dest: /x, src: a, content: b}", ("mutually exclusive",)),
        ("    - copy: {dest: /x, _entries: []}", ("'_entries' is not for playbooks",)),
        ("    - debug: {msg: '{{ x | combinee }}'}", ("unknown filter 'combinee'", "did you mean 'combine'?")),
        (
            "    - debug: {msg: '{{ x | ansible.netcommon.hwaddr }}'}",
            ("'ansible.netcommon.hwaddr' is not supported", "ipaddr"),
        ),
        ("    - debug: {msg: '{{ x is definded }}'}", ("unknown test 'definded'", "did you mean 'defined'?")),
        ("    - debug: {msg: \"{{ lookup('enw', 'X') }}\"}", ("unknown lookup 'enw'", "did you mean 'env'?")),
        ("    - debug: {msg: '{{ x'}", ("template error",)),
        ("    - {command: x, when: 'a =='}", ("template error",)),
        ("    - {command: x, with_itemz: [1]}", ("loop 'with_itemz' is not supported", "did you mean 'with_items'?")),
        ("    - {command: x, loop: [1], with_items: [1]}", ("a task has one loop",)),
        ("    - {command: x, loop: [1], loop_control: {labl: x}}", ("unknown keyword 'labl'", "'label'")),
        ("    - {command: x, register: 'a b'}", ("`register` takes the name of a variable",)),
        ("    - {command: x, register: None}", ("`register` takes the name of a variable",)),
        ("    - include_tasks: absent.yaml", ("file 'absent.yaml' not found",)),
        ("    - import_role: {name: absent}", ("role 'absent' not found",)),
        ("    - meta: end_world", ("meta: it must be one of", "flush_handlers")),
        ("    - debug: 5 6", ("debug takes `name=value` arguments",)),
        (
            "    - {debug: , msg: x}",
            ("unknown keyword 'msg'", "'msg' is an argument of debug: indent it below `debug:`"),
        ),
        ("    - {command: x, become: yesss}", ("`become` takes true or false, not 'yesss'",)),
        ("    - {command: x, ignore_errors: 2}", ("`ignore_errors` takes true or false, not 2",)),
        ("    - {command: x, no_log: sometimes}", ("`no_log` takes true or false, not 'sometimes'",)),
        ("    - {command: x, run_once: [1]}", ("`run_once` takes true or false, not a list",)),
        ("    - {command: x, tags: {a: 1}}", ("`tags` takes a name or a list of names, not a mapping",)),
        ("    - {command: x, become_user: [root]}", ("`become_user` takes a text, not a list",)),
        ("    - {command: x, retries: many, until: true}", ("`retries` takes a number, not 'many'",)),
        ("    - {command: x, throttle: x}", ("`throttle` takes a number, not 'x'",)),
        ("    - {command: x, loop: [1], loop_control: {pause: x}}", ("`pause` takes a number, not 'x'",)),
        ("    - {block: [], ignore_errors: maybe}", ("`ignore_errors` takes true or false, not 'maybe'",)),
        ("    - {rescue: []}", ("`rescue` stands without a `block`", "same indentation")),
        ("    - {command: x, vars: text}", ("'vars' takes a mapping, not a text",)),
        ("    - {command: x, module_defaults: {coppy: {mode: 1}}}", ("unknown module 'coppy'", "did you mean 'copy'?")),
        ("    - {command: x, module_defaults: {file: {stat: x}}}", ("Unsupported parameters", "Did you mean state?")),
        ("    - {command: x, module_defaults: {group/k8s: {a: 1}}}", ("module defaults for 'group/k8s'",)),
        ("    - command", ("a task is a mapping, not",)),
        ("    - block: [{comand: x}]", ("unknown module 'comand'",)),
    ],
)
def test_refusals(project: Project, task: str, words: tuple[str, ...]) -> None:
    message = refused(project, task)
    for word in words:
        assert word in message


def test_all_problems_are_told_together(project: Project) -> None:
    with pytest.raises(PlaybookError) as caught:
        project.load("""
            - hosts: all
              strategi: free
              tasks:
                - coppy: {}
                - file: {path: /x, stat: absent}
        """)
    text = str(caught.value)
    assert "3 problems, nothing was run" in text
    assert "site.yaml:3:3: unknown keyword 'strategi' on a play" in text
    assert "site.yaml:5:7: unknown module 'coppy'" in text
    assert "site.yaml:6:" in text


def test_roles_and_static_includes_are_checked_too(project: Project) -> None:
    project.write("roles/web/tasks/main.yml", "- include_tasks: more.yml\n")
    project.write("roles/web/tasks/more.yml", "- debug: {msg: x}\n- aptt: {name: x}\n")
    with pytest.raises(PlaybookError) as caught:
        project.load("- hosts: all\n  roles: [web]\n")
    assert str(caught.value.where).endswith("roles/web/tasks/more.yml:2:3")


def test_template_files_and_role_variables_are_checked_too(project: Project) -> None:
    template = project.write("roles/web/templates/a.j2", "fine\n{% if %}\n")
    defaults = project.write("roles/web/defaults/main.yml", "a: 1\nb: '{{ a | upperr }}'\n")
    project.write(
        "roles/web/tasks/main.yml", "- template: {src: a.j2, dest: /a}\n- template: {src: absent.j2, dest: /a}\n"
    )
    with pytest.raises(PlaybookError) as caught:
        project.load("- hosts: all\n  roles: [web]\n")
    text = str(caught.value)
    assert f"{template}:2: template error" in text
    assert f"{defaults}:2:4: unknown filter 'upperr'" in text
    assert "template 'absent.j2' not found" in text


def test_cycles_are_named(project: Project) -> None:
    project.write("playbooks/a.yml", "- import_tasks: b.yml\n")
    project.write("playbooks/b.yml", "- import_tasks: a.yml\n")
    with pytest.raises(PlaybookError, match=r"import cycle: a.yml -> b.yml -> a.yml"):
        project.load("- hosts: all\n  tasks:\n    - import_tasks: a.yml\n")
    project.write("roles/x/meta/main.yml", "dependencies: [y]\n")
    project.write("roles/y/meta/main.yml", "dependencies: [x]\n")
    with pytest.raises(PlaybookError, match=r"role cycle: x -> y -> x"):
        project.load("- hosts: all\n  roles: [x]\n")


def test_what_may_stand_for_a_truth_or_a_share_is_taken(project: Project) -> None:
    project.write("roles/x/tasks/main.yml", "- {pause: {seconds: 1}, become: 'Yes', check_mode: 'off', run_once: 1}\n")
    project.load("""
        - hosts: [all, "!h2"]
          serial: [1, "50%", "{{ rest }}"]
          max_fail_percentage: 30%
          gather_facts: smart
          any_errors_fatal: "{{ fatal }}"
          roles: [{role: x, extended: lots, tags: a}]
          tasks:
            - {pause: , tags: [a, [b]], throttle: "2", retries: , become_user: 1000, name: 5}
    """)


def test_a_role_may_import_its_own_files_one_from_the_other(project: Project) -> None:
    project.write("roles/x/tasks/main.yml", "- import_role: {name: x, tasks_from: one}\n")
    project.write("roles/x/tasks/one.yml", "- import_role: {name: x, tasks_from: two}\n")
    project.write("roles/x/tasks/two.yml", "- command: y\n")
    project.load("- hosts: all\n  roles: [x]\n")


def test_templates_stand_in_for_values_that_only_the_run_knows(project: Project) -> None:
    project.load("""
        - hosts: all
          tasks:
            - file: {path: "{{ p }}", state: "{{ s }}", recurse: "{{ r }}"}
            - include_tasks: "{{ inventory_hostname }}.yml"
    """)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "this playbook is empty"),
        ("hosts: all", "a playbook is a list of plays"),
        ("- all", "a play is a mapping"),
        ("- tasks: []", "a play needs `hosts`"),
        ("- {hosts: all, strategy: quick}", "strategy 'quick' is not supported"),
        ("- {hosts: all, roles: [{name: absent}]}", "role 'absent' not found"),
        ("- {hosts: all, serial: lots}", "`serial` takes a number, a percentage or a list of them, not 'lots'"),
        ("- {hosts: all, gather_facts: maybe}", "`gather_facts` takes true, false or smart, not 'maybe'"),
        ("- {hosts: all, max_fail_percentage: x}", "`max_fail_percentage` takes a number, not 'x'"),
        ("- {hosts: all, tasks: {debug: }}", "tasks are a list, not a mapping"),
        ("- {hosts: all, connection: winrm}", "connection 'winrm' is not supported"),
        ("- import_playbook: absent.yaml", "no such playbook: absent.yaml"),
    ],
)
def test_wrong_plays(project: Project, text: str, message: str) -> None:
    with pytest.raises(PlaybookError) as caught:
        project.load(text)
    assert message in str(caught.value)


def test_every_spelling_of_a_task_is_read(project: Project) -> None:
    told = project.tasks(
        """
        - ansible.builtin.command: echo one chdir=/tmp
        - action: command echo two
        - action: {module: command, cmd: echo three}
        - command: {argv: [echo, four]}
        - command: echo
          args: {chdir: /five}
        - file: path=/x state=directory mode="0755"
        - local_action: command echo six
    """,
        limit="h1",
    )
    args = [dict(call.args) for _, call in told.transport.calls]
    assert args == [
        {"chdir": "/tmp", "cmd": "echo one"},
        {"cmd": "echo two"},
        {"cmd": "echo three"},
        {"argv": ["echo", "four"]},
        {"chdir": "/five", "cmd": "echo"},
        {"path": "/x", "state": "directory", "mode": "0755"},
        {"cmd": "echo six"},
    ]
    assert told.transport.calls[-1][0] == "localhost"


def test_the_document_names_every_keyword_filter_test_and_lookup() -> None:
    text = (Path(__file__).parents[2] / "docs/playbooks.md").read_text()
    every = {*keywords.PLAY, *keywords.TASK, *keywords.BLOCK, *FILTERS, *TESTS, *LOOKUPS, *keywords.REFUSED}
    every |= {name for name in CONTROLLER if catalogue.find(name)}
    assert [name for name in sorted(every) if f"`{name}`" not in text] == []
