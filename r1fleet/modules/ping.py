"""Answer: the host is reached, its Python runs."""

from __future__ import annotations

from typing import Any, Dict

from r1fleet.agent.context import Context

ARGUMENTS = {"data": {"type": "str", "default": "pong"}}
LOCAL = True
CHECK_MODE = True


def run(ctx: Context) -> Dict[str, Any]:
    """Return what was given; ``crash`` shows what a module that breaks looks like, as in Ansible."""
    if ctx.args["data"] == "crash":
        raise RuntimeError("boom")
    return {"changed": False, "ping": ctx.args["data"]}
