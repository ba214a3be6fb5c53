"""Plays on a lab by the command line, and what they print."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from r1fleet.lab import Lab
from tests.lab.reach import answer, r1fleet


@dataclass
class Ground:
    """A lab of its own, and plays on it by the command line."""

    lab: Lab
    folder: Path

    def write(self, tasks: str, *, hosts: str = "all", become: bool = True) -> Path:
        """Write a play; its tasks begin at line 5, two columns in."""
        path = self.folder / "play.yml"
        head = f"- hosts: {hosts}\n  gather_facts: false\n  become: {str(become).lower()}\n  tasks:\n"
        path.write_text(head + "".join(f"    {line}\n" for line in tasks.strip().splitlines()))
        return path

    def play(self, tasks: str, *more: str, hosts: str = "h2", become: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a play to its end."""
        path = self.write(tasks, hosts=hosts, become=become)
        return r1fleet("play", str(path), "-i", str(self.lab.inventory), *more)

    def root(self, host: str, script: str) -> str:
        """Run a shell script as root, by the machine's own ssh."""
        return answer(self.lab, host, script, user="root")

    def alive(self, host: str, pattern: str) -> str:
        """List what runs on a host."""
        return self.root(host, f"ps -eo args | grep -e {shlex.quote(pattern)} | grep -v grep | cut -c1-60; true")


def eventually(condition: Callable[[], object], seconds: float = 20) -> bool:
    """Wait until something holds; False where it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def said(done: subprocess.CompletedProcess[str], *lines: str) -> None:
    """Assert that lines stand in the output in this order; each is a regular expression for its whole line."""
    rest = iter(done.stdout.splitlines())
    for line in lines:
        assert any(re.fullmatch(line, found.strip()) for found in rest), f"no line {line!r} in:\n{done.stdout}"
