"""Stop ranks as whole cgroups, wait, and verify that nothing of them is left."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from r1fleet.agent.context import Context, ModuleFailed
from r1fleet.agent.processes import command_of, listeners, members, owners

ARGUMENTS = {
    "units": {"type": "list", "required": True},
    "ports": {"type": "list", "default": []},
    "remove": {"type": "list", "default": []},
}
LOCAL = True
CHECK_MODE = False
GRACE = 15
"""Added to a unit's own stop time before its stop command is given up."""


def run(ctx: Context) -> dict[str, Any]:
    """Stop each ``{name, stop, stop_seconds}``; answers what was running and what is left."""
    # First what would bring it back: a host that reboots in the middle of a stop starts nothing.
    for path in ctx.args["remove"]:
        _remove(path)
    groups = owners()
    before = {unit["name"]: members(groups, unit["name"]) for unit in ctx.args["units"]}
    failed = [unit for unit in ctx.args["units"] if _stop(ctx, unit)]
    left = _finish([unit["name"] for unit in ctx.args["units"]])
    # What would not end by itself has been killed: only a second refusal counts.
    problems = [text for text in (_stop(ctx, unit) for unit in failed) if text]
    return {
        "changed": any(before.values()),
        "was": {name: len(pids) for name, pids in before.items()},
        "left": ["pid %d (%s)" % (pid, command_of(pid)) for pid in left],
        "problems": problems,
        "ports": _ports(ctx.args["ports"]),
    }


def _stop(ctx: Context, unit: dict[str, Any]) -> str:
    """Run a unit's stop command; returns why it failed, or nothing."""
    try:
        done = ctx.run(unit["stop"], timeout=unit["stop_seconds"] + GRACE)
    except ModuleFailed as error:
        return "%s: %s" % (unit["name"], error)
    if done.rc == 0:
        return ""
    return "%s: %s" % (unit["name"], done.error.strip()[:400] or "exit %d" % done.rc)


def _finish(names: list[str]) -> list[int]:
    """Kill what outlived its stop command, then wait until it is gone."""
    for attempt in range(50):
        groups = owners()
        left = [pid for name in names for pid in members(groups, name)]
        if not left:
            return []
        if attempt % 10 == 2:
            for pid in left:
                _kill(pid)
        time.sleep(0.1)
    return left


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _ports(ports: list[int]) -> list[str]:
    taken = listeners(ports)
    return [
        "port %d is still held by %s" % (port, ", ".join("pid %d (%s)" % (pid, command_of(pid)) for pid in pids))
        for port, pids in sorted(taken.items())
    ]
