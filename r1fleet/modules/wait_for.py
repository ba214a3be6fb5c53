"""Wait for a port, a file or its content."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import struct
import time
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.files import path_info
from r1fleet.modules._proc import read

ARGUMENTS: dict[str, dict[str, Any]] = {
    "host": {"type": "str", "default": "127.0.0.1"},
    "port": {"type": "int"},
    "path": {"type": "path"},
    "search_regex": {"type": "str"},
    "state": {
        "type": "str",
        "default": "started",
        "choices": ["absent", "drained", "present", "started", "stopped"],
    },
    "timeout": {"type": "int", "default": 300},
    "connect_timeout": {"type": "int", "default": 5},
    "delay": {"type": "int", "default": 0},
    "sleep": {"type": "int", "default": 1},
    "exclude_hosts": {"type": "list", "elements": "str"},
    "active_connection_states": {
        "type": "list",
        "elements": "str",
        "default": ["ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "SYN_RECV", "SYN_SENT", "TIME_WAIT"],
    },
    "msg": {"type": "str"},
}
MUTUALLY_EXCLUSIVE = [["port", "path"]]
LOCAL = False
CHECK_MODE = False

_STATES = {
    "01": "ESTABLISHED",
    "02": "SYN_SENT",
    "03": "SYN_RECV",
    "04": "FIN_WAIT1",
    "05": "FIN_WAIT2",
    "06": "TIME_WAIT",
}


def run(ctx: Context) -> dict[str, Any]:
    """Look again and again until what is waited for is so, or the time is over."""
    args = ctx.args
    if args["path"] and args["state"] in ("stopped", "drained"):
        ctx.fail("state={} should only be used for checking a port in the wait_for module".format(args["state"]))
    if args["exclude_hosts"] is not None and args["state"] != "drained":
        ctx.fail("exclude_hosts should only be with state=drained")
    started = time.monotonic()
    time.sleep(args["delay"])
    if args["port"] is None and args["path"] is None and args["state"] != "drained":
        time.sleep(max(0, args["timeout"] - args["delay"]))
        return _reply(ctx, started, {})
    while True:
        found = _look(ctx)
        if found is not None:
            return _reply(ctx, started, found)
        left = started + args["timeout"] - time.monotonic()
        if left <= 0:
            ctx.fail(args["msg"] or _waited(ctx), elapsed=int(time.monotonic() - started))
        time.sleep(min(args["sleep"], left))


def _reply(ctx: Context, started: float, found: dict[str, Any]) -> dict[str, Any]:
    args = ctx.args
    base = {"changed": False, "state": args["state"], "port": args["port"], "path": args["path"]}
    base.update(search_regex=args["search_regex"], match_groups=[], match_groupdict={})
    present = path_info(args["path"]) if args["path"] and os.path.exists(args["path"]) else {}
    return dict(base, elapsed=int(time.monotonic() - started), **present, **found)


def _waited(ctx: Context) -> str:
    args = ctx.args
    what = args["path"] or "{}:{}".format(args["host"], args["port"])
    if args["search_regex"] and args["state"] in ("started", "present"):
        return "Timeout when waiting for search string {} in {}".format(args["search_regex"], what)
    words = {"absent": "to be absent.", "stopped": "to stop.", "drained": "to drain"}
    if args["path"] and args["state"] in ("started", "present"):
        return "Timeout when waiting for file {}".format(what)
    return "Timeout when waiting for {} {}".format(what, words.get(args["state"], "")).rstrip()


def _look(ctx: Context) -> dict[str, Any] | None:
    """Return more for the reply where the state is reached, None where it is not."""
    args = ctx.args
    if args["path"]:
        return _look_at_file(ctx)
    if args["state"] == "drained":
        return None if _connections(ctx) else {}
    open_now = _connect(ctx)
    if args["state"] in ("absent", "stopped"):
        return {} if open_now is None else None
    return open_now


def _look_at_file(ctx: Context) -> dict[str, Any] | None:
    args = ctx.args
    path = args["path"]
    if args["state"] == "absent":
        return None if os.path.exists(path) else {}
    if not os.path.exists(path):
        return None
    if not args["search_regex"]:
        return {}
    try:
        with open(path, "rb") as stream:
            return _matched(ctx, stream.read())
    except OSError:
        return None


def _matched(ctx: Context, content: bytes) -> dict[str, Any] | None:
    text = content.decode("utf-8", "surrogateescape")
    try:
        match = re.search(ctx.args["search_regex"], text, re.MULTILINE)
    except re.error as error:
        ctx.fail("the regular expression {!r} is wrong: {}".format(ctx.args["search_regex"], error))
    return {"match_groups": list(match.groups()), "match_groupdict": match.groupdict()} if match else None


def _connect(ctx: Context) -> dict[str, Any] | None:
    args = ctx.args
    try:
        with socket.create_connection((args["host"], args["port"]), args["connect_timeout"]) as connection:
            return _hear(ctx, connection) if args["search_regex"] else {}
    except OSError:
        return None


def _hear(ctx: Context, connection: socket.socket) -> dict[str, Any] | None:
    heard, end = b"", time.monotonic() + ctx.args["connect_timeout"]
    while time.monotonic() < end:
        piece = connection.recv(1024)
        heard += piece
        found = _matched(ctx, heard)
        if found is not None or not piece:
            return found
    return None


def _connections(ctx: Context) -> int:
    """Count connections to the port that are still in use."""
    args = ctx.args
    excluded = {_number(host) for host in args["exclude_hosts"] or []}
    count = 0
    for line in (read("/proc/net/tcp") + "\n" + read("/proc/net/tcp6")).splitlines():
        words = line.split()
        if len(words) < 4 or ":" not in words[1]:
            continue
        port = int(words[1].rpartition(":")[2], 16)
        state = _STATES.get(words[3], "")
        if port == args["port"] and state in args["active_connection_states"]:
            count += _address(words[2].rpartition(":")[0]) not in excluded
    return count


def _number(host: str) -> Any:
    try:
        return ipaddress.ip_address(socket.gethostbyname(host))
    except OSError:
        return None


def _address(text: str) -> Any:
    words = struct.pack("={}I".format(len(text) // 8), *(int(text[at : at + 8], 16) for at in range(0, len(text), 8)))
    address = ipaddress.ip_address(words)
    return getattr(address, "ipv4_mapped", None) or address
