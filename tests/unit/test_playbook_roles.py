"""Roles, includes, handlers, and which variable wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1fleet.events import TaskStarted
from r1fleet.inventory.source import load_yaml_text
from r1fleet.playbook import Options, list_hosts, list_tags, list_tasks, resolve
from tests.plays import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def show(*names: str) -> str:
    """Write a debug task that shows variables."""
    texts = " ".join(f"{{{{ {name} | default('-') }}}}" for name in names)
    return f'{{debug: {{msg: "{texts}"}}}}'


def test_each_origin_of_a_variable_wins_over_the_ones_below(project: Project) -> None:
    names = ["defaults", "inventory", "play", "file", "role", "block", "task", "included", "fact", "param", "extra"]

    def from_level(name: str) -> str:
        """All variables at and above a level's own number are set there."""
        position = names.index(name)
        return "".join(f"v{index}: {name}\n" for index in range(position, len(names)))

    block = "{" + ", ".join(from_level("block").split("\n")[:-1]) + "}"
    task = "{" + ", ".join(from_level("task").split("\n")[:-1]) + "}"
    fact = "{" + ", ".join(from_level("fact").split("\n")[:-1]) + "}"
    param = ", ".join(from_level("param").split("\n")[:-1])
    play = "{" + ", ".join(from_level("play").split("\n")[:-1]) + "}"
    project.write("roles/r/defaults/main.yml", from_level("defaults"))
    project.write("roles/r/vars/main.yml", from_level("role"))
    project.write("roles/r/vars/more.yml", from_level("included"))
    project.write("inventories/group_vars/all.yaml", from_level("inventory"))
    project.write("playbooks/vars/file.yml", from_level("file"))
    shown = " ".join(f"{{{{ v{index} }}}}" for index in range(len(names)))
    project.write(
        "roles/r/tasks/main.yml",
        f"""
        - include_vars: more.yml
        - set_fact: {fact}
        - block:
            - {{name: shown, debug: {{msg: "{shown}"}}, vars: {task}}}
          vars: {block}
        """,
    )
    told = project.play(
        f"- {{hosts: h1, gather_facts: false, vars: {play}, vars_files: [file.yml], roles: [{{role: r, {param}}}]}}",
        extra_vars={"v10": "extra"},
    )
    assert told.messages()[-1].split() == names


def test_a_role_brings_defaults_vars_handlers_templates_and_dependencies(project: Project) -> None:
    project.write("roles/base/tasks/main.yml", f"- {show('role_name', 'shared', 'who')}\n")
    project.write("roles/base/defaults/main.yml", "shared: base\n")
    project.write("roles/web/meta/main.yml", "dependencies: [{role: base, who: web}]\n")
    project.write("roles/web/defaults/main.yml", "number: 80\n")
    project.write(
        "roles/web/tasks/main.yml",
        "- {name: conf, template: {src: web.j2, dest: /web}, notify: reload}\n- include_tasks: more.yml\n",
    )
    project.write("roles/web/tasks/more.yml", f"- {show('role_name', 'number', 'shared')}\n")
    project.write("roles/web/templates/web.j2", "{{ number }}{{ shared }}\n")
    project.write("roles/web/handlers/main.yml", "- {name: reload, debug: {msg: 'reload {{ number }}'}}\n")
    told = project.play(
        "- {hosts: h1, gather_facts: false, roles: [{role: web, number: 81}, web, {role: web, number: 81}]}"
    )
    assert told.transport.calls[0][1].blobs[0].open().read() == b"81base\n"
    assert told.messages() == ["base base web", "web 81 base", "web 80 base"]
    assert len(told.transport.calls) == 2


def test_handlers_run_once_in_the_order_of_their_definition(project: Project) -> None:
    told = project.play("""
        - hosts: h1
          gather_facts: false
          tasks:
            - {command: echo, notify: [third, topic]}
            - {command: echo, notify: first}
            - {command: "true", notify: never, changed_when: false}
            - {name: between, meta: flush_handlers}
            - {name: after, command: echo, notify: third}
          post_tasks: [{name: post, command: echo}]
          handlers:
            - {name: first, command: echo, notify: fourth}
            - {name: second, command: echo, listen: topic}
            - {name: third, command: echo}
            - {name: fourth, command: echo}
            - {name: never, command: echo}
    """)
    handlers = [event.name for event in told.events if isinstance(event, TaskStarted) and event.handler]
    assert handlers == ["first", "second", "third", "fourth", "third"]
    assert told.titles().index("fourth") < told.titles().index("after") < told.titles().index("post")


