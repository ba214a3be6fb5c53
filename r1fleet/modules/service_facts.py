"""List the services as facts."""

from __future__ import annotations

from typing import Any

from r1fleet.agent.context import Context

ARGUMENTS: dict[str, dict[str, Any]] = {}
LOCAL = True
CHECK_MODE = True

_STATES = {"running": "running", "failed": "failed"}


def run(ctx: Context) -> dict[str, Any]:
    """Join what systemd runs with what it could run."""
    systemctl = ctx.which("systemctl")
    if systemctl is None:
        ctx.warn("Failed to find any services: the host does not run systemd")
        return {"changed": False, "ansible_facts": {"services": {}}}
    services: dict[str, dict[str, str]] = {}
    plain = ["--no-pager", "--no-legend", "--plain", "--type", "service", "--all"]
    for line in ctx.run([systemctl, "list-units", *plain], locale="C").text.splitlines():
        words = line.replace("\u25cf", " ").split(None, 4)
        if len(words) < 4:
            continue
        status = words[1] if words[1] == "not-found" else "unknown"
        state = _STATES.get(words[3], "stopped")
        services[words[0]] = {"name": words[0], "state": state, "status": status, "source": "systemd"}
    for line in ctx.run([systemctl, "list-unit-files", *plain], locale="C").text.splitlines():
        words = line.split()
        if len(words) < 2:
            continue
        state = "unknown" if "@." in words[0] else "inactive"  # what is active is loaded, and listed above
        unlisted = {"name": words[0], "state": state, "source": "systemd"}
        services.setdefault(words[0], unlisted)["status"] = words[1]
    return {"changed": False, "ansible_facts": {"services": services}}
