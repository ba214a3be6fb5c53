"""What plays meet on real hosts: big files, floods of output, odd names, other identities, jobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from r1fleet import lab as labs
from r1fleet.lab import LOCKED_PASSWORD, LOCKED_USER, Lab
from tests.lab.reach import ROOT, answer
from tests.plays import Project

pytestmark = pytest.mark.lab

BIG = 300 << 20
MOST = 160 << 10  # KiB that the controller may take, whatever travels
ODD = ["with space", "quo'te\"s", "new\nline", "-dash", "--", "$(id)", "gl*b[1]", "ümlaut", "byte\udcff"]


@pytest.fixture(scope="module")
def fleet(lab_name: str) -> Iterator[Lab]:
    name = f"{lab_name}-input"
    yield labs.up(name, hosts=1)
    labs.down(name)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


class Ran:
    """A playbook run as its user runs it: results by task, and the memory that the controller took, in KiB."""

    def __init__(self, inventory: Path, project: Project, tasks: str, *argv: str) -> None:
        path = project.folder / "site.yaml"
        lines = "".join(f"    {line}\n" for line in tasks.splitlines())
        path.write_text(f"- hosts: h1\n  gather_facts: false\n  tasks:\n{lines}")
        command = [sys.executable, "-m", "r1fleet", "play", str(path), "-i", str(inventory), "--json", *argv]
        output = project.folder / "output"
        with output.open("wb") as stream:
            child = subprocess.Popen(command, cwd=ROOT, stdout=stream, stderr=subprocess.STDOUT)
            self.most = 0
            while child.poll() is None:
                self.most = max(self.most, _peak(child.pid))
                time.sleep(0.02)
            self.code = child.returncode
        events = [json.loads(line) for line in output.read_bytes().splitlines()]
        self.results = {event["task"]: event["result"] for event in events if event["event"] == "task_result"}


def _peak(pid: int) -> int:
    """Return a program's own peak; what ``wait4`` tells begins with that of the process which started it."""
    try:
        told = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in told.splitlines() if line.startswith("VmHWM:")), 0)


def test_big_files_travel_both_ways_without_filling_memory(fleet: Lab, project: Project) -> None:
    source = project.write("files/big", "")
    os.truncate(source, BIG)
    ran = Ran(
        fleet.inventory,
        project,
        f"""
- {{name: there, copy: {{src: big, dest: /tmp/big}}, register: sent}}
- {{name: back, fetch: {{src: /tmp/big, dest: "{project.folder}/back", flat: true}}}}
- {{name: gone, file: {{path: /tmp/big, state: absent}}}}
""",
    )
    assert ran.code == 0, ran.results
    assert ran.results["there"]["changed"]
    assert ran.most > MOST // 10
    assert (project.folder / "back").stat().st_size == BIG
    assert ran.most < MOST, ran.most


def test_a_flood_of_output_is_cut_with_a_note(fleet: Lab, project: Project) -> None:
    ran = Ran(fleet.inventory, project, "- {name: one, shell: head -c 100000000 /dev/zero | tr '\\0' x}")
    assert ran.code == 0
    stdout = ran.results["one"]["stdout"]
    assert stdout.endswith("more bytes were dropped]")
    assert len(stdout) < 11 << 20
    assert ran.most < 3 * MOST


def test_output_of_any_bytes_is_text(fleet: Lab, project: Project) -> None:
    tasks = r"""- {name: one, shell: "printf 'a\\377\\0\\1\\033[31mred [bold]x'"}"""
    ran = Ran(fleet.inventory, project, tasks)
    assert ran.code == 0, ran.results
    assert ran.results["one"]["stdout"] == "a\ufffd\0\1\x1b[31mred [bold]x"


def test_names_of_any_kind_are_taken_as_they_are(fleet: Lab, project: Project) -> None:
    answer(fleet, "h1", "rm -rf /tmp/odd; mkdir /tmp/odd")
    shown = [name for name in ODD if name.isprintable() or name == "new\nline"]
    tasks = """
- {name: made, file: {path: "/tmp/odd/{{ item }}", state: touch, mode: "0600"}, loop: "{{ odd }}"}
- {name: seen, command: {argv: [ls, -d, --, "{{ item }}"], chdir: /tmp/odd}, loop: "{{ odd }}"}
- {name: found, find: {paths: /tmp/odd}, register: there}
- {name: again, file: {path: "{{ item.path }}", mode: "0640"}, loop: "{{ there.files }}"}
"""
    ran = Ran(fleet.inventory, project, tasks, "-e", json.dumps({"odd": shown}))
    assert ran.code == 0, ran.results
    assert answer(fleet, "h1", "find /tmp/odd -type f -perm 0640 | tr -dc /").count("/") >= 3 * len(shown)
    assert ran.results["again"]["changed"]