def test_a_failed_host_runs_handlers_only_where_the_play_forces_them(project: Project) -> None:
    play = """
        - hosts: h1
          gather_facts: false
          force_handlers: {force}
          tasks:
            - {{command: echo, notify: late}}
            - {{command: "false"}}
          handlers: [{{name: late, command: echo}}]
    """
    assert "late" not in project.play(play.format(force="false")).titles()
    assert "late" in project.play(play.format(force="true")).titles()


def test_a_handler_that_nobody_has_fails_the_task(project: Project) -> None:
    told = project.tasks("- {name: one, command: echo, notify: absent}")
    assert "'absent' was not found" in told.result("one")["msg"]


def test_an_include_hands_down_what_surrounds_it_and_what_it_applies(project: Project) -> None:
    project.write("playbooks/more.yml", f"- {show('given', 'item', 'applied')}\n")
    told = project.tasks("""
        - {include_tasks: more.yml, vars: {given: "{{ n }}"}, when: n < 3}
        - {include_tasks: more.yml, loop: [a, b], when: item == 'b' and n == 1}
        - include_tasks: {file: more.yml, apply: {vars: {applied: yes}, tags: x}}
    """)
    assert told.messages("h1") == ["1 - -", "- b -", "- - True"]
    assert told.messages("h3") == ["- - True"]


def test_include_role_runs_what_tasks_from_names_and_keeps_its_variables(project: Project) -> None:
    project.write("roles/r/tasks/other.yml", f"- {show('v', 'd', 'p')}\n")
    project.write("roles/r/tasks/main.yml", "- fail:\n")
    project.write("roles/r/defaults/main.yml", "d: default\n")
    project.write("roles/r/vars/main.yml", "v: var\n")
    told = project.tasks(
        f"""
        - include_role: {{name: r, tasks_from: other}}
          vars: {{p: param}}
        - {show("d")}
        - include_role: {{name: r, tasks_from: other, public: true}}
        - {show("d")}
    """,
        limit="h1",
    )
    assert told.messages() == ["var default param", "-", "var default -", "default"]


def test_a_wrong_include_that_only_the_run_knows_fails_that_host(project: Project) -> None:
    project.write("playbooks/2.yml", "- comand: x\n")
    project.write("playbooks/1.yml", "- {name: fine, command: echo}\n")
    project.write("playbooks/3.yml", "[]\n")
    told = project.tasks("- {name: choose, include_tasks: '{{ n }}.yml'}")
    assert "unknown module 'comand'" in told.result("choose", "h2")["msg"]
    assert ("fine", "changed") in told.statuses("h1")


def test_argument_specs_are_checked_before_the_role(project: Project) -> None:
    project.write("roles/r/tasks/main.yml", "- {name: inside, debug: {msg: x}}\n")
    project.write(
        "roles/r/meta/argument_specs.yml",
        "argument_specs: {main: {options: {size: {type: int, required: true}, kind: {choices: [a, b]}}}}\n",
    )
    fine = project.play("- {hosts: h1, gather_facts: false, roles: [{role: r, size: 5}]}")
    assert fine.titles() == ["Validating arguments against arg spec 'main'", "inside"]
    wrong = project.play("- {hosts: h1, gather_facts: false, roles: [{role: r, size: 5, kind: c}]}")
    assert (
        "value of kind must be one of: a, b, got: c"
        in wrong.result("Validating arguments against arg spec 'main'")["msg"]
    )


def test_module_defaults_stand_below_a_tasks_own_arguments(project: Project) -> None:
    told = project.play("""
        - hosts: h1
          gather_facts: false
          module_defaults: {file: {mode: "0700", owner: app}}
          tasks: [{file: {path: /x, state: touch, mode: "0600"}}]
    """)
    args = told.transport.calls[0][1].args
    assert (args["mode"], args["owner"]) == ("0600", "app")


def test_facts_are_gathered_and_seen_under_both_names(project: Project) -> None:
    told = project.tasks("- set_fact: {a: 1, cacheable: true}\n- " + show("a", "ansible_facts.a") + "\n", limit="h1")
    assert told.messages() == ["1 1"]


def test_hostvars_render_as_the_other_host_sees_them(project: Project) -> None:
    told = project.play("""
        - hosts: all
          gather_facts: false
          vars: {mine: "{{ inventory_hostname }}-{{ n }}"}
          tasks: [{debug: {msg: "{{ hostvars['h2'].mine }} {{ groups.all | map('extract', hostvars, 'n') | join }}"}}]
    """)
    assert told.messages("h1") == ["h2-2 123"]


