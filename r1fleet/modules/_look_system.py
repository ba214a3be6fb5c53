"""What the system tells of disks, limits, packages and its kernel's complaints."""

from __future__ import annotations

import fcntl
import os
import re
import struct
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.processes import command_of
from r1fleet.modules import _dpkg
from r1fleet.modules._proc import entries, read

_PACKAGES = re.compile(
    r"(lib)?nvidia|cuda|nvlsm|libnccl|datacenter-gpu|docker|containerd|vastai|unattended-upgrades|linux-headers"
)
_LOCKS = (
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/lib/apt/lists/lock",
    "/var/cache/apt/archives/lock",
    "/var/lib/rpm/.rpm.lock",
)
_FLOCK = struct.Struct("hhqqi4x")


def disk(path: str) -> dict[str, Any]:
    """Tell the file system that holds ``path``, or will: its nearest folder that is there."""
    at = path
    while not os.path.exists(at) and at != "/":
        at = os.path.dirname(at)
    try:
        about = os.statvfs(at)
    except OSError as error:
        return {"path": path, "problem": error.strerror}
    mount = _mount(os.path.realpath(at))
    return {
        "path": path,
        "exists": at == path,
        "mount": mount[0],
        "kind": mount[1],
        "source": mount[2],
        "total": about.f_blocks * about.f_frsize,
        "free": about.f_bavail * about.f_frsize,
        "inodes_free": about.f_favail if about.f_files else None,
        "read_only": bool(about.f_flag & os.ST_RDONLY),
    }


def _mount(path: str) -> tuple[str, str, str]:
    best = ("/", "", "")
    for line in read("/proc/self/mounts").splitlines():
        words = [word.encode().decode("unicode_escape", "replace") for word in line.split(" ")[:3]]
        if len(words) == 3 and (path == words[1] or path.startswith(words[1].rstrip("/") + "/")):
            if len(words[1]) >= len(best[0]):  # of several over one another, the last one is seen
                best = (words[1], words[2], words[0])
    return best


def lock_holders() -> list[dict[str, Any]]:
    """Tell who holds the locks of the package tools."""
    found = []
    for path in _LOCKS:
        try:
            with open(path, "rb") as stream:
                asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
                kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(stream, fcntl.F_GETLK, asked))
        except OSError:
            continue
        if kind != fcntl.F_UNLCK:
            found.append({"path": path, "pid": pid, "command": command_of(pid)})
    return found


def packages(ctx: Context) -> dict[str, dict[str, Any]] | None:
    """Tell the versions of drivers, toolkits and engines' like, and which are held; None where no tool tells."""
    if os.path.exists(_dpkg.STATUS):
        known = _dpkg.installed(ctx)
        found = (known.installed(name) for name in known.packages if _PACKAGES.match(name))
        return {one.name: {"version": one.version, "held": one.held} for one in found if one is not None}
    if ctx.which("rpm"):
        done = ctx.run(["rpm", "-qa", "--qf", "%{NAME} %{VERSION}-%{RELEASE}\\n"], timeout=30)
        rows = (line.split(" ") for line in done.text.splitlines() if _PACKAGES.match(line))
        return {row[0]: {"version": row[1], "held": None} for row in rows if len(row) == 2}
    return None


def limits() -> dict[str, list[str]]:
    """Tell the limits that processes of this session have, soft and hard."""
    found = {}
    for line in read("/proc/self/limits").splitlines()[1:]:
        words = re.split(r"\s{2,}", line)
        if len(words) >= 3:
            found[words[0]] = words[1:3]
    return found


def secure_boot() -> bool | None:
    """Tell whether the firmware lets only signed kernels and modules run; None where there is no such firmware."""
    root = "/sys/firmware/efi/efivars"
    for name in entries(root):
        if name.startswith("SecureBoot-"):
            try:
                with open(os.path.join(root, name), "rb") as stream:
                    return stream.read()[-1:] == b"\x01"
            except OSError:
                return None
    return None


def proxies(ctx: Context) -> list[str]:
    """Name the proxy variables that a session or systemd hands to programs; their values may hold passwords."""
    text = read("/etc/environment") + "\n" + "\n".join("%s=" % name for name in os.environ)
    if ctx.which("systemctl"):
        text += "\n" + ctx.run(["systemctl", "show", "-p", "Environment", "--value"], timeout=5).text.replace(" ", "\n")
    return sorted(set(re.findall(r"^\s*(?:export\s+)?((?:https?|all)_proxy)=", text, re.IGNORECASE | re.MULTILINE)))
