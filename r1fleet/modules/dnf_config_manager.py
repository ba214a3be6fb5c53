"""Enable and disable repositories that are there, by dnf's plugin config-manager."""

from __future__ import annotations

from typing import Any

from r1fleet.agent.context import Context
from r1fleet.modules._dnf import dnf

ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "list", "elements": "str", "default": []},
    "state": {"type": "str", "default": "enabled", "choices": ["enabled", "disabled"]},
}
LOCAL = True
CHECK_MODE = True


def run(ctx: Context) -> dict[str, Any]:
    """Change the repositories that are in another state."""
    wanted = ctx.args["state"]
    before = _states(ctx)
    for name in ctx.args["name"]:
        if name not in before:
            ctx.fail("did not find repo with ID '{}' in dnf repolist --all --verbose".format(name))
    others = [name for name in ctx.args["name"] if before[name] != wanted]
    reply = {"changed": bool(others), "changed_repos": others, "repo_states_pre": _sorted(before)}
    if ctx.check:
        return reply
    after = before
    if others:
        done = dnf(ctx, "config-manager", "-y", "--set-" + wanted, *others)
        after = _states(ctx)
        if done.rc or any(after[name] != wanted for name in others):
            ctx.fail("dnf config-manager failed to make {} {}: {}".format(others, wanted, done.error.strip()))
    return dict(reply, repo_states_post=_sorted(after))


def _states(ctx: Context) -> dict[str, str]:
    """Ask for the repositories' states, which needs none of their lists."""
    done = dnf(ctx, "--quiet", "repolist", "--all")
    rows = [line.split() for line in done.text.splitlines()[1:]]
    return {row[0]: row[-1] for row in rows if row and row[-1] in ("enabled", "disabled")}


def _sorted(states: dict[str, str]) -> dict[str, list[str]]:
    return {
        state: sorted(name for name, found in states.items() if found == state) for state in ("enabled", "disabled")
    }