def test_a_name_that_is_no_utf_8_survives_the_way_there_and_back(fleet: Lab, project: Project) -> None:
    answer(fleet, "h1", r"rm -rf /tmp/bytes.d; mkdir /tmp/bytes.d; touch /tmp/bytes.d/$(printf 'x\377')")
    ran = Ran(
        fleet.inventory,
        project,
        """
- {name: found, find: {paths: /tmp/bytes.d}, register: there}
- {name: changed, file: {path: "{{ there.files[0].path }}", mode: "0640"}}
- {name: listed, command: {argv: [stat, -c, "%a", "{{ there.files[0].path }}"]}}
""",
    )
    assert ran.code == 0, ran.results
    assert ran.results["listed"]["stdout"] == "640"


@pytest.mark.parametrize(("user", "more"), [("lab", {}), (LOCKED_USER, {"ansible_become_password": LOCKED_PASSWORD})])
def test_raw_and_script_become_another(fleet: Lab, project: Project, user: str, more: dict[str, Any]) -> None:
    project.write("files/who.sh", '#!/bin/sh\necho "$1 $(id -un)"\n')
    tasks = """
- {name: raw, raw: id -un, become: true}
- {name: script, script: who.sh 'a b', become: true}
- {name: other, script: who.sh x, become: true, become_user: nobody}
"""
    ran = Ran(fleet.inventory, project, tasks, "-e", json.dumps({"ansible_user": user, **more}))
    assert ran.code == 0, ran.results
    assert [ran.results[name]["stdout"].strip() for name in ("raw", "script", "other")] == [
        "root",
        "a b root",
        "x nobody",
    ]


def test_a_task_may_be_reached_in_its_own_way(fleet: Lab, project: Project) -> None:
    access = f"-o UserKnownHostsFile={fleet.known_hosts} -i {fleet.key}"
    row = {"ansible_host": fleet.host("h1").address, "ansible_ssh_common_args": access}
    inventory = project.write("inventories/plain.yaml", f"all: {{hosts: {{h1: {row!r}}}}}\n")
    tasks = """
- {name: one, command: id -un, remote_user: root}
- {name: two, command: id -un, remote_user: lab, port: 22}
- {name: three, command: hostname, remote_user: lab}
- {name: four, command: hostname, connection: local}
"""
    ran = Ran(inventory, project, tasks)
    assert ran.code == 0, ran.results
    assert [ran.results[name]["stdout"] for name in ("one", "two", "three")] == ["root", "lab", "h1"]
    assert ran.results["four"]["stdout"] == os.uname().nodename


def test_jobs_run_on_without_us_and_as_another(fleet: Lab, project: Project) -> None:
    ran = Ran(
        fleet.inventory,
        project,
        """
- {name: waited, shell: "id -un; sleep 0.2", become: true, async: 20, poll: 0.1}
- {name: late, shell: "sleep 5", async: 1, poll: 0.2, ignore_errors: true}
- {name: left, shell: "while [ ! -e /tmp/go-on ]; do sleep 0.1; done; touch /tmp/went-on", async: 60, poll: 0}
""",
    )
    assert ran.code == 0, ran.results
    assert ran.results["waited"]["stdout"] == "root"
    assert ran.results["late"]["msg"] == "Timeout exceeded"
    done = "touch /tmp/go-on; for i in $(seq 100); do [ -e /tmp/went-on ] && echo yes && break; sleep 0.1; done"
    assert answer(fleet, "h1", done) == "yes"
    job = ran.results["left"]["ansible_job_id"]
    asked = Ran(
        fleet.inventory,
        project,
        f"""
- {{name: asked, async_status: {{jid: {job}}}, register: out, until: out is finished, delay: 0.2, retries: 20}}
- {{name: forgotten, async_status: {{jid: {job}, mode: cleanup}}}}
""",
    )
    assert asked.results["asked"]["rc"] == 0
    assert answer(fleet, "h1", "ls ~/.ansible_async") == ""
