"""Give a staged folder its final name, once every file of it is as its manifest says."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.swarm_files import Record, sha256_of

ARGUMENTS = {
    "staged": {"type": "path", "required": True},
    "target": {"type": "path", "required": True},
    "manifest": {"type": "str", "required": True},
    "records": {"type": "list", "default": []},
    "verified": {"type": "bool", "default": False},
}
LOCAL = True
CHECK_MODE = False

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD, RENAME_EXCHANGE


def run(ctx: Context) -> dict[str, Any]:
    """Check (unless ``verified`` before), flush, rename; readers see the old folder or the new one, never a mixture.

    Files that a swarm has verified and put on disk, and that nothing has touched since, are not read again: its
    ``records`` say which.
    Where the kernel or the file system cannot exchange two folders, there is a moment without either.
    """
    staged, target = ctx.args["staged"], ctx.args["target"]
    try:
        with open(os.path.join(staged, ctx.args["manifest"]), encoding="utf-8") as stream:
            rows = json.load(stream)["files"]
        wanted = {row["path"]: row for row in rows}
        _remove_others(staged, set(wanted) | {ctx.args["manifest"]})
        records = [Record(path) for path in ctx.args.get("records") or ()]
        for path, row in sorted(wanted.items()):
            place = os.path.join(staged, path)
            if any(record.holds(place, row["sha256"]) for record in records):
                continue
            if not ctx.args.get("verified") and sha256_of(place) != row["sha256"]:
                ctx.fail("%s is not what its manifest says" % path)
        _flush(staged)
        _rename(staged, target)
    except (OSError, ValueError, KeyError) as error:
        return ctx.fail("cannot publish %s: %s" % (target, error))
    return {"changed": True, "path": target}


def _remove_others(staged: str, kept: set[str]) -> None:
    for folder, _, names in os.walk(staged, topdown=False):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.relpath(path, staged) not in kept:
                os.unlink(path)
        if folder != staged and not os.listdir(folder):
            os.rmdir(folder)


def _flush(staged: str) -> None:
    for folder, _, names in os.walk(staged):
        for path in [os.path.join(folder, name) for name in names] + [folder]:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _rename(staged: str, target: str) -> None:
    if not os.path.lexists(target):
        os.rename(staged, target)
    elif _exchange(staged, target):
        _remove(staged)
    else:
        aside = "%s.old-%d" % (target, os.getpid())
        os.rename(target, aside)
        try:
            os.rename(staged, target)
        except OSError:
            os.rename(aside, target)
            raise
        _remove(aside)
    parent = os.open(os.path.dirname(target), os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


def _exchange(one: str, other: str) -> bool:
    """Let two paths change places in one step; False where that is not to be had."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError):
        return False
    return bool(rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0)


def _remove(path: str) -> None:
    if os.path.islink(path) or os.path.isfile(path):
        os.unlink(path)
    else:
        shutil.rmtree(path, ignore_errors=True)
