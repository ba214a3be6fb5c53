"""List the installed packages as facts."""

from __future__ import annotations

import os
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.modules._dpkg import STATUS, installed

ARGUMENTS: dict[str, dict[str, Any]] = {
    "manager": {"type": "list", "elements": "str", "default": ["auto"]},
    "strategy": {"type": "str", "default": "first", "choices": ["all", "first"]},
}
LOCAL = True
CHECK_MODE = True

_NAMES = {"auto": ("apt", "rpm"), "dnf": ("rpm",), "dnf5": ("rpm",), "yum": ("rpm",), "zypper": ("rpm",)}
_FORM = "%{NAME}\\t%{VERSION}\\t%{RELEASE}\\t%{EPOCH}\\t%{ARCH}\\n"


def run(ctx: Context) -> dict[str, Any]:
    """Read dpkg's and rpm's databases, the first that is there or all."""
    found: dict[str, list[dict[str, Any]]] = {}
    used: list[str] = []
    for manager in [name for asked in ctx.args["manager"] for name in _NAMES.get(asked, (asked,))]:
        if manager not in ("apt", "rpm"):
            ctx.fail("packages of {!r} cannot be listed; apt and rpm can".format(manager))
        listed = _from_dpkg(ctx) if manager == "apt" else _from_rpm(ctx)
        if listed is None:
            continue
        used.append(manager)
        for package in listed:
            found.setdefault(package["name"], []).append(package)
        if ctx.args["strategy"] == "first":
            break
    if not used:
        ctx.fail("Could not detect a supported package manager from the following list: {}".format(ctx.args["manager"]))
    return {"changed": False, "ansible_facts": {"packages": found}}


def _from_dpkg(ctx: Context) -> list[dict[str, Any]] | None:
    if not os.path.exists(STATUS):
        return None
    return [
        {"name": each.name, "version": each.version, "arch": each.architecture, "source": "apt", "origin": ""}
        for packages in installed(ctx).packages.values()
        for each in packages
        if each.state == "installed"
    ]


def _from_rpm(ctx: Context) -> list[dict[str, Any]] | None:
    program = ctx.which("rpm")
    if program is None:
        return None
    done = ctx.run([program, "-qa", "--queryformat", _FORM], locale="C")
    rows = [line.split("\t") for line in done.text.splitlines()]
    names = ("name", "version", "release", "epoch", "arch")
    # No epoch is the word None, as Ansible has it.
    packages = [dict(zip(names, row), source="rpm") for row in rows if len(row) == 5]
    return [dict(each, epoch=each["epoch"].replace("(none)", "None")) for each in packages]
