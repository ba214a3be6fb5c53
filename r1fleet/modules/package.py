"""Install and remove packages with whatever the host has."""

from __future__ import annotations

from typing import Any

from r1fleet.agent.context import Context
from r1fleet.modules import apt, dnf
from r1fleet.modules._facts_distribution import package_tool

_STATES = ["absent", "installed", "latest", "present", "removed"]
_BACKENDS = {"apt": apt, "dnf": dnf, "dnf5": dnf, "yum": dnf}
# What only one of them knows is that one's business: an apt host is not asked about dnf's arguments.
ARGUMENTS: dict[str, dict[str, Any]] = dict(dnf.ARGUMENTS, **apt.ARGUMENTS)
ARGUMENTS.update(
    name={"type": "list", "elements": "str", "required": True, "aliases": ["pkg", "package"]},
    state={"type": "str", "default": "present", "choices": _STATES},
    use={"type": "str", "default": "auto"},
)
LOCAL = True
CHECK_MODE = True

_WORDS = {"installed": "present", "removed": "absent"}


def run(ctx: Context) -> dict[str, Any]:
    """Hand the task to apt or dnf."""
    asked = ctx.args["use"].rpartition(".")[2]
    kind = _present(ctx) if asked == "auto" else asked
    if kind not in _BACKENDS:
        ctx.fail("Could not find a matching action for the {!r} package manager.".format(kind))
    backend: Any = _BACKENDS[kind]
    ctx.args = {name: ctx.args.get(name) for name in backend.ARGUMENTS}
    for name, row in backend.ARGUMENTS.items():
        if ctx.args[name] is None:
            ctx.args[name] = row.get("default")
    ctx.args["state"] = _WORDS.get(ctx.args["state"], ctx.args["state"])
    reply: dict[str, Any] = backend.run(ctx)
    return reply


def _present(ctx: Context) -> str:
    found = str(package_tool(ctx)["pkg_mgr"])
    if found == "unknown":
        ctx.fail("Could not detect which package manager to use: the host has neither apt-get nor dnf")
    return found
