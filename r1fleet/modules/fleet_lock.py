"""Hold, release or show a deployment's lock: one folder that a rename creates with its owner inside."""

from __future__ import annotations

import json
import os
import shutil
import time
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.modules._folders import alone_in

ARGUMENTS = {
    "path": {"type": "path", "required": True},
    "action": {"type": "str", "required": True, "choices": ["acquire", "release", "status"]},
    "owner": {"type": "dict", "default": {}},
    "token": {"type": "str", "default": ""},
}
LOCAL = True
CHECK_MODE = False


def run(ctx: Context) -> dict[str, Any]:
    """Acquire for ``owner``, release what ``token`` holds (any holder's when empty), or tell the holder."""
    action = ctx.args["action"]
    try:
        if action == "acquire":
            return _acquire(ctx.args["path"], ctx.args["owner"])
        if action == "release":
            with alone_in(os.path.dirname(ctx.args["path"])):
                return _release(ctx.args["path"], ctx.args["token"])
        return {"changed": False, "held": _owner(ctx.args["path"])}
    except OSError as error:
        return ctx.fail("the lock %s: %s" % (ctx.args["path"], error))


def _acquire(path: str, owner: dict[str, Any]) -> dict[str, Any]:
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    fresh = "%s.%d.%d" % (path, os.getpid(), time.monotonic_ns())
    try:
        os.mkdir(fresh, 0o755)
        with open(os.path.join(fresh, "owner.json"), "w", encoding="utf-8") as stream:
            json.dump(dict(owner, schema=1, time=time.time()), stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(fresh, path)
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)
        if not os.path.isdir(path):
            raise
        held = _owner(path) or {}
        ours = bool(held.get("token")) and held["token"] == owner.get("token")  # by way of a host that shares the disk
        return {"changed": False, "acquired": ours, "held": held}
    return {"changed": True, "acquired": True, "held": owner}


def _release(path: str, token: str) -> dict[str, Any]:
    held = _owner(path)
    if held is None:
        return {"changed": False, "released": False, "held": None}
    if token and held.get("token") != token:
        return {"changed": False, "released": False, "held": held}
    gone = "%s.gone.%d.%d" % (path, os.getpid(), time.monotonic_ns())
    os.rename(path, gone)
    shutil.rmtree(gone)
    return {"changed": True, "released": True, "held": held}


def _owner(path: str) -> Any:
    try:
        with open(os.path.join(path, "owner.json"), encoding="utf-8") as stream:
            return json.load(stream)
    except FileNotFoundError:
        return {} if os.path.isdir(path) else None
    except ValueError:
        return {}
