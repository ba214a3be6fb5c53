"""Give a staged folder its final name, once every file of it is as its manifest says."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.swarm_files import Record, sha256_of
from r1fleet.modules import _folders

ARGUMENTS = {
    "staged": {"type": "path", "required": True},
    "target": {"type": "path", "required": True},
    "manifest": {"type": "str", "required": True},
    "sha256": {"type": "str", "required": True},
    "records": {"type": "list", "default": []},
    "verified": {"type": "bool", "default": False},
}
LOCAL = True
CHECK_MODE = False

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD, RENAME_EXCHANGE


def run(ctx: Context) -> dict[str, Any]:
    """Check (unless ``verified`` before), flush, rename; readers see the old folder or the new one, never a mixture.

    The manifest is the one of this ``sha256``, or nothing is done: asked again after a lost connection, the staged
    folder may be gone, or be what was there before.
    Files that a swarm has verified and put on disk, and that nothing has touched since, are not read again: its
    ``records`` say which.
    Where the kernel or the file system cannot exchange two folders, there is a moment without either.
    """
    staged, target = ctx.args["staged"], ctx.args["target"]
    try:
        with _folders.alone_in(os.path.dirname(target)):  # a lost connection may have left a call behind
            changed = _publish(ctx, staged, target)
    except (OSError, ValueError, KeyError) as error:
        return ctx.fail("cannot publish %s: %s" % (target, error))
    return {"changed": changed, "path": target}


def _publish(ctx: Context, staged: str, target: str) -> bool:
    if not _is_sealed(ctx, staged):
        if _is_sealed(ctx, target):
            _remove_gone(target)
            return False
        ctx.fail("cannot publish %s: %s does not hold what was to be published" % (target, staged))
    with open(os.path.join(staged, ctx.args["manifest"]), encoding="utf-8") as stream:
        wanted = {row["path"]: row for row in json.load(stream)["files"]}
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
    return True


def _is_sealed(ctx: Context, folder: str) -> bool:
    """Tell whether a folder has the very manifest that is to be published."""
    try:
        return bool(sha256_of(os.path.join(folder, ctx.args["manifest"])) == ctx.args["sha256"])
    except OSError:
        return False


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
    _remove_gone(target)
    gone = _folders.free_gone(target)
    if not os.path.lexists(target):
        os.rename(staged, target)
    elif _exchange(staged, target):
        os.rename(staged, gone)
    else:
        os.rename(target, gone)
        try:
            os.rename(staged, target)
        except OSError:
            os.rename(gone, target)
            raise
    _remove(gone)
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


def _remove_gone(target: str) -> None:
    """Remove what a publish was cut short in removing."""
    for path in _folders.gone_of(target):
        _remove(path)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
