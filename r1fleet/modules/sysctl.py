"""Keep kernel settings in a file, and in the running kernel."""

from __future__ import annotations

import os
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

KERNEL = "/proc/sys"
_TRUTH = {"True": "1", "true": "1", "yes": "1", "False": "0", "false": "0", "no": "0"}


def run(ctx: Context) -> dict[str, Any]:
    """Bring the file's line and, where asked, the kernel's value to what is wanted."""
    args = ctx.args
    name, absent = args["name"].strip(), args["state"] == "absent"
    if not name:
        ctx.fail("name cannot be blank")
    if "=" in name:
        ctx.fail("name must be the name of a kernel setting, got {!r}".format(args["name"]))
    value = _TRUTH.get(args["value"] or "", args["value"] or "").strip()
    if not absent and not value:
        ctx.fail("value cannot be blank")
    before = read_bytes(args["sysctl_file"])
    text = (before or b"").decode("utf-8", "surrogateescape")
    after = edited(text, name, "" if absent else value).encode("utf-8", "surrogateescape")
    file_changes = after != (before or b"")
    kernel_changes = args["sysctl_set"] and not absent and running(name) != " ".join(value.split())
    reply: dict[str, Any] = {"changed": bool(file_changes or kernel_changes)}
    if ctx.diff:
        reply["diff"] = content_diff(before, after, args["sysctl_file"])
    if ctx.check:
        return reply
    if kernel_changes:
        _write_kernel(ctx, name, value)
    if file_changes:
        write_bytes(args["sysctl_file"], after, mode=0o644)
        if args["reload"]:
            _reload(ctx)
    return reply


def path_of(name: str) -> str:
    """Return the setting's file: dots divide, unless a slash does (net/ipv4/conf/eth0.1/forwarding)."""
    parts = name.split("/") if "/" in name else name.split(".")
    return os.path.join(KERNEL, *(part.replace("/", ".") for part in parts))


def running(name: str) -> str:
    """Return the kernel's value, with single spaces between its parts."""
    return " ".join(read(path_of(name)).split())


def edited(text: str, name: str, value: str) -> str:
    """Return the file's text with one line for the setting, or none where ``value`` is empty.

    The last line of a setting counts, as for sysctl. Where the text must change, every setting is written
    as ``name=value`` and once, as Ansible does.
    """
    lines = [line.strip() for line in text.splitlines()]
    settings = [_setting(line) for line in lines]
    present = {each[0]: each[1] for each in settings if each}
    if present.get(name, "") == value and (name in present or not value):
        return text
    kept, seen = [], set()
    for line, setting in zip(lines, settings):
        if setting is None:
            kept.append(line)
        elif setting[0] not in seen and (setting[0] != name or value):
            seen.add(setting[0])
            kept.append("{}={}".format(setting[0], value if setting[0] == name else setting[1]))
    if value and name not in seen:
        kept.append("{}={}".format(name, value))
    return "".join(line + "\n" for line in kept)


def _setting(line: str) -> tuple[str, str] | None:
    if not line or line[0] in "#;" or "=" not in line:
        return None
    name, _, value = line.partition("=")
    return name.strip(), value.strip()


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
        ctx.fail("Failed to reload sysctl: {}".format(done.text + done.error))
