"""Tell what is known of model folders: their seals, what is staged beside them, and the room that is left."""

from __future__ import annotations

import os
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.modules import _folders

ARGUMENTS = {"paths": {"type": "list", "elements": "path", "required": True}}
LOCAL = True
CHECK_MODE = True


def run(ctx: Context) -> dict[str, Any]:
    """Answer for each path, in order."""
    return {"changed": False, "folders": [_folder(path) for path in ctx.args["paths"]]}


def _folder(path: str) -> dict[str, Any]:
    try:
        staged = [_folders.measure(folder)[1] for folder in _folders.staged_for(path)]
        return {
            "path": path,
            "exists": os.path.lexists(path),
            "content": _has_content(path),
            "manifest": _folders.manifest_text(path),
            "staged": sum(staged),
            "room": _folders.room(path),
            "problem": "",
            "link": _link(path),
        }
    except OSError as error:
        return {"path": path, "problem": "%s: %s" % (error.filename or path, error.strerror)}


def _link(path: str) -> str | None:
    """Return where the name without a revision leads: "" where it is not there, None where it is no link or no name."""
    folder, name = os.path.split(path)
    plain, at, _ = name.rpartition("@")
    try:
        return os.readlink(os.path.join(folder, plain)) if at and plain else None
    except FileNotFoundError:
        return ""
    except OSError:
        return None


def _has_content(path: str) -> bool:
    try:
        return bool(os.listdir(path))
    except OSError:
        return False
