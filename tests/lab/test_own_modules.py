"""A user's own module on real hosts: the one that docs/modules.md shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1fleet.lab import Lab
from tests.lab.reach import ROOT, answer, ask, r1fleet

pytestmark = pytest.mark.lab

SHOWN = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "modules.md").read_text(encoding="utf-8"), re.DOTALL)[0]
ASKING = """
import os
ARGUMENTS = {"token": {"type": "str", "no_log": True}}
CHECK_MODE = False
def run(ctx):
    if ctx.args["token"] is None:
        ctx.fail("no token", user=os.geteuid())
    return {"said": ctx.args["token"], "user": os.geteuid()}
"""
NOTE = "/root/own-module-note"


@pytest.fixture
def site(lab: Lab, tmp_path: Path) -> Iterator[Path]:
    for name, source in (("note", SHOWN), ("asking", ASKING)):
        path = tmp_path / "library" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
    yield tmp_path / "site.yml"
    for host in ("h1", "h2"):
        answer(lab, host, f"rm -f {NOTE}", user="root")


def play(lab: Lab, site: Path, tasks: str, *options: str) -> tuple[int, str]:
    head = "- hosts: all\n  gather_facts: false\n  become: true\n  tasks:\n"
    site.write_text(head + "".join(f"    {line}\n" for line in tasks.strip().splitlines()))
    done = r1fleet("play", str(site), "-i", str(lab.inventory), "--output", "ansible", *options)
    return done.returncode, done.stdout + done.stderr


def test_the_documents_module_works_on_hosts(lab: Lab, site: Path) -> None:
    task = f'- note: {{dest: {NOTE}, text: "of {{{{ inventory_hostname }}}}"}}'
    code, told = play(lab, site, task, "--check", "--diff")
    assert (code, told.count("changed: ["), told.count("+of h1")) == (0, 2, 1), told
    assert ask(lab, "h1", f"cat {NOTE}", user="root").returncode == 1
    code, told = play(lab, site, task)
    assert (code, told.count("changed: [")) == (0, 2), told
    assert answer(lab, "h2", f"stat -c '%U %a' {NOTE}; cat {NOTE}", user="root") == "root 644\nof h2"
    code, told = play(lab, site, task)
    assert (code, told.count("ok: [")) == (0, 2), told


def test_it_runs_as_others_in_the_background_and_beside_the_controller(lab: Lab, site: Path) -> None:
    code, told = play(
        lab,
        site,
        """
- {asking: {token: hush}, become_user: nobody, register: one}
- {asking: {token: hush}, async: 30, poll: 1, register: two}
- {asking: {token: hush}, delegate_to: localhost, become: false, register: three}
- {asking: {}, register: four, ignore_errors: true}
- debug: {msg: "{{ [one.user, two.user, four.user, four.msg, one.said, two.said, three.said] }}"}
""",
        "-l",
        "h1",
    )
    assert code == 0, told
    for word in ("65534", '"no token"', "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"):
        assert word in told
    assert "hush" not in told


def test_wrong_arguments_and_ansibles_modules_touch_no_host(lab: Lab, site: Path) -> None:
    code, told = play(lab, site, f"- note: {{dest: {NOTE}, txt: x}}")
    assert (code, "site.yml:5" in told, "Did you mean text?" in told) == (5, True, True), told
    (site.parent / "library" / "theirs.py").write_text("from ansible.module_utils.basic import AnsibleModule\n")
    code, told = play(lab, site, f"- note: {{dest: {NOTE}, text: x}}\n- theirs:")
    assert (code, "library/theirs.py:1" in told, "PLAY" in told) == (5, True, False), told
    assert ask(lab, "h1", f"cat {NOTE}", user="root").returncode == 1
