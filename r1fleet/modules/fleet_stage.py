"""Write the files of a generation, its marker of what is current, and a line of the journal."""

from __future__ import annotations

import json
import os
import pwd
import time
from typing import Any

from r1fleet.agent.context import Context

ARGUMENTS = {
    "folder": {"type": "path", "required": True},
    "folders": {"type": "list", "default": []},
    "files": {"type": "list", "default": [], "no_log": True},
    "current": {"type": "dict"},
    "journal": {"type": "dict"},
    "only_generation": {"type": "int"},
}
LOCAL = True
CHECK_MODE = False


def run(ctx: Context) -> dict[str, Any]:
    """Make ``folder`` (0755) and ``folders``, then write ``files``, then ``current``, then ``journal``.

    With ``only_generation`` nothing happens unless that generation is the current one.
    """
    folder = ctx.args["folder"]
    wanted = ctx.args["only_generation"]
    if wanted is not None and _generation(folder) != wanted:
        return {"changed": False, "current": _generation(folder)}
    try:
        for path in [os.path.dirname(folder), folder, *ctx.args["folders"]]:
            os.makedirs(path, mode=0o755, exist_ok=True)
            os.chmod(path, 0o755)
        for row in ctx.args["files"]:
            _file(ctx, row)
        if ctx.args["current"]:
            _write(os.path.join(folder, "current.json"), json.dumps(_marked(ctx.args["current"])), 0o644)
        if ctx.args["journal"]:
            _journal(os.path.join(folder, "journal.jsonl"), ctx.args["journal"])
    except OSError as error:
        return ctx.fail("%s: %s" % (error.filename or folder, error.strerror))
    return {"changed": True, "current": _generation(folder)}


def _file(ctx: Context, row: dict[str, Any]) -> None:
    owner = _owner(ctx, row["owner"]) if row.get("owner") else None
    os.makedirs(os.path.dirname(row["path"]), mode=0o755, exist_ok=True)
    if row.get("fifo"):
        _fifo(row["path"], row["mode"], owner)
        return
    _write(row["path"], row["content"], row["mode"], owner)


def _owner(ctx: Context, name: str) -> tuple[int, int]:
    """Find an account by its name, or take its number (``1000`` or ``1000:1000``)."""
    user, _, group = name.partition(":")
    if user.isdigit():
        return int(user), int(group or user)
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return ctx.fail("there is no user %s on this host" % name)
    return entry.pw_uid, entry.pw_gid


def _fifo(path: str, mode: int, owner: tuple[int, int] | None) -> None:
    if os.path.lexists(path):
        os.unlink(path)
    os.mkfifo(path, mode)
    if owner is not None:
        os.chown(path, owner[0], owner[1])


def _write(path: str, text: str, mode: int, owner: tuple[int, int] | None = None) -> None:
    neighbour = "%s.%d.new" % (path, os.getpid())
    if os.path.lexists(neighbour):
        os.unlink(neighbour)
    descriptor = os.open(neighbour, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
            if owner is not None:
                os.fchown(stream.fileno(), owner[0], owner[1])
            os.fchmod(stream.fileno(), mode)
        os.rename(neighbour, path)
    except OSError:
        os.unlink(neighbour)
        raise


def _marked(current: dict[str, Any]) -> dict[str, Any]:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        return dict(current, schema=1, time=time.time(), boot_id=stream.read().strip())


def _journal(path: str, entry: dict[str, Any]) -> None:
    with open(path, "a", encoding="utf-8") as stream:
        stream.write(json.dumps(dict(entry, schema=1, time=time.time())) + "\n")


def _generation(folder: str) -> Any:
    try:
        with open(os.path.join(folder, "current.json"), encoding="utf-8") as stream:
            return json.load(stream).get("generation")
    except (OSError, ValueError):
        return None
