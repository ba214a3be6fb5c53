"""Start, stop and enable services, whatever the host keeps them with; so far that must be systemd."""

from __future__ import annotations

import os
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.modules import systemd

ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["reloaded", "restarted", "started", "stopped"]},
    "enabled": {"type": "bool"},
    "sleep": {"type": "int"},
    "pattern": {"type": "str"},
    "runlevel": {"type": "str", "default": "default"},
    "arguments": {"type": "str", "default": "", "aliases": ["args"]},
    "use": {"type": "str", "default": "auto"},
    "daemon_reload": {"type": "bool", "default": False, "aliases": ["daemon-reload"]},
    "masked": {"type": "bool"},
    "scope": {"type": "str", "default": "system", "choices": ["system", "user", "global"]},
}
REQUIRED_ONE_OF = [["state", "enabled"]]
LOCAL = True
CHECK_MODE = True

_SYSTEMD = ("auto", "systemd", "systemd_service", "ansible.builtin.systemd", "ansible.builtin.systemd_service")


def run(ctx: Context) -> dict[str, Any]:
    """Hand the task to systemd, or say why it cannot be done."""
    if ctx.args["use"] not in _SYSTEMD:
        ctx.fail("services kept with {} are not supported, only systemd".format(ctx.args["use"]))
    if not os.path.isdir("/run/systemd/system"):
        ctx.fail("this host does not run systemd (no /run/systemd/system), and no other service keeper is supported")
    rest = {"force": None, "daemon_reexec": False, "no_block": False}
    ctx.args = {name: rest[name] if name in rest else ctx.args[name] for name in systemd.ARGUMENTS}
    return systemd.run(ctx)
