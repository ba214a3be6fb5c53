"""``r1fleet lock``: who holds the lock of a launch or a sync."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

import typer

from r1fleet.cli import options
from r1fleet.cli.fleet import Reach, access, fleets, one_deployment
from r1fleet.console.tables import columns
from r1fleet.launch import HeldLock, lock_release, lock_status
from r1fleet.status.record import SYNCS

_HEAD = ("deployment", "host", "by", "pid", "owner", "purpose", "since")

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Show or release the locks of launches and syncs.",
)


@app.command()
def status(
    inventories: options.Inventories = None,
    ask_become: options.AskBecome = False,
    accept_new: options.AcceptNew = False,
    as_json: options.Json = False,
) -> int:
    """List the locks that are held."""
    reach = Reach(ask_become=ask_become, accept_new=accept_new)
    way = access(reach)
    try:
        held = [lock for fleet in fleets(inventories, reach) for lock in lock_status(fleet.hosts.values(), way)]
    finally:
        way.transport.close()
    if as_json:
        typer.echo(json.dumps([{**asdict(lock), "owner": lock.owner} for lock in held], indent=2))
    elif not held:
        typer.echo("no lock is held")
    else:
        for line in columns(
            ("deployment", "host", "by", "pid", "owner", "purpose", "since"), [_row(lock) for lock in held]
        ):
            typer.echo(line)
    return 0


@app.command()
def release(
    deployment: options.Deployment = None,
    inventories: options.Inventories = None,
    yes: options.Yes = False,
    ask_become: options.AskBecome = False,
    accept_new: options.AcceptNew = False,
) -> int:
    """Release a lock whose owner is gone (a sync's is called weights); asks where it still runs here."""
    reach = Reach(ask_become=ask_become, accept_new=accept_new)
    found = fleets(inventories, reach)
    fleet, name = (found[0], SYNCS) if deployment == SYNCS and len(found) == 1 else one_deployment(found, deployment)
    way = access(reach)
    try:
        busy = [lock for lock in lock_status(fleet.hosts.values(), way, name) if lock.owner == "running"]
        if busy:
            options.confirm(f"release a lock that process {busy[0].pid} of this controller holds now", yes=yes)
        released = lock_release(fleet.hosts.values(), way, name)
    finally:
        way.transport.close()
    for lock in released:
        typer.echo(f"released {lock.deployment} on {lock.host}, held by {lock.by}")
    if not released:
        typer.echo(f"no lock of {name} is held")
    return 0


def _row(lock: HeldLock) -> tuple[str, ...]:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(lock.time)) if lock.time else "unknown"
    return (lock.deployment, lock.host, lock.by, str(lock.pid), lock.owner, lock.purpose, since)
