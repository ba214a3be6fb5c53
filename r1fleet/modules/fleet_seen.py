"""Keep that an endpoint of this host has just answered somebody else."""

from __future__ import annotations

from typing import Any

from r1fleet.agent.context import Context
from r1fleet.modules import _seen

ARGUMENTS = {
    "folder": {"type": "path", "required": True},
    "seconds": {"type": "float"},
    "tokens": {"type": "int"},
}
LOCAL = True


def run(ctx: Context) -> dict[str, Any]:
    """Write it down beside the judge's verdict."""
    _seen.keep(ctx.args["folder"], ctx.args)
    return {"changed": True}
