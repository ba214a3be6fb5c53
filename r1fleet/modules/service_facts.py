"""List the services as facts."""

from __future__ import annotations

import re
from typing import Any

from r1fleet.agent.context import Context

ARGUMENTS: dict[str, dict[str, Any]] = {}
LOCAL = True
CHECK_MODE = True

_AMISS = ("not-found", "masked", "failed")
_PLAIN = ["--no-pager", "--no-legend", "--plain", "--type", "service", "--all"]
_SCRIPT = re.compile(r"^ *\[ ([+-]) \] +(\S+)$", re.MULTILINE)


def run(ctx: Context) -> dict[str, Any]:
    """Join the scripts of /etc/init.d, what systemd runs and what it could run."""
    systemctl, service = ctx.which("systemctl"), ctx.which("service")
    if systemctl is None and service is None:
        ctx.warn("Failed to find any services: the host has neither systemd nor scripts in /etc/init.d")
    services: dict[str, dict[str, str]] = {}
    if service:
        _add_scripts(services, ctx.run([service, "--status-all"], locale="C").text)
    if systemctl:
        _add_loaded(services, ctx.run([systemctl, "list-units", *_PLAIN], locale="C").text)
        _add_files(ctx, services, systemctl)
    return {"changed": False, "ansible_facts": {"services": services}}


def _add_scripts(services: dict[str, dict[str, str]], text: str) -> None:
    for sign, name in _SCRIPT.findall(text):
        state = "running" if sign == "+" else "stopped"
        services[name] = {"name": name, "state": state, "source": "sysv"}


def _add_loaded(services: dict[str, dict[str, str]], text: str) -> None:
    for line in text.splitlines():
        words = line.replace("\u25cf", " ").split(None, 4)[:4]
        if len(words) < 4:
            continue
        status = next((word for word in words[1:] if word in _AMISS), words[2])
        state = "running" if words[3] == "running" else "stopped"
        services[words[0]] = {"name": words[0], "state": state, "status": status, "source": "systemd"}


def _add_files(ctx: Context, services: dict[str, dict[str, str]], systemctl: str) -> None:
    """Tell how units are enabled; those that are not loaded, or by another name, are asked for their state."""
    rows = [line.split() for line in ctx.run([systemctl, "list-unit-files", *_PLAIN], locale="C").text.splitlines()]
    found = {row[0]: row[1] for row in rows if len(row) > 1}
    states = _states(ctx, systemctl, [name for name in found if name not in services and "@." not in name])
    for name, status in found.items():
        if name not in services:
            state = states.get(name, "unknown")
            services[name] = {"name": name, "state": state, "status": status, "source": "systemd"}
        elif services[name]["status"] not in _AMISS:
            services[name]["status"] = status


def _states(ctx: Context, systemctl: str, names: list[str]) -> dict[str, str]:
    if not names:
        return {}
    done = ctx.run([systemctl, "show", "--property", "ActiveState", "--value", "--", *names], locale="C")
    return dict(zip(names, done.text.split()))
