"""The mount table: what is mounted where, and how to end it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

from r1fleet.command import cmd
from r1fleet.lab.shell import run, succeeds


@dataclass(frozen=True, slots=True)
class Mount:
    """One row of the mount table."""

    device: str
    point: Path
    kind: str
    options: str


def mounts() -> list[Mount]:
    """Return the mount table, in its order."""
    rows = [line.split() for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    return [Mount(device, Path(_unescape(point)), kind, options) for device, point, kind, options, *_ in rows]


def unmount(point: Path, *, within: float = 2.0) -> None:
    """Unmount one point; what still holds it a while after its processes died loses it."""
    deadline = time.monotonic() + within
    while not succeeds(cmd("umount", str(point))):
        if time.monotonic() > deadline:
            run(cmd("umount", "--lazy", str(point)))
            return
        time.sleep(0.02)  # the dead processes' mount namespaces go a moment after them


def unmount_below(folder: Path) -> None:
    """Unmount all that is mounted in a folder, the last mounted first."""
    for mount in reversed(mounts()):
        if mount.point.is_relative_to(folder):
            unmount(mount.point)


def _unescape(point: str) -> str:
    """Undo the mount table's octal escapes."""
    return re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), point)
