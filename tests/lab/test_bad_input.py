"""What users get wrong: one clear message, the documented exit code, and nothing changed on any host."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1fleet.cli.fleet import Fleet, Reach, access
from r1fleet.inventory import load
from r1fleet.lab import LOCKED_USER, Lab
from r1fleet.launch.lock import Lock
from r1fleet.status import Contact
from tests.lab.reach import answer, ask, r1fleet

DEPLOYMENT = """
deployments:
  small:
    engine: vllm
    accelerator: cpu
    runtime: venv
    model: example/small
    hosts: nodes
    tensor_parallel: 2
    port: 8123
    rendezvous_port: 29123
"""
PLAY = """
- hosts: nodes
  gather_facts: false
  roles: [bad]
"""
# What changes by itself on a host that is left alone, or because somebody logs in.
RESTLESS = "/run /proc /sys /dev /tmp /var/log /var/tmp /var/lib/systemd /var/lib/sudo /var/lib/lastlog /root"


class Project:
    """A user's project folder with the lab's hosts in its inventory."""

    def __init__(self, folder: Path, lab: Lab) -> None:
        self.folder = folder
        self.lab = lab
        self.inventory = folder / "inventories/site.yaml"
        self.write("inventories/site.yaml", lab.inventory.read_text())
        self.write("inventories/group_vars/all.yaml", DEPLOYMENT)
        self.write("play.yaml", PLAY)

    def write(self, path: str, text: str) -> Path:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def role(self, tasks: str) -> None:
        self.write("roles/bad/tasks/main.yml", tasks)

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return r1fleet(*argv, cwd=self.folder, R1FLEET_CACHE=str(self.folder / "cache"))

    def play(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return self.run("play", "play.yaml", "-i", str(self.inventory), *argv)


@pytest.fixture
def project(tmp_path: Path, lab: Lab) -> Project:
    return Project(tmp_path / "project", lab)


@pytest.fixture
def untouched(lab: Lab) -> Iterator[None]:
    """Fail when a file of a host changed during the test."""
    for host in lab.hosts:
        answer(lab, host.name, "touch /root/marker", user="root")
    yield
    prune = " -o ".join(f"-path {path}" for path in RESTLESS.split())
    for host in lab.hosts:
        found = answer(lab, host.name, rf"find / -xdev \( {prune} \) -prune -o -newer /root/marker -print", user="root")
        assert found == "", f"changed on {host.name}: {found}"


def assert_says(ran: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    said = ran.stdout + ran.stderr
    assert ran.returncode == code, said
    for word in words:
        assert word in said


@pytest.mark.usefixtures("untouched")
class TestNothingIsTouched:
    def test_no_such_inventory(self, project: Project) -> None:
        assert_says(project.run("play", "play.yaml", "-i", "inventories/sight.yaml"), 5, "inventories/sight.yaml")

    def test_yaml_that_does_not_parse(self, project: Project) -> None:
        project.write("inventories/site.yaml", "all:\n  hosts: {h1: [}\n")
        assert_says(project.play(), 5, "inventories/site.yaml:2:")

    def test_an_unknown_key_in_a_deployment(self, project: Project) -> None:
        project.write("inventories/group_vars/all.yaml", DEPLOYMENT.replace("tensor_parallel", "tensor_paralel"))
        ran = project.run("launch", "-i", str(project.inventory))
        assert_says(ran, 5, "tensor_paralel", "tensor_parallel", "group_vars/all.yaml:9")

    def test_one_host_name_with_two_addresses(self, project: Project) -> None:
        groups = [
            f"    {name}: {{hosts: {{h1: {{ansible_host: 10.0.0.{number}}}}}}}" for number, name in enumerate("ab", 1)
        ]
        project.write("inventories/site.yaml", "\n".join(["all:", "  children:", *groups]))
        assert_says(project.play(), 5, "h1", "10.0.0.1", "10.0.0.2", "site.yaml:4")

    def test_a_group_cycle(self, project: Project) -> None:
        project.write("inventories/site.yaml", "all:\n  children:\n    a: {children: {b: {children: {a: {}}}}}\n")
        assert_says(project.play(), 5, "a -> b -> a")

    def test_an_unknown_module_in_a_role(self, project: Project) -> None:
        project.role("- name: Typo\n  copi:\n    dest: /etc/bad\n")
        assert_says(project.play(), 5, "copi", "copy", "roles/bad/tasks/main.yml:2")

    def test_an_unknown_keyword_in_a_role(self, project: Project) -> None:
        project.role("- name: Typo\n  whenn: true\n  command: touch /etc/bad\n")
        assert_says(project.play(), 5, "whenn", "when", "roles/bad/tasks/main.yml:")

    def test_an_undefined_variable_in_a_template(self, project: Project) -> None:
        project.role("- name: Render\n  become: true\n  template: {src: conf.j2, dest: /etc/bad}\n")
        project.write("roles/bad/templates/conf.j2", "first\nsecond {{ nowhere }}\n")
        assert_says(project.play(), 2, "'nowhere' is undefined", "conf.j2:2")

    def test_a_wrong_sudo_password(self, project: Project) -> None:
        project.role("- name: Ask\n  become: true\n  command: touch /etc/bad\n")
        ran = project.play("-e", f"ansible_user={LOCKED_USER} ansible_become_password=xyzzy-17")
        assert_says(ran, 2, "sudo", "password")
        assert "xyzzy-17" not in ran.stdout + ran.stderr

    def test_a_changed_host_key(self, project: Project) -> None:
        keys = (project.lab.folder / "known_hosts").read_text().splitlines()
        first = project.lab.hosts[0].address
        other = next(line.split()[-1] for line in keys if first not in line.split()[0])
        changed = project.write("known_hosts", f"{first} ssh-ed25519 {other}\n")
        project.role("- name: Try\n  command: touch /tmp/never\n")
        ran = project.play("-l", "h1", "-e", f"ansible_ssh_common_args='-o UserKnownHostsFile={changed}'")
        assert_says(ran, 4, "h1", "HAS CHANGED", "ssh-keygen -f")

    def test_a_model_that_is_not_there_and_a_port_that_is_taken_are_told_together(self, project: Project) -> None:
        taken = "setsid python3 -m http.server --directory /nonexistent 8123 >/dev/null 2>&1 </dev/null & echo $!"
        pid = answer(project.lab, "h1", taken)
        answer(project.lab, "h1", "until ss -Hltn sport = :8123 | grep -q .; do sleep 0.05; done")
        try:
            ran = project.run("launch", "small", "-i", str(project.inventory))
        finally:
            answer(project.lab, "h1", f"kill {pid}")
        assert_says(ran, 6, "8123", f"pid {pid} (python3", "/var/lib/r1fleet/weights/example--small@main", "h1", "h2")

    def test_status_where_nothing_was_launched(self, project: Project) -> None:
        assert_says(project.run("status", "-i", str(project.inventory)), 0, "Nothing has been launched on site")


def test_an_unreachable_host_drops_out_and_the_others_go_on(project: Project) -> None:
    text = project.inventory.read_text().replace(
        f"ansible_host: {project.lab.hosts[1].address}", f"ansible_host: {project.lab.prefix.replace('0/24', '250')}"
    )
    project.write("inventories/site.yaml", text)
    project.role("- name: Say\n  command: hostname\n  register: said\n- debug: {var: said.stdout}\n")

    ran = project.play()

    assert_says(ran, 4, "unreachable: h2", "said.stdout: h1", "recap: h1: ok=2")


def test_a_launch_while_another_holds_the_lock(project: Project) -> None:
    fleet = Fleet(load(project.inventory), {})
    way = access(Reach())
    for host in project.lab.hosts:
        model = "/var/lib/r1fleet/weights/example--small@main"
        answer(project.lab, host.name, f"mkdir -p {model} && echo '{{}}' > {model}/config.json", user="root")
        engine = "/opt/r1fleet/venvs/vllm/bin"
        answer(project.lab, host.name, f"mkdir -p {engine} && ln -sf /bin/true {engine}/vllm", user="root")
        answer(project.lab, host.name, "id r1fleet || useradd --system r1fleet", user="root")
    try:
        with Contact(way, [fleet.hosts["h1"]]) as contact:
            lock = Lock(contact, "h1", "small", "launch", "somebody@elsewhere")
            lock.acquire(1)
            ran = project.run("launch", "small", "-i", str(project.inventory))
            lock.release()
    finally:
        way.transport.close()
        for host in project.lab.hosts:
            ask(project.lab, host.name, "rm -rf /var/lib/r1fleet /opt/r1fleet", user="root")

    assert_says(ran, 7, "somebody@elsewhere", "r1fleet lock release small")


def test_the_project_needs_no_more_than_its_folder(project: Project, tmp_path: Path) -> None:
    moved = tmp_path / "a folder with spaces"
    shutil.move(project.folder, moved)
    project.folder, project.inventory = moved, moved / "inventories/site.yaml"
    project.role("- name: Say\n  command: hostname\n  changed_when: false\n")

    assert_says(project.play(), 0, "recap: h1: ok=1")
