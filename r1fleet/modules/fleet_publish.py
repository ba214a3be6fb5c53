"""Give a staged folder its final name, once every file of it is as its manifest says."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import Any

from r1fleet.agent.context import Context

ARGUMENTS = {
    "staged": {"type": "path", "required": True},
    "target": {"type": "path", "required": True},
    "manifest": {"type": "str", "required": True},
}
LOCAL = True
CHECK_MODE = False

_CHUNK = 1024 * 1024


def run(ctx: Context) -> dict[str, Any]:
    """Check, flush to disk, rename; readers see the old folder or the new one, never a half."""
    staged, target = ctx.args["staged"], ctx.args["target"]
    try:
        with open(os.path.join(staged, ctx.args["manifest"]), encoding="utf-8") as stream:
            rows = json.load(stream)["files"]
        wanted = {row["path"]: row for row in rows}
        _remove_others(staged, set(wanted) | {ctx.args["manifest"]})
        for path, row in sorted(wanted.items()):
            if _sha256(os.path.join(staged, path)) != row["sha256"]:
                ctx.fail("%s is not what its manifest says" % path)
        _flush(staged)
        _rename(staged, target)
    except (OSError, ValueError, KeyError) as error:
        return ctx.fail("cannot publish %s: %s" % (target, error))
    return {"changed": True, "path": target}


def _remove_others(staged: str, kept: set[str]) -> None:
    for folder, _, names in os.walk(staged):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.relpath(path, staged) not in kept:
                os.unlink(path)


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(_CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()


def _flush(staged: str) -> None:
    for folder, _, names in os.walk(staged):
        for path in [os.path.join(folder, name) for name in names] + [folder]:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _rename(staged: str, target: str) -> None:
    aside = "%s.old-%d" % (target, os.getpid())
    replaced = os.path.lexists(target)
    if replaced:
        os.rename(target, aside)
    os.rename(staged, target)
    if replaced:
        shutil.rmtree(aside, ignore_errors=True)
    parent = os.open(os.path.dirname(target), os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
