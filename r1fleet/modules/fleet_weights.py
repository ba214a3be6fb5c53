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
        }
    except OSError as error:
        return {"path": path, "problem": "%s: %s" % (error.filename or path, error.strerror)}


def _has_content(path: str) -> bool:
    try:
        return bool(os.listdir(path))
    except OSError:
        return False
