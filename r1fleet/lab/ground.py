"""Whether a lab can stand on this machine; each lack is one clear message."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from r1fleet.command import cmd
from r1fleet.errors import LabError
from r1fleet.lab.cgroups import detect
from r1fleet.lab.shell import search_path, succeeds

PACKAGE_OF = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "nft": "nftables",
    "ip": "iproute2",
    "tinyproxy": "tinyproxy",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "ps": "procps",
}


def check_ground() -> None:
    """Raise LabError for the first thing that a lab needs and this machine lacks."""
    if not sys.platform.startswith("linux"):
        raise LabError("the lab needs Linux", hint="all else of r1fleet works here; rehearse on a Linux machine")
    check_root()
    _check_programs()
    _check_overlayfs()
    detect()


def check_root() -> None:
    """Raise LabError unless this process is root."""
    if os.geteuid() != 0:
        raise LabError("the lab needs root: it makes namespaces, mounts and control groups", hint="run it with sudo")


def _check_programs() -> None:
    if not shutil.which("apt-get", path=search_path()):
        raise LabError("the lab needs a Debian or Ubuntu machine: its hosts are made from the machine's apt sources")
    lacking = {package for program, package in PACKAGE_OF.items() if not shutil.which(program, path=search_path())}
    if lacking:
        packages = " ".join(sorted(lacking))
        hint = f"apt-get install -y --no-install-recommends {packages}"
        raise LabError(f"the lab needs Debian packages that are not installed: {packages}", hint=hint)


def _check_overlayfs() -> None:
    if not _has_overlayfs() and not (succeeds(cmd("modprobe", "overlay")) and _has_overlayfs()):
        raise LabError("this kernel has no overlayfs", hint="the lab needs a kernel with the overlay module")


def _has_overlayfs() -> bool:
    return any(line.split()[-1] == "overlay" for line in Path("/proc/filesystems").read_text().splitlines())
