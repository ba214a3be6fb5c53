"""add_host, group_by and wait_for_connection: who is there, and whether one answers."""

from __future__ import annotations

import asyncio
import re
import time

from r1fleet.errors import HostUnreachable
from r1fleet.playbook.inherit import as_tuple
from r1fleet.playbook.templating import as_number
from r1fleet.playbook.work import Work
from r1fleet.transport import Reply

_WITH_PORT = re.compile(r"(?P<name>[^:]+|\[.*\]):(?P<port>\d+)$")


async def add_host(work: Work) -> Reply:
    """Add a host to the inventory for the rest of the run."""
    args = dict(work.args)
    written = next((str(args.pop(key)) for key in ("name", "host", "hostname") if key in args), "")
    if not written:
        return {"changed": False, "failed": True, "msg": "name, host or hostname needs to be provided"}
    address = _WITH_PORT.match(written)
    name = address["name"].strip("[]") if address else written
    if address:
        args["ansible_ssh_port"] = int(address["port"])
    found = next((args.pop(key) for key in ("groups", "group", "groupname") if key in args), None)
    groups = [str(group).strip() for group in as_tuple(found.split(",") if isinstance(found, str) else found)]
    changed = work.run.add_host(name, groups, args)
    return {"changed": changed, "add_host": {"host_name": name, "groups": groups, "host_vars": args}}


async def group_by(work: Work) -> Reply:
    """Put the host into a group named after a value."""
    key = str(work.args["key"]).replace(" ", "-")
    parents = [str(parent).replace(" ", "-") for parent in as_tuple(work.args.get("parents", "all"))]
    changed = work.run.add_host(work.state.name, [key, *(parent for parent in parents if parent != "all")], {})
    return {"changed": changed, "add_group": key, "parent_groups": parents}


async def wait_for_connection(work: Work) -> Reply:
    """Connect again and again until the host answers."""
    begin = time.monotonic()
    limit = as_number(work.args.get("timeout"), "timeout", 600)
    await asyncio.sleep(as_number(work.args.get("delay"), "delay"))
    while True:
        try:
            await work.sessions.forget(work.target)
            await work.submit(work.call("ping", {}))
        except HostUnreachable as error:
            if time.monotonic() - begin > limit:
                msg = f"timed out waiting for {work.target.name}: {error.what}"
                return {"changed": False, "failed": True, "msg": msg, "elapsed": int(time.monotonic() - begin)}
            await asyncio.sleep(as_number(work.args.get("sleep"), "sleep", 1))
            continue
        return {"changed": False, "elapsed": int(time.monotonic() - begin)}
