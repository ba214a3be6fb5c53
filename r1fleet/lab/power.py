"""A host's power: boot it, reset it, cut it, and know when its sshd answers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from r1fleet.command import Command, cmd
from r1fleet.errors import LabError
from r1fleet.lab.cgroups import Group, Tree
from r1fleet.lab.layout import Lab, LabHost
from r1fleet.lab.shell import environment

# Joins its control groups, then runs a command there that outlives this process.
_DETACH = 'for group in $1; do echo 0 > "$group/cgroup.procs" || exit 1; done; shift; exec setsid --fork "$@"'

# nspawn ends with 133 when the host reboots: going round is the power button. Each nspawn joins the host's box
# first, because without a control group of their own hosts fight over one tree.
_LOOP = """
boxes=$1; shift
while :; do
  ( for group in $boxes; do echo 0 > "$group/cgroup.procs" || exit 1; done; exec "$@" )
  code=$?
  [ "$code" -eq 133 ] || exit "$code"
done
"""


def host_group(tree: Tree, lab: Lab, host: LabHost) -> Group:
    """Name the control group that holds all processes of a host."""
    return tree.group(lab.cgroup, host.name)


def is_powered(tree: Tree, lab: Lab, host: LabHost) -> bool:
    """Whether any process of the host lives."""
    return bool(host_group(tree, lab, host).pids())


def power_on(tree: Tree, lab: Lab, host: LabHost) -> None:
    """Start the loop that boots the host; it outlives this process."""
    group = host_group(tree, lab, host)
    group.make()
    boxes = " ".join(map(str, group.box))
    loop = cmd("sh", "-c", _LOOP, "r1fleet-lab-power", boxes, _nspawn(lab, host).argv, env=dict(_nspawn(lab, host).env))
    detach(loop, group, host.console)


def detach(command: Command, group: Group, log: Path) -> None:
    """Start a command that outlives this process; it is in ``group`` when this returns."""
    joined = cmd("sh", "-c", _DETACH, "r1fleet-lab", " ".join(map(str, group.loop)), command.argv)
    env = {**environment(), **dict(command.env)}
    try:
        with log.open("ab") as stream, Path(os.devnull).open("rb") as nothing:
            subprocess.run(
                joined.argv, stdin=nothing, stdout=stream, stderr=stream, env=env, cwd="/", timeout=30, check=True
            )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        what = f"a process could not be started in the control group {group.folders[0]}"
        raise LabError(what, hint=f"see {log}") from error


def power_off(tree: Tree, lab: Lab, host: LabHost) -> None:
    """End every process of the host at once, as a power cut would."""
    host_group(tree, lab, host).kill()


def press_reset(tree: Tree, lab: Lab, host: LabHost) -> None:
    """Ask the host's process 1 to reboot, as Ctrl-Alt-Del would."""
    for pid in host_group(tree, lab, host).pids():
        if _is_init(pid):
            os.kill(pid, signal.SIGINT)
            return
    raise LabError(f"host {host.name} of lab {lab.name} is not running", hint=f"r1fleet lab heal {host.name}")


def greets(host: LabHost, *, within: float = 0.3) -> bool:
    """Whether the host's sshd speaks."""
    try:
        with socket.create_connection((host.address, 22), timeout=within) as stream:
            stream.settimeout(within)
            return stream.recv(4) == b"SSH-"
    except OSError:
        return False


def await_greeting(tree: Tree, lab: Lab, host: LabHost, *, within: float = 60.0) -> None:
    """Wait for the host's sshd; LabError with its console if it dies or stays silent."""
    deadline = time.monotonic() + within
    while not greets(host, within=2.0):
        time.sleep(0.05)
        alive = is_powered(tree, lab, host)
        if alive and time.monotonic() < deadline:
            continue
        what = f"did not answer on port 22 within {within:.0f} s" if alive else "died while it booted"
        raise LabError(
            f"host {host.name} of lab {lab.name} {what}:\n{_console_tail(host)}",
            hint=f"all of it is in {host.console}",
        )


def _nspawn(lab: Lab, host: LabHost) -> Command:
    return cmd(
        "systemd-nspawn",
        {
            "--quiet": True,
            "--directory": str(host.root),
            "--machine": host.namespace,
            "--hostname": host.name,
            "--boot": True,
            "--register": "no",
            "--keep-unit": True,
            "--link-journal": "no",
            "--network-namespace-path": f"/run/netns/{host.namespace}",
            "--resolv-conf": "off",
            "--timezone": "off",
            "--console": "pipe",
            "--capability": "all" if lab.docker else "CAP_NET_ADMIN",
            # What runc and containerd ask of the kernel beyond what nspawn lets through.
            "--system-call-filter": "@keyring bpf" if lab.docker else None,
            "--bind": f"{host.docker}:/var/lib/docker" if lab.docker else None,
            "--kill-signal": "SIGRTMIN+3",
            # nspawn's own is a tenth of memory; a machine's is half, and engines fill it.
            "--tmpfs": "/dev/shm:size=50%,mode=1777",
        },
        env={
            "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
            "SYSTEMD_NSPAWN_TMPFS_TMP": "0",
            "SYSTEMD_NSPAWN_LOCK": "0",
        },
    )


def _is_init(pid: int) -> bool:
    """Whether a process is process 1 of a namespace below ours."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return any(line.startswith("NSpid:") and line.split()[1:][1:] == ["1"] for line in lines)


def _console_tail(host: LabHost) -> str:
    lines = host.console.read_text(encoding="utf-8", errors="replace").splitlines() if host.console.exists() else []
    return "\n".join(f"  {line}" for line in lines[-8:])
