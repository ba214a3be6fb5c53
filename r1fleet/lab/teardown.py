"""Leave nothing behind: end a lab's processes, then its groups, mounts and network."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from pathlib import Path

from r1fleet.command import cmd
from r1fleet.lab.cgroups import Tree
from r1fleet.lab.layout import Lab
from r1fleet.lab.network import remove_network
from r1fleet.lab.registry import RECORD
from r1fleet.lab.shell import ip, run, succeeds

_RUN_NSPAWN = Path("/run/systemd/nspawn")
_INTERFACE = re.compile(r"r1l(\d+)")


def tear_down(tree: Tree, lab: Lab) -> None:
    """Remove all that the kernel and /run hold of a lab; its files stay."""
    group = tree.group(lab.cgroup)
    group.kill()
    group.remove()
    for point in _mounts(lab):
        _unmount(point)
    _clear_run(lab)
    remove_network(lab)


def sweep(tree: Tree) -> tuple[str, ...]:
    """Tear down labs whose files are gone, and return where those files were."""
    swept = []
    for row in json.loads(ip("-j", "link", "show", "type", "veth") or "[]"):
        match = _INTERFACE.fullmatch(row.get("ifname", ""))
        folder = Path(row.get("ifalias", ""))
        if match and row.get("ifalias") and not (folder / RECORD).exists():
            tear_down(tree, Lab(folder.name, int(match[1]), 0, folder))
            swept.append(str(folder))
    return tuple(swept)


def _mounts(lab: Lab) -> list[Path]:
    rows = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [_unescape(row[1]) for row in rows if row[2] == "overlay" and row[0].startswith(f"{lab.cgroup}-")]


def _unescape(point: str) -> Path:
    """Undo the mount table's octal escapes."""
    return Path(re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), point))


def _unmount(point: Path) -> None:
    for _ in range(100):
        if succeeds(cmd("umount", str(point))):
            return
        time.sleep(0.02)  # the dead processes' mount namespaces go a moment after them
    run(cmd("umount", "--lazy", str(point)))


def _clear_run(lab: Lab) -> None:
    """Remove what nspawn keeps under /run for machines that were killed."""
    for folder in _RUN_NSPAWN.glob(f"*/{lab.cgroup}-*"):
        if os.path.ismount(folder):
            run(cmd("umount", "--lazy", str(folder)))
        shutil.rmtree(folder)
