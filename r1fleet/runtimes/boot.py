"""Bring ranks back after a reboot: a unit that runs once, when the host has started.

Ranks and judge stay transient services; this unit starts them again. It is written without a daemon-reload, which
running containers with GPUs do not survive: systemd reads it when it starts, and that is when it is needed.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from r1fleet.command import Command
from r1fleet.runtimes.interface import HostFile

_UNITS = "/etc/systemd/system"


def boot_files(deployment: str, folder: str, starts: Sequence[Command], stale: Sequence[str]) -> tuple[HostFile, ...]:
    """Return the unit, what makes a boot want it, and its script: remove what is ``stale``, then all ``starts``."""
    unit, wish = boot_paths(deployment)
    script = f"{folder}/boot.sh"
    lines = ["#!/bin/sh", f"# Bring {deployment} back after a reboot.", f"rm -f {shlex.join(stale)}"]
    lines += [start.shell() for start in starts]
    return (
        HostFile(script, "\n".join(lines) + "\n", 0o755),
        HostFile(unit, _unit(deployment, script)),
        HostFile(wish, f"[Unit]\nWants={unit.rpartition('/')[2]}\n"),
    )


def boot_paths(deployment: str) -> tuple[str, str]:
    """Return what must be removed so that nothing comes back."""
    name = f"r1fleet-{deployment}-boot"
    return f"{_UNITS}/{name}.service", f"{_UNITS}/multi-user.target.d/{name}.conf"


def _unit(deployment: str, script: str) -> str:
    return f"""\
[Unit]
Description=r1fleet {deployment}: start its ranks again
Wants=network-online.target
After=network-online.target local-fs.target remote-fs.target docker.service
ConditionPathExists={script}

[Service]
Type=oneshot
ExecStart=/bin/sh {script}
"""
