"""Reach lab hosts from tests, by the machine's own ssh."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from r1fleet.cli.connect import connector
from r1fleet.events import Observer, ignore
from r1fleet.inventory import load
from r1fleet.lab import USER, Lab
from r1fleet.provision import Provisioned, ProvisionOptions, provision

ROOT = Path(__file__).parents[2]


def ask(lab: Lab, host: str, command: str, *, user: str = USER, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run one shell command on a host."""
    argv = lab.ssh(host, command, user=user, options=("BatchMode=yes", "ConnectTimeout=10")).argv
    return subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=120, check=False)


def answer(lab: Lab, host: str, command: str, *, user: str = USER) -> str:
    """Run one shell command that must succeed, and return what it says."""
    done = ask(lab, host, command, user=user)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout.strip()


def boot_id(lab: Lab, host: str) -> str:
    """Return what changes with every boot."""
    return answer(lab, host, "cat /proc/sys/kernel/random/boot_id")


def banner(lab: Lab, host: str, *, within: float = 1.0) -> bytes:
    """Connect to a host's sshd and return its first bytes; OSErrors are the caller's finding."""
    with socket.create_connection((lab.host(host).address, 22), timeout=within) as stream:
        stream.settimeout(within)
        return stream.recv(4)


def machine(*argv: str) -> str:
    """Return what a program of this machine says."""
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False).stdout


def controller(*argv: str) -> subprocess.Popen[str]:
    """Start the command line as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "r1fleet", *argv],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def provision_lab(lab: Lab, observer: Observer = ignore) -> Provisioned:
    """Provision a lab's hosts for the deployments of its inventory."""
    way = connector()
    try:
        return provision(load(lab.inventory), way, observer, ProvisionOptions())
    finally:
        way.close()


def r1fleet(
    *argv: str, cwd: Path = ROOT, seconds: float = 120, stdin: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line as its user does; what it prints is captured, so it sees a pipe."""
    command = [sys.executable, "-m", "r1fleet", *argv]
    env = {**os.environ, **environment}
    ran = subprocess.run(
        command, cwd=cwd, env=env, input=stdin, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert "Traceback" not in ran.stdout + ran.stderr
    return ran
