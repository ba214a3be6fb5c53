"""Set the host's name, now and for good."""

from __future__ import annotations

import os
import re
import socket
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.files import write_bytes
from r1fleet.modules._proc import read

ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "use": {
        "type": "str",
        "choices": ["alpine", "debian", "generic", "openrc", "redhat", "sles", "systemd"],
    },
}
LOCAL = True
CHECK_MODE = True

FILE = "/etc/hostname"
SYSTEMD = "/run/systemd/system"
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")


def run(ctx: Context) -> dict[str, Any]:
    """Compare both names with the wanted one and set what differs."""
    name = ctx.args["name"]
    if not _NAME.fullmatch(name) or ".." in name:
        ctx.fail("{!r} cannot be a host name: 1 to 64 letters, digits, hyphens and dots".format(name))
    running, stored = socket.gethostname(), read(FILE)
    changed = running != name or stored != name
    if changed and not ctx.check:
        _set(ctx, name, stored=stored, running=running)
    full = socket.getfqdn()
    facts = {
        "ansible_hostname": name.split(".")[0],
        "ansible_nodename": name,
        "ansible_fqdn": full,
        "ansible_domain": ".".join(full.split(".")[1:]),
    }
    reply: dict[str, Any] = {"changed": changed, "name": name, "ansible_facts": facts}
    if ctx.diff and changed:
        before = running if stored == name else stored
        reply["diff"] = {"before": "hostname = {}\n".format(before), "after": "hostname = {}\n".format(name)}
    return reply


def _set(ctx: Context, name: str, *, stored: str, running: str) -> None:
    by_systemd = ctx.args["use"] in (None, "systemd") and os.path.isdir(SYSTEMD)
    if by_systemd and ctx.which("hostnamectl"):
        # The pretty name, too, as Ansible does: it stands in /etc/machine-info.
        kinds = (["--pretty", "--static"] if stored != name else []) + (["--transient"] if running != name else [])
        done = ctx.run([ctx.need("hostnamectl"), *kinds, "set-hostname", name], locale="C")
        # Without D-Bus (a small container) hostnamectl cannot; the file and the kernel can.
        if done.rc == 0:
            return
    if stored != name:
        write_bytes(FILE, name.encode() + b"\n", mode=0o644)
    if running != name:
        try:
            socket.sethostname(name)
        except OSError as error:
            ctx.fail("Command failed: cannot set the host name: {}".format(error.strerror))