def test_lists_touch_no_host(project: Project) -> None:
    playbook = project.load("""
        - hosts: h2:h3
          name: some
          tasks: [{name: one, command: x, tags: a}, {block: [{name: two, command: x}]}]
    """)
    assert list_hosts(playbook, project.inventory, Options(limit="h3")) == [("some", ("h3",))]
    ((_, tasks),) = list_tasks(playbook, project.inventory, Options(skip_tags=("a",)))
    assert [task.name for task in tasks] == ["two"]
    assert list_tags(playbook, project.inventory, Options()) == [("some", ("a",))]


def test_a_hosts_variables_resolve_to_plain_values(project: Project) -> None:
    project.write(
        "inventories/group_vars/all.yaml",
        "address: '10.0.0.{{ n }}'\nbroken: '{{ absent }}'\ndeep: {a: ['{{ address }}']}\n",
    )
    inventory = project.inventory
    variables = resolve(inventory, inventory.hosts["h2"], load_yaml_text("{n: 9}", "extra", "variables"))
    assert variables["deep"] == {"a": ["10.0.0.9"]}
    with pytest.raises(Exception, match="'absent' is undefined"):
        variables["broken"]


def test_included_variables_are_rendered_where_they_are_used(project: Project) -> None:
    project.write("playbooks/vars/more.yml", "a: 'a{{ n }}'\nb: '{{ a }}b'\n")
    told = project.tasks("""
        - include_vars: more.yml
        - include_vars: {file: more.yml, name: nested}
        - {debug: {msg: "{{ b }} {{ nested.a }}"}, vars: {n: 7}}
    """)
    assert told.messages() == ["a7b a7"]


def test_vars_given_where_a_role_is_named_are_that_roles_alone(project: Project) -> None:
    project.write("roles/leaf/tasks/main.yml", "- {name: '{{ colour }}', debug: {msg: '{{ colour }}'}}\n")
    project.write("roles/leaf/defaults/main.yml", "colour: default\n")
    project.write("roles/top/meta/main.yml", "dependencies: [{role: leaf, colour: deep}]\n")
    told = project.play("""
        - hosts: h1
          gather_facts: false
          roles: [leaf, {role: leaf, vars: {colour: green}}, leaf, top]
          tasks:
            - {name: last, debug: {msg: "{{ colour }}"}}
            - {name: play, debug: {msg: "{{ ansible_play_role_names }}"}}
            - {name: all, debug: {msg: "{{ ansible_role_names | sort }} {{ ansible_dependent_role_names }}"}}
    """)
    assert told.messages()[:4] == ["default", "green", "deep", "default"]
    assert told.result("play")["msg"] == ["leaf", "leaf", "leaf", "top"]
    assert told.result("all")["msg"] == "['leaf', 'top'] ['leaf']"


def test_end_role_ends_the_role_on_its_host_and_nothing_else(project: Project) -> None:
    project.write(
        "roles/leaf/tasks/main.yml",
        """
        - {name: one, command: echo}
        - {meta: end_role, when: n == 2}
        - {name: two, file: {path: /a, state: directory}}
        - {name: three, file: {path: /b, state: directory}}
        - block:
            - {name: four, command: echo}
        """,
    )
    told = project.play("""
        - hosts: all
          gather_facts: false
          roles: [leaf]
          tasks:
            - {name: after, command: echo}
    """)
    assert [name for name, _ in told.statuses("h2")] == ["one", "after"]
    assert [name for name, _ in told.statuses("h1")] == ["one", "two", "three", "four", "after"]


def test_a_collections_role_is_found_and_named_in_full(project: Project) -> None:
    tree = "playbooks/collections/ansible_collections/some/where/roles"
    project.write(
        f"{tree}/one/tasks/main.yml", "- {name: a, command: echo, notify: mend}\n- import_role: {name: two}\n"
    )
    project.write(
        f"{tree}/one/handlers/main.yml", "- {name: mend, debug: {msg: '{{ ansible_role_name }} {{ role_name }}'}}\n"
    )
    project.write(f"{tree}/two/tasks/main.yml", "- {name: b, command: echo, notify: 'some.where.one : mend'}\n")
    told = project.play("- {hosts: h1, gather_facts: false, collections: [some.where], roles: [some.where.one]}")
    begun = [(event.role, event.name) for event in told.events if isinstance(event, TaskStarted)]
    assert begun == [("some.where.one", "a"), ("some.where.two", "b"), ("some.where.one", "mend")]
    assert told.messages() == ["some.where.one one"]
