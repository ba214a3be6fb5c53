"""Leave nothing behind: end a lab's processes, then its groups, mounts and network."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from r1fleet.lab.cgroups import Tree
from r1fleet.lab.layout import Lab
from r1fleet.lab.mounts import mounts, unmount, unmount_below
from r1fleet.lab.network import remove_network
from r1fleet.lab.registry import RECORD
from r1fleet.lab.shell import ip

_RUN_NSPAWN = Path("/run/systemd/nspawn")
_INTERFACE = re.compile(r"r1l(\d+)")


def tear_down(tree: Tree, lab: Lab) -> None:
    """Remove all that the kernel and /run hold of a lab; its files stay."""
    group = tree.group(lab.cgroup)
    group.kill()
    group.remove()
    for mount in mounts():
        if mount.kind == "overlay" and mount.device.startswith(f"{lab.cgroup}-"):
            unmount(mount.point)
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


def _clear_run(lab: Lab) -> None:
    """Remove what nspawn keeps under /run for machines that were killed."""
    for folder in _RUN_NSPAWN.glob(f"*/{lab.cgroup}-*"):
        unmount_below(folder)
        shutil.rmtree(folder)
