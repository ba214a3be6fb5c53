"""Gather facts about the host, from /proc, /sys and /etc; hardly a program is started."""

from __future__ import annotations

import fnmatch
from typing import Any, Callable

from r1fleet.agent.context import Context
from r1fleet.modules import _facts_distribution as distribution
from r1fleet.modules import _facts_hardware as hardware
from r1fleet.modules import _facts_network as network
from r1fleet.modules import _facts_system as system
from r1fleet.modules import _facts_virtual as virtual

ARGUMENTS: dict[str, dict[str, Any]] = {
    "gather_subset": {"type": "list", "elements": "str", "default": ["all"]},
    "gather_timeout": {"type": "int", "default": 10},
    "filter": {"type": "list", "elements": "str", "default": []},
    "fact_path": {"type": "path", "default": "/etc/ansible/facts.d"},
}
LOCAL = True
CHECK_MODE = True

Collector = Callable[[Context], "dict[str, Any]"]

MINIMAL: dict[str, Collector] = {
    "apparmor": system.apparmor,
    "caps": system.capabilities,
    "cmdline": system.command_line,
    "date_time": system.date_time,
    "distribution": distribution.collect,
    "dns": system.name_servers,
    "env": system.environment,
    "fips": system.fips,
    "local": system.local,
    "lsb": distribution.lsb,
    "pkg_mgr": distribution.package_tool,
    "platform": system.platform,
    "python": system.python,
    "selinux": system.selinux,
    "service_mgr": distribution.service_keeper,
    "ssh_pub_keys": system.ssh_host_keys,
    "user": system.user,
}
FURTHER: dict[str, Collector] = {
    "hardware": hardware.collect,
    "network": network.collect,
    "virtual": virtual.collect,
    "loadavg": system.load,
    "is_chroot": virtual.chroot,
}
# Names that Ansible gives to parts of what one of ours collects.
_PARTS = {
    "interfaces": "network",
    "default_ipv4": "network",
    "default_ipv6": "network",
    "all_ipv4_addresses": "network",
    "all_ipv6_addresses": "network",
    "processor": "hardware",
    "processor_cores": "hardware",
    "processor_count": "hardware",
    "memory": "hardware",
    "mounts": "hardware",
    "devices": "hardware",
    "dmi": "hardware",
    "uptime_seconds": "hardware",
    "virtualization_type": "virtual",
    "virtualization_role": "virtual",
    "distribution_version": "distribution",
    "distribution_release": "distribution",
    "distribution_major_version": "distribution",
    "os_family": "distribution",
    "system": "platform",
    "kernel": "platform",
    "kernel_version": "platform",
    "machine": "platform",
    "machine_id": "platform",
    "architecture": "platform",
    "hostname": "platform",
    "nodename": "platform",
    "fqdn": "platform",
    "domain": "platform",
    "python_version": "platform",
    "effective_user_ids": "user",
}
_ABSENT = ("facter", "ohai", "fibre_channel_wwn", "iscsi", "nvme", "chroot", "system_capabilities")


def run(ctx: Context) -> dict[str, Any]:
    """Collect the subsets asked for, then keep what the filter lets through."""
    facts: dict[str, Any] = {}
    for name in _selected(ctx):
        facts.update(dict(MINIMAL, **FURTHER)[name](ctx))
    named = {"ansible_" + name: value for name, value in facts.items()}
    patterns = [pattern for pattern in ctx.args["filter"] if pattern]
    if patterns:
        named = {name: value for name, value in named.items() if _wanted(name, patterns)}
    named.update(gather_subset=ctx.args["gather_subset"], module_setup=True)
    return {"changed": False, "ansible_facts": named}


def _wanted(name: str, patterns: list[str]) -> bool:
    short = name[len("ansible_") :]
    return any(fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(short, pattern) for pattern in patterns)


def _selected(ctx: Context) -> list[str]:
    """Return the collectors asked for: all unless some are named, the minimum unless it is refused."""
    every = dict(MINIMAL, **FURTHER)
    given = ctx.args["gather_subset"]
    refused = {entry[1:] for entry in given if entry.startswith("!")}
    named = {entry for entry in given if not entry.startswith("!")}
    chosen = {name for entry in named - {"all"} for name in _expanded(ctx, entry)}
    left_out = {name for entry in refused - {"all", "min"} for name in _expanded(ctx, entry)} - chosen
    if ("all" in named or not named) and "all" not in refused:
        chosen.update(every)
    if "min" not in refused:
        chosen.update(MINIMAL)
    return [name for name in every if name in chosen - left_out]


def _expanded(ctx: Context, name: str) -> set[str]:
    if name == "min":
        return set(MINIMAL)
    if name in _ABSENT:
        return set()
    name = _PARTS.get(name, name)
    if name not in MINIMAL and name not in FURTHER:
        known = ", ".join(sorted(["all", "min", *MINIMAL, *FURTHER, *_PARTS]))
        ctx.fail("Bad subset '{}' given to Ansible. gather_subset options allowed: {}".format(name, known))
    return {name}
