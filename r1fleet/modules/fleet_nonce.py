"""Find shared storage: a file of each host's own, looked for by all others in the same folder."""

from __future__ import annotations

import hashlib
import os
import re
from typing import Any

from r1fleet.agent.context import Context

ARGUMENTS = {
    "folder": {"type": "path", "required": True},
    "action": {"type": "str", "required": True, "choices": ["leave", "look", "take"]},
    "nonce": {"type": "str", "required": True},
    "hosts": {"type": "list", "elements": "str", "required": True},
}
LOCAL = True
CHECK_MODE = False

_WORD = re.compile(r"[0-9a-f]{32}")


def run(ctx: Context) -> dict[str, Any]:
    """Leave the files of ``hosts``, name those of ``hosts`` whose files are here, or take them away.

    Each file is looked up by its name: a listing may come from what a network file system's client has cached.
    """
    action, folder = ctx.args["action"], ctx.args["folder"]
    if not _WORD.fullmatch(ctx.args["nonce"]):
        ctx.fail("%r is no nonce" % ctx.args["nonce"])
    files = {host: os.path.join(folder, _name(ctx.args["nonce"], host)) for host in ctx.args["hosts"]}
    try:
        if action == "look":
            return {"changed": False, "hosts": [host for host, path in files.items() if os.path.lexists(path)]}
        if action == "leave":
            os.makedirs(folder, mode=0o755, exist_ok=True)
        for path in files.values():
            if action == "leave":
                with open(path, "x"):
                    pass
            else:
                os.unlink(path)
    except OSError as error:
        ctx.fail("%s: %s" % (error.filename or folder, error.strerror))
    return {"changed": True}


def _name(nonce: str, host: str) -> str:
    return ".r1fleet-nonce-%s-%s" % (nonce, hashlib.sha256(host.encode()).hexdigest()[:16])
