"""Run a command line through a shell."""

from __future__ import annotations

from typing import Any

from r1fleet.agent.context import Context
from r1fleet.modules.command import blank, execute

ARGUMENTS = {
    "cmd": {"type": "str"},
    "chdir": {"type": "path"},
    "creates": {"type": "path"},
    "removes": {"type": "path"},
    "executable": {"type": "path"},
    "stdin": {"type": "str"},
    "stdin_add_newline": {"type": "bool", "default": True},
}
FREE_FORM = "cmd"
REQUIRED_ONE_OF = [["cmd"]]
LOCAL = False
CHECK_MODE = True


def run(ctx: Context) -> dict[str, Any]:
    """Run ``cmd`` with ``executable``, by default /bin/sh."""
    line = ctx.args["cmd"]
    if not line.strip():
        ctx.fail("no command given", rc=256, **blank(line))
    return execute(ctx, [ctx.args["executable"] or "/bin/sh", "-c", line], line)
