"""Stream a file of the host to the controller (the agent's own, not a task's module)."""

from __future__ import annotations

import hashlib
import os
from typing import Any, Dict

from r1fleet.agent.context import Context
from r1fleet.agent.pace import Pace

ARGUMENTS = {"path": {"type": "str", "required": True}, "rate": {"type": "int", "default": 0}}


def run(ctx: Context) -> Dict[str, Any]:
    """Send the content, at most ``rate`` bytes a second unless 0, then its hash and size."""
    path, pace = ctx.args["path"], Pace(ctx.args["rate"])
    if os.path.isdir(path):
        ctx.fail("remote file is a directory, fetch cannot work on directories", path=path)
    summer, size = hashlib.sha256(), 0
    try:
        with open(path, "rb") as stream:
            for chunk in iter(lambda: stream.read(pace.chunk), b""):
                summer.update(chunk)
                size += len(chunk)
                pace.wait(len(chunk))
                ctx.send(chunk)
    except FileNotFoundError:
        ctx.fail("the remote file does not exist, not transferring, ignored", path=path, absent=True)
    except OSError as error:
        ctx.fail("cannot read %s: %s" % (path, error.strerror), path=path)
    return {"changed": False, "sha256": summer.hexdigest(), "size": size}
