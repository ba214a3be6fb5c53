"""Set the time zone, and whether the hardware clock runs in it."""

from __future__ import annotations

import os
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.files import write_bytes
from r1fleet.modules._links import put_link
from r1fleet.modules._proc import read

ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "str"},
    "hwclock": {"type": "str", "choices": ["UTC", "local"], "aliases": ["rtc"]},
}
REQUIRED_ONE_OF = [["name", "hwclock"]]
LOCAL = True
CHECK_MODE = True

ZONES = "/usr/share/zoneinfo"
LOCALTIME = "/etc/localtime"
NAME_FILE = "/etc/timezone"
ADJTIME = "/etc/adjtime"
SYSTEMD = "/run/systemd/system"


def run(ctx: Context) -> dict[str, Any]:
    """Compare zone and clock with what is wanted, and set what differs."""
    wanted = {name: ctx.args[name] for name in ("name", "hwclock") if ctx.args[name]}
    if "name" in wanted and not _is_zone(wanted["name"]):
        ctx.fail('given timezone "{}" is not available'.format(wanted["name"]))
    look = {"name": zone, "hwclock": clock}
    before = {name: look[name]() for name in wanted}
    changed = before != wanted
    reply: dict[str, Any] = {"changed": changed}
    if ctx.diff:
        reply["diff"] = {"before": before, "after": wanted}
    if changed and not ctx.check:
        done = [_set(ctx, name, value) for name, value in wanted.items() if value != before[name]]
        reply["msg"] = "\n".join("executed `{}`".format(text) for text in done)
    return reply


def zone() -> str:
    """Return the name of the zone that the host runs in; empty where no name can be told."""
    target = os.path.realpath(LOCALTIME)
    # A link may lead over another name of the same zone: what the first one says counts.
    if os.path.islink(LOCALTIME):
        target = os.path.normpath(os.path.join(os.path.dirname(LOCALTIME), os.readlink(LOCALTIME)))
    if target.startswith(ZONES + "/"):
        return target[len(ZONES) + 1 :]
    return read(NAME_FILE).strip() or "UTC"


def clock() -> str:
    """Tell whether the hardware clock runs in UTC or in local time; the third line of its file says so."""
    return "local" if read(ADJTIME).splitlines()[2:3] == ["LOCAL"] else "UTC"


def _is_zone(name: str) -> bool:
    path = os.path.normpath(os.path.join(ZONES, name))
    return path.startswith(ZONES + "/") and os.path.isfile(path)


def _set(ctx: Context, name: str, value: str) -> str:
    verb = ["set-timezone", value] if name == "name" else ["set-local-rtc", "yes" if value == "local" else "no"]
    if os.path.isdir(SYSTEMD) and ctx.which("timedatectl"):
        command = [ctx.need("timedatectl"), *verb]
        done = ctx.run(command, locale="C")
        if done.rc:
            ctx.fail("{} failed: {}".format(" ".join(command), done.error.strip()), rc=done.rc)
        return " ".join(command)
    if name == "hwclock":
        ctx.fail("the hardware clock's time is set with timedatectl, which needs a running systemd")
    put_link(ctx, LOCALTIME, lambda path: os.symlink(os.path.join(ZONES, value), path))
    if os.path.exists(NAME_FILE):
        write_bytes(NAME_FILE, value.encode() + b"\n")
    return "ln -sf {} {}".format(os.path.join(ZONES, value), LOCALTIME)
