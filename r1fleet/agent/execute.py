"""Run one command line by the user's own shell, as a plain SSH channel would (the agent's own)."""

from __future__ import annotations

import base64
import os
import pwd
from typing import Any, Dict

from r1fleet.agent.context import Context

ARGUMENTS = {"command": {"type": "raw", "required": True}, "stdin": {"type": "raw", "default": ""}}


def run(ctx: Context) -> Dict[str, Any]:
    """Run it and return bytes as base64."""
    try:
        account = pwd.getpwuid(os.geteuid())
        shell, home = account.pw_shell or "/bin/sh", account.pw_dir
    except KeyError:
        shell, home = "/bin/sh", "/"
    done = ctx.run(
        [shell, "-c", ctx.args["command"]],
        stdin=base64.b64decode(ctx.args["stdin"]),
        cwd=home if os.path.isdir(home) else "/",
    )
    return {
        "changed": True,
        "rc": done.rc,
        "stdout": base64.b64encode(done.stdout).decode(),
        "stderr": base64.b64encode(done.stderr).decode(),
    }
