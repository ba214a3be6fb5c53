"""Keep kernel settings in a file, and in the running kernel."""

from __future__ import annotations

import os
import re
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.files import content_diff, read_bytes, write_bytes
from r1fleet.modules._proc import read

ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True, "aliases": ["key"]},
    "value": {"type": "str", "aliases": ["val"]},
    "state": {"type": "str", "default": "present", "choices": ["absent", "present"]},
    "reload": {"type": "bool", "default": True},
    "sysctl_set": {"type": "bool", "default": False},
    "sysctl_file": {"type": "path", "default": "/etc/sysctl.conf"},
    "ignoreerrors": {"type": "bool", "default": False},
}
REQUIRED_IF = [["state", "present", ["value"]]]
LOCAL = True
CHECK_MODE = True

_TRUTH = {"True": "1", "true": "1", "yes": "1", "False": "0", "false": "0", "no": "0"}


def run(ctx: Context) -> dict[str, Any]:
    """Bring the file's line and, where asked, the kernel's value to what is wanted."""
    args = ctx.args
    name = args["name"].strip()
    if not name or "=" in name:
        ctx.fail("name must be the name of a kernel setting, got {!r}".format(args["name"]))
    value = " ".join(_TRUTH.get(args["value"] or "", args["value"] or "").split())
    before = read_bytes(args["sysctl_file"])
    after = _edited((before or b"").decode("utf-8", "surrogateescape"), name, value, absent=args["state"] == "absent")
    encoded = after.encode("utf-8", "surrogateescape")
    file_changes = encoded != (before or b"")
    kernel_changes = args["sysctl_set"] and args["state"] == "present" and running(name) != value
    reply: dict[str, Any] = {"changed": bool(file_changes or kernel_changes)}
    if ctx.diff:
        reply["diff"] = content_diff(before, encoded, args["sysctl_file"])
    if ctx.check:
        return reply
    if kernel_changes:
        _write_kernel(ctx, name, value)
    if file_changes:
        write_bytes(args["sysctl_file"], encoded, mode=0o644)
        if args["reload"]:
            _reload(ctx)
    return reply


def path_of(name: str) -> str:
    """Return the setting's file: dots divide, unless a slash does (net/ipv4/conf/eth0.1/forwarding)."""
    parts = name.split("/") if "/" in name else name.split(".")
    return os.path.join("/proc/sys", *(part.replace("/", ".") for part in parts))


def running(name: str) -> str:
    """Return the kernel's value, with single spaces between its parts."""
    return " ".join(read(path_of(name)).split())


def _edited(text: str, name: str, value: str, *, absent: bool) -> str:
    """Return the file's text with one line for the setting, or none; all else stays."""
    kept, done = [], absent
    for line in text.splitlines():
        match = re.match(r"^\s*-?\s*([^#;=\s][^=]*?)\s*=\s*(.*?)\s*$", line)
        if match is None or match.group(1) != name:
            kept.append(line)
        elif not done:
            same = " ".join(match.group(2).split()) == value
            kept.append(line if same else "{}={}".format(name, value))
            done = True
    if not done:
        kept.append("{}={}".format(name, value))
    return "".join(line + "\n" for line in kept)


def _write_kernel(ctx: Context, name: str, value: str) -> None:
    try:
        with open(path_of(name), "w", encoding="utf-8") as stream:
            stream.write(value + "\n")
    except OSError as error:
        if not ctx.args["ignoreerrors"]:
            ctx.fail("setting {} failed: {}".format(name, error.strerror))


def _reload(ctx: Context) -> None:
    flags = ["-e"] if ctx.args["ignoreerrors"] else []
    done = ctx.run([ctx.need("sysctl"), *flags, "-p", ctx.args["sysctl_file"]], locale="C")
    if done.rc and not ctx.args["ignoreerrors"]:
        ctx.fail("Failed to reload sysctl: {}".format((done.text + done.error).strip()), rc=done.rc)
