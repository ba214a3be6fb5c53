"""A role on real hosts: what it does the first time, that it does nothing the second, and how hosts fail."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from r1fleet import lab as labs
from r1fleet.cli.connect import connector
from r1fleet.errors import ExitCode
from r1fleet.events import Event, HostCounts, Recap, TaskResult
from r1fleet.inventory import Inventory, load
from r1fleet.lab import LOCKED_PASSWORD, Lab
from r1fleet.playbook import Options, exit_code, load_playbook, run
from tests.plays import Project

pytestmark = pytest.mark.lab

TASKS = """
- name: Make the service's account
  user: {name: rehearsed, system: true, shell: /usr/sbin/nologin, create_home: false}
- name: Make its folders
  file: {path: "{{ item }}", state: directory, owner: rehearsed, mode: "0750"}
  loop: [/opt/rehearsed, /opt/rehearsed/conf.d]
- name: Write its configuration
  template: {src: service.conf.j2, dest: /opt/rehearsed/service.conf, owner: rehearsed, mode: "0640"}
  notify: Note the change
- name: Copy a tree
  copy: {src: tree/, dest: /opt/rehearsed/conf.d/, mode: "0644"}
- name: Set a limit
  lineinfile: {path: /opt/rehearsed/limits, line: "limit {{ limit }}", regexp: "^limit ", create: true, mode: "0644"}
- name: Ask who we are
  command: id -un
  check_mode: false
  register: who
  changed_when: false
- name: Be root, and then the account
  assert: {that: [who.stdout == 'root', ansible_facts.hostname == inventory_hostname]}
- name: Ask as the account
  command: id -un
  check_mode: false
  become_user: rehearsed
  register: them
  changed_when: them.stdout != 'rehearsed'
"""
HANDLERS = """
- name: Note the change
  copy: {content: "changed\\n", dest: /opt/rehearsed/noted, mode: "0600"}
"""
REMOVE = "userdel rehearsed; rm -rf /opt/rehearsed"
FIRST = HostCounts(ok=10, changed=6)
AGAIN = HostCounts(ok=9, changed=0)


@pytest.fixture(scope="module")
def fleet(lab_name: str) -> Iterator[Lab]:
    name = f"{lab_name}-playbook"
    yield labs.up(name, hosts=2, extra_vars={})
    labs.down(name)


@pytest.fixture
def project(fleet: Lab, tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path)
    project.write("roles/rehearsed/tasks/main.yml", TASKS)
    project.write("roles/rehearsed/handlers/main.yml", HANDLERS)
    project.write("roles/rehearsed/defaults/main.yml", "limit: 64\n")
    project.write(
        "roles/rehearsed/templates/service.conf.j2", "# {{ ansible_managed }}\nhost={{ ansible_facts.hostname }}\n"
    )
    project.write("roles/rehearsed/files/tree/10-first.conf", "first\n")
    project.write("roles/rehearsed/files/tree/more/20-second.conf", "second\n")
    yield project
    for name in ("h1", "h2"):
        on_host(fleet, name, f"{REMOVE} || true")


def on_host(fleet: Lab, name: str, script: str) -> str:
    argv = fleet.ssh(name, script, user="root").argv
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


def inventory(fleet: Lab, project: Project, **of_h2: Any) -> Inventory:
    rows = []
    for name in ("h1", "h2"):
        row = {
            "ansible_host": fleet.host(name).address,
            "ansible_user": "lab",
            "ansible_ssh_private_key_file": str(fleet.key),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={fleet.known_hosts} -o ConnectTimeout=5",
            **(of_h2 if name == "h2" else {}),
        }
        rows.append(f"    {name}: {row!r}\n")
    return load(project.write("inventories/real.yaml", "all:\n  hosts:\n" + "".join(rows)))


def play(project: Project, hosts: Inventory, **options: Any) -> tuple[Recap, list[TaskResult]]:
    path = project.write("playbooks/site.yaml", "- {hosts: all, become: true, roles: [rehearsed]}\n")
    events: list[Event] = []
    recap = run(load_playbook(path, inventory=hosts), hosts, connector(), events.append, Options(**options))
    return recap, [event for event in events if isinstance(event, TaskResult)]


def test_a_role_changes_what_it_must_and_then_nothing(fleet: Lab, project: Project) -> None:
    hosts = inventory(fleet, project)
    recap, results = play(project, hosts)
    assert dict(recap.hosts) == {"h1": FIRST, "h2": FIRST}, [result for result in results if result.status == "failed"]
    assert on_host(fleet, "h2", "cat /opt/rehearsed/service.conf /opt/rehearsed/limits /opt/rehearsed/noted") == (
        "# Ansible managed\nhost=h2\nlimit 64\nchanged\n"
    )
    assert (
        on_host(fleet, "h1", "stat -c '%a %U' /opt/rehearsed/service.conf /opt/rehearsed")
        == "640 rehearsed\n750 rehearsed\n"
    )
    assert on_host(fleet, "h1", "cat /opt/rehearsed/conf.d/more/20-second.conf") == "second\n"
    recap, results = play(project, hosts)
    assert dict(recap.hosts) == {"h1": AGAIN, "h2": AGAIN}, [result for result in results if result.status != "ok"]


def test_check_mode_tells_and_changes_nothing(fleet: Lab, project: Project) -> None:
    hosts = inventory(fleet, project)
    play(project, hosts)
    on_host(fleet, "h1", "echo 'limit 1' > /opt/rehearsed/limits; rm /opt/rehearsed/service.conf")
    before = on_host(fleet, "h1", "find /opt/rehearsed -printf '%p %m %T@\\n' | sort")
    recap, results = play(project, hosts, check=True, diff=True)
    changed = [result.task for result in results if result.status == "changed" and result.host == "h1"]
    assert changed == ["Write its configuration", "Set a limit"]
    assert "limit 64" in str([result.result.get("diff") for result in results if result.task == "Set a limit"])
    assert recap.hosts["h1"].failed == 0
    assert on_host(fleet, "h1", "find /opt/rehearsed -printf '%p %m %T@\\n' | sort") == before


def test_an_unreachable_host_lets_the_others_go_on(fleet: Lab, project: Project) -> None:
    nowhere = fleet.host("h1").address.rpartition(".")[0] + ".250"
    recap, _ = play(project, inventory(fleet, project, ansible_host=nowhere))
    assert recap.hosts["h2"] == HostCounts(unreachable=1)
    assert recap.hosts["h1"] == FIRST
    assert exit_code(recap) == ExitCode.UNREACHABLE


def test_a_wrong_sudo_password_fails_that_host_only(fleet: Lab, project: Project) -> None:
    recap, results = play(project, inventory(fleet, project, ansible_user="locked"), become_password="wrong")
    assert recap.hosts["h1"] == FIRST
    assert recap.hosts["h2"].failed + recap.hosts["h2"].unreachable == 1
    said = next(result.result for result in results if result.host == "h2")
    assert "password" in said["msg"].lower()
    recap, _ = play(project, inventory(fleet, project, ansible_user="locked"), become_password=LOCKED_PASSWORD)
    assert recap.hosts["h2"] == FIRST
