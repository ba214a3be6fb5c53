"""Hold packages at their versions by dnf's plugin versionlock."""

from __future__ import annotations

import os
import re
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.modules._dnf import dnf
from r1fleet.modules._dnfquery import offers
from r1fleet.modules._proc import read
from r1fleet.modules._rpmdb import Found, installed, named

ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "list", "elements": "str", "default": []},
    "raw": {"type": "bool", "default": False},
    "state": {"type": "str", "default": "present", "choices": ["absent", "clean", "excluded", "present"]},
}
LOCAL = True
CHECK_MODE = True

_CONF = "/etc/dnf/plugins/versionlock.conf"
_LIST = "/etc/dnf/plugins/versionlock.list"
_ENTRY = re.compile(r"^!?(?P<name>.+)-(?P<epoch>\d+):(?P<version>.+)-(?P<release>.+)\.(?P<arch>.+)$")


def run(ctx: Context) -> dict[str, Any]:
    """Add to the list, or take from it, what is not so already."""
    args = ctx.args
    if not os.path.exists(_CONF):
        ctx.fail("plugin versionlock is required")
    if args["state"] == "clean" and args["name"]:
        ctx.fail("clean state is incompatible with a name list")
    if args["state"] != "clean" and not args["name"]:
        ctx.fail("name list is required for {} state".format(args["state"]))
    before = _entries()
    adding = _missing(ctx, before) if args["state"] in ("excluded", "present") else []
    deleting = _superfluous(ctx, before) if args["state"] in ("absent", "clean") else []
    reply = {"locklist_pre": before, "specs_toadd": adding, "specs_todelete": deleting}
    if ctx.check:
        reply.update({"locklist_post": []} if args["state"] == "clean" else {})
        return dict(reply, changed=bool(adding or deleting), msg="")
    said = _change(ctx, adding, deleting)
    return dict(reply, changed=bool(adding or deleting), msg=said, locklist_post=_entries())


def _change(ctx: Context, adding: list[str], deleting: list[str]) -> str:
    state = ctx.args["state"]
    if state == "clean":
        return _versionlock(ctx, "clear") if deleting else ""
    verb = {"absent": "delete", "excluded": "exclude", "present": "add"}[state]
    raw = ["--raw"] if ctx.args["raw"] else []
    # One at a time: given several, the plugin locks wrongly.
    return "\n".join(_versionlock(ctx, verb, *raw, entry) for entry in dict.fromkeys(adding + deleting))


def _entries() -> list[str]:
    """Read the list where the plugin's settings say that it is."""
    named_there = re.search(r"^\s*locklist\s*=\s*(\S+)", read(_CONF), re.MULTILINE)
    lines = read(named_there.group(1) if named_there else _LIST).splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _missing(ctx: Context, before: list[str]) -> list[str]:
    sign = "!" if ctx.args["state"] == "excluded" else ""
    wanted = ctx.args["name"] if ctx.args["raw"] else _locks(ctx)
    return [entry for entry in wanted if sign + entry not in before]


def _locks(ctx: Context) -> list[str]:
    """Name the installed version of each package, or all versions that could come of one that is not installed."""
    here = installed(ctx)
    found: dict[str, set[str]] = {}
    for name in ctx.args["name"]:
        mine = named(here, name)
        have = {each.name for each in mine}
        others = [each for each in offers(ctx, name) if each.name not in have] if _is_open(name, mine) else []
        for each in mine + others:
            found.setdefault(each.name, set()).add(each.evr)
    return ["{}-{}.*".format(name, version) for name in sorted(found) for version in sorted(found[name])]


def _is_open(name: str, mine: list[Found]) -> bool:
    return not mine or bool(re.search(r"[*?\[]", name))


def _superfluous(ctx: Context, before: list[str]) -> list[str]:
    if ctx.args["state"] == "clean":
        return before
    if ctx.args["raw"]:
        return [name for name in ctx.args["name"] if name in before]
    # The names as they were given, once for each entry that they mean.
    return [name for name in ctx.args["name"] for entry in before if _matches(entry, name)]


def _matches(entry: str, name: str) -> bool:
    parts = _ENTRY.match(entry)
    if parts is None:
        return entry.lstrip("!") == name
    return entry.lstrip("!") == name or bool(named([Found(**parts.groupdict())], name))


def _versionlock(ctx: Context, verb: str, *words: str) -> str:
    done = dnf(ctx, "--quiet", "versionlock", verb, *words)
    if done.rc:
        ctx.fail("dnf versionlock {} failed: {}".format(verb, done.error.strip() or done.text.strip()), rc=done.rc)
    return done.text
