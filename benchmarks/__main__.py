"""How long a role takes that has nothing to change, against merely connecting and starting Python on every host."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import paramiko

from r1fleet import lab
from r1fleet.lab import Lab, LabHost

NAME = "bench"
TASKS = """\
- hosts: nodes
  become: true
  tasks:
    - file: {path: /opt/bench, state: directory, mode: "0755"}
    - copy: {dest: "/opt/bench/{{ item }}", content: "file {{ item }}\\n", mode: "0644"}
      loop: [one, two, three, four, five]
    - template: {src: conf.j2, dest: /opt/bench/conf, mode: "0640"}
    - lineinfile: {path: /opt/bench/conf, regexp: "^level", line: "level = 3"}
    - blockinfile: {path: /opt/bench/conf, block: "a = 1\\nb = 2"}
    - apt: {name: [sudo, python3, openssh-server]}
    - user: {name: bench, system: true, shell: /usr/sbin/nologin}
    - systemd: {name: ssh, state: started, enabled: true}
    - stat: {path: /opt/bench/conf}
      register: conf
    - assert: {that: [conf.stat.exists, "conf.stat.mode == '0640'"]}
    - command: uname -r
      changed_when: false
"""


def main() -> None:
    """Run both in turn and print the ratio."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--hosts", type=int, default=8)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    made = lab.up(NAME, hosts=given.hosts, extra_vars={})
    try:
        with tempfile.TemporaryDirectory() as folder:
            _measure(made, Path(folder), given.runs)
    finally:
        lab.down(NAME)


def _measure(made: Lab, folder: Path, runs: int) -> None:
    playbook = folder / "play.yaml"
    playbook.write_text(TASKS)
    (folder / "templates").mkdir()
    (folder / "templates/conf.j2").write_text("host = {{ inventory_hostname }}\nlevel = 1\n")
    command = [sys.executable, "-m", "r1fleet", "play", str(playbook), "-i", str(made.inventory), "--output", "plain"]
    first = _timed(lambda: _play(command))
    bare, role = [], []
    for _ in range(runs):
        bare.append(_timed(lambda: _connect(made)))
        role.append(_timed(lambda: _play(command)))
    ratios = [ours / theirs for ours, theirs in zip(role, bare, strict=True)]
    print(f"{len(made.hosts)} hosts, {os.cpu_count()} cores, {runs} runs: median (least to most)")
    print(f"  connect and run python3, paramiko threads  {_spread(bare)} s")
    print(f"  the role, nothing to change, r1fleet play  {_spread(role)} s   (first run, all to change: {first:.2f} s)")
    print(f"  ratio                                      {_spread(ratios)}")


def _timed(work: Callable[[], None]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _play(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)


def _connect(made: Lab) -> None:
    with ThreadPoolExecutor(len(made.hosts)) as pool:
        list(pool.map(lambda host: _run_python(made, host), made.hosts))


def _run_python(made: Lab, host: LabHost) -> None:
    with paramiko.SSHClient() as client:
        client.load_host_keys(str(made.known_hosts))
        client.connect(
            host.address, username=lab.USER, key_filename=str(made.key), look_for_keys=False, allow_agent=False
        )
        _, stdout, _ = client.exec_command("python3 -S -E -c pass")
        stdout.channel.recv_exit_status()


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
