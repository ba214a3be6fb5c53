"""Keep groups."""

from __future__ import annotations

import grp
from typing import Any

from r1fleet.agent.context import Context

ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "default": "present", "choices": ["absent", "present"]},
    "gid": {"type": "int"},
    "gid_min": {"type": "int"},
    "gid_max": {"type": "int"},
    "system": {"type": "bool", "default": False},
    "local": {"type": "bool", "default": False},
    "non_unique": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
}
REQUIRED_IF = [["non_unique", True, ["gid"]]]
LOCAL = True
CHECK_MODE = True


def run(ctx: Context) -> dict[str, Any]:
    """Bring the group into the wanted state."""
    name, state = ctx.args["name"], ctx.args["state"]
    present = find_group(name)
    for argument in ("gid_min", "gid_max"):
        if ctx.args["local"] and ctx.args[argument] is not None:
            ctx.fail("'{}' can not be used with 'local'".format(argument))
    command = _delete(ctx, present) if state == "absent" else _create_or_change(ctx, present)
    if command and ctx.check:
        return {"changed": True, "name": name, "state": state}
    if command:
        done = ctx.run(command, locale="C")
        if done.rc:
            ctx.fail(done.error or done.text or "{} failed".format(command[0]), name=name, rc=done.rc)
    reply: dict[str, Any] = {"changed": bool(command), "name": name, "state": state}
    after = find_group(name)
    if state == "present":
        reply["system"] = ctx.args["system"]
        reply["gid"] = after.gr_gid if after else None
    return reply


def find_group(name: str) -> grp.struct_group | None:
    """Return the group called ``name`` (or with that number), None where there is none."""
    try:
        return grp.getgrnam(name)
    except KeyError:
        pass
    try:
        return grp.getgrgid(int(name)) if name.isdigit() else None
    except (KeyError, OverflowError):
        return None


def _delete(ctx: Context, present: grp.struct_group | None) -> list[str]:
    if present is None:
        return []
    return [ctx.need("groupdel"), *(["-f"] if ctx.args["force"] else []), ctx.args["name"]]


def _create_or_change(ctx: Context, present: grp.struct_group | None) -> list[str]:
    args = ctx.args
    number = [] if args["gid"] is None else ["-g", str(args["gid"])]
    if number and args["non_unique"]:
        number.append("-o")
    if present is not None:
        same = args["gid"] is None or present.gr_gid == args["gid"]
        return [] if same else [ctx.need("groupmod"), *number, args["name"]]
    words = [ctx.need("groupadd"), *number]
    for argument, key in (("gid_min", "GID_MIN"), ("gid_max", "GID_MAX")):
        if args[argument] is not None:
            words += ["-K", "{}={}".format(key, args[argument])]
    return [*words, *(["-r"] if args["system"] else []), args["name"]]
