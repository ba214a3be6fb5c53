"""Make a file system on a device, let it grow, or wipe what a device says it holds."""

from __future__ import annotations

import os
import re
import shlex
import stat
from typing import Any, NamedTuple

from r1fleet.agent.context import Context

ARGUMENTS: dict[str, dict[str, Any]] = {
    "dev": {"type": "path", "required": True, "aliases": ["device"]},
    "state": {"type": "str", "default": "present", "choices": ["absent", "present"]},
    "fstype": {
        "type": "str",
        "aliases": ["type"],
        "choices": ["btrfs", "ext2", "ext3", "ext4", "lvm", "swap", "vfat", "xfs"],
    },
    "opts": {"type": "str"},
    "force": {"type": "bool", "default": False},
    "resizefs": {"type": "bool", "default": False},
}
REQUIRED_IF = [["state", "present", ["fstype"]]]
LOCAL = True
CHECK_MODE = True


class Kind(NamedTuple):
    """How a file system is made, and what blkid calls it."""

    make: list[str]
    force: list[str]
    name: str


MOUNTS = "/proc/self/mountinfo"
# mkfs asks, or refuses, where something is there already; the module has looked by then.
_KINDS = {
    "btrfs": Kind(["mkfs.btrfs"], ["-f"], "btrfs"),
    "ext2": Kind(["mkfs.ext2"], ["-F"], "ext2"),
    "ext3": Kind(["mkfs.ext3"], ["-F"], "ext3"),
    "ext4": Kind(["mkfs.ext4"], ["-F"], "ext4"),
    "lvm": Kind(["pvcreate"], ["-f"], "LVM2_member"),
    "swap": Kind(["mkswap"], ["-f"], "swap"),
    "vfat": Kind(["mkfs.vfat"], [], "vfat"),
    "xfs": Kind(["mkfs.xfs"], ["-f"], "xfs"),
}


def run(ctx: Context) -> dict[str, Any]:
    """Look at what the device holds, and act where that is not what is wanted."""
    args, device = ctx.args, ctx.args["dev"]
    if not os.path.exists(device):
        msg = "Device {} not found.".format(device)
        return {"changed": False, "msg": msg} if args["state"] == "absent" else ctx.fail(msg)
    _refuse_mounted(ctx, device)
    held = holds(ctx, device)
    if args["state"] == "absent":
        return {"changed": bool(held) and _wipe(ctx, device)}
    kind = _KINDS[args["fstype"]]
    if held == kind.name and not args["force"]:
        return _grown(ctx, device) if args["resizefs"] else {"changed": False}
    if held and not args["force"]:
        ctx.fail("'{}' is already used as {}, use force=true to overwrite".format(device, held))
    if not ctx.check:
        words = [ctx.need(kind.make[0]), *kind.force, *shlex.split(args["opts"] or ""), device]
        _did(ctx, words, "cannot make {} on {}".format(args["fstype"], device))
    return {"changed": True}


def holds(ctx: Context, device: str) -> str:
    """Return what blkid finds on the device, asking the device and not its cache; empty for nothing."""
    done = ctx.run([ctx.need("blkid"), "-c", "/dev/null", "-o", "value", "-s", "TYPE", device], locale="C")
    return done.text.strip()


def _refuse_mounted(ctx: Context, device: str) -> None:
    """Fail before a mounted device is overwritten or wiped: the programs refuse it, too, but not all of them."""
    overwrites = ctx.args["force"] or ctx.args["state"] == "absent"
    if not overwrites or not stat.S_ISBLK(os.stat(device).st_mode):
        return
    number = os.stat(device).st_rdev
    wanted = "{}:{}".format(os.major(number), os.minor(number))
    with open(MOUNTS, encoding="utf-8", errors="surrogateescape") as stream:
        for line in stream:
            words = line.split()
            if words[2] == wanted:
                ctx.fail("{} is mounted at {}: unmount it first".format(device, words[4]))


def _wipe(ctx: Context, device: str) -> bool:
    if not ctx.check:
        _did(ctx, [ctx.need("wipefs"), "--all", device], "cannot wipe {}".format(device))
    return True


def _grown(ctx: Context, device: str) -> dict[str, Any]:
    kind = ctx.args["fstype"]
    if not kind.startswith("ext"):
        ctx.fail("module does not support resizing {} filesystem yet".format(kind))
    if _size_of_ext(ctx, device) >= _size(ctx, device):
        return {"changed": False, "msg": "{} filesystem is using the whole device {}".format(kind.capitalize(), device)}
    if ctx.check:
        return {"changed": True, "msg": "resizing filesystem {} on device {}".format(kind, device)}
    return {"changed": True, "msg": _did(ctx, [ctx.need("resize2fs"), device], "cannot resize {}".format(device))}


def _size_of_ext(ctx: Context, device: str) -> int:
    text = _did(ctx, [ctx.need("tune2fs"), "-l", device], "cannot read the file system of {}".format(device))
    found = {name: re.search(r"^{}: +(\d+)".format(name), text, re.MULTILINE) for name in ("Block count", "Block size")}
    numbers = [int(match.group(1)) for match in found.values() if match]
    if len(numbers) < 2:
        ctx.fail("tune2fs tells no size of the file system on {}".format(device))
    return numbers[0] * numbers[1]


def _size(ctx: Context, device: str) -> int:
    status = os.stat(device)
    if not stat.S_ISBLK(status.st_mode):
        return status.st_size
    text = _did(ctx, [ctx.need("blockdev"), "--getsize64", device], "cannot read the size of {}".format(device))
    return int(text)


def _did(ctx: Context, words: list[str], what: str) -> str:
    done = ctx.run(words, locale="C")
    if done.rc:
        ctx.fail("{}: {}".format(what, (done.error or done.text).strip()), rc=done.rc, cmd=words)
    return done.text
