"""Keep the keys by which a user's ssh knows other hosts."""

from __future__ import annotations

import os
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.files import content_diff, path_info, read_bytes, write_bytes
from r1fleet.modules._knownhosts import Entry, hashed_lines, parse

ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True, "aliases": ["host"]},
    "key": {"type": "str", "no_log": False},
    "path": {"type": "path", "default": "~/.ssh/known_hosts"},
    "hash_host": {"type": "bool", "default": False},
    "state": {"type": "str", "default": "present", "choices": ["absent", "present"]},
}
LOCAL = True
CHECK_MODE = True


def run(ctx: Context) -> dict[str, Any]:
    """Compare the file's lines about the host with the wanted key."""
    args, path = ctx.args, ctx.args["path"]
    if "," in args["name"]:
        text = "Comma separated list of names is not supported."
        ctx.fail(text + " Please pass a single name to lookup in the known_hosts file.")
    wanted = _wanted(ctx)
    before = read_bytes(path)
    lines = (before or b"").decode("utf-8", "surrogateescape").splitlines()
    after = _without(ctx, lines, wanted) if args["state"] == "absent" else _with(ctx, lines, wanted)
    reply: dict[str, Any] = {name: args[name] for name in ("name", "key", "path", "hash_host")}
    reply["changed"] = after != lines
    encoded = "".join(line + "\n" for line in after).encode("utf-8", "surrogateescape")
    # As with Ansible, tasks may look at it without --diff, too.
    reply["diff"] = content_diff(before, encoded if reply["changed"] else before, path)
    if reply["changed"] and not ctx.check:
        if not os.path.isdir(os.path.dirname(path) or "."):
            ctx.fail("Failed to write to file {}: its folder does not exist".format(path))
        write_bytes(path, encoded)
    return dict(path_info(path), **reply) if os.path.exists(path) else dict(reply, state=args["state"])


def _wanted(ctx: Context) -> Entry | None:
    key, state = ctx.args["key"], ctx.args["state"]
    if not (key or "").strip():
        if state == "present":
            ctx.fail("No key specified when adding a host")
        return None
    if len(key.strip().splitlines()) > 1:
        ctx.fail("key holds several lines: one task keeps one key, a loop keeps several")
    entry = parse(key)
    if entry is None or not entry.names(ctx.args["name"].lower()):
        ctx.fail("Host parameter does not match hashed host field in supplied key")
    return entry


def _about(line: str, host: str) -> Entry | None:
    entry = parse(line)
    return entry if entry and entry.names(host) else None


def _with(ctx: Context, lines: list[str], wanted: Entry | None) -> list[str]:
    host, text = ctx.args["name"].lower(), ctx.args["key"].strip()
    for at, line in enumerate(lines):
        entry = _about(line, host)
        if entry is None or wanted is None or entry.kind != wanted.kind:
            continue
        hides = ctx.args["hash_host"] or wanted.hashed
        hosts = entry.hosts if hides and entry.hashed else wanted.hosts
        if entry == wanted._replace(hosts=hosts) and entry.hashed == hides:
            return lines
        lines = lines[:at] + lines[at + 1 :]
        break
    return lines + (hashed_lines(text) if ctx.args["hash_host"] else [text])


def _without(ctx: Context, lines: list[str], wanted: Entry | None) -> list[str]:
    host = ctx.args["name"].lower()
    kept = []
    for line in lines:
        entry = _about(line, host)
        if entry is None or (wanted is not None and entry.kind != wanted.kind):
            kept.append(line)
    return kept
