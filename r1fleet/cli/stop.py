"""``r1fleet stop``: every rank of a deployment, on every host, verified."""

from __future__ import annotations

from typing import Annotated

import typer

from r1fleet.cli import options
from r1fleet.cli.fleet import Reach, absent, access, fleets, launched
from r1fleet.console import renderer
from r1fleet.errors import Interrupted, UsageError
from r1fleet.events import Note
from r1fleet.launch import StopReport, stop_orphans
from r1fleet.launch import stop as stop_everywhere

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def stop(
    deployment: options.Deployment = None,
    inventories: options.Inventories = None,
    orphans: Annotated[
        bool, typer.Option("--orphans", help="Stop what runs there by r1fleet's names and no plan on its host knows.")
    ] = False,
    yes: options.Yes = False,
    ask_become: options.AskBecome = False,
    accept_new: options.AcceptNew = False,
    output: options.Output = "auto",
    as_json: options.Json = False,
) -> int:
    """Stop a deployment: whole process groups, 20 s before they are killed, and a look that nothing is left."""
    reach = Reach(ask_become=ask_become, accept_new=accept_new)
    if orphans and deployment:
        raise UsageError("--orphans stops what belongs to no deployment", hint="leave the name out")
    fleet, name = launched(fleets(inventories, reach), deployment)
    what = "what no plan names" if orphans else name or "what runs"
    options.confirm(f"stop {what} on {fleet.inventory.name}", yes=yes)
    way = access(reach)
    try:
        with renderer("json" if as_json else output) as console:
            hosts = fleet.hosts.values()
            report = stop_orphans(hosts, way, console) if orphans else stop_everywhere(hosts, way, console, name)
            if report.unknown and report.deployment not in fleet.deployments:
                raise absent([fleet], report.deployment)
            for host, why in report.left.items():
                console(Note(f"not confirmed stopped: {why}", "error", host))
            console(Note(_closing(report)))
    except KeyboardInterrupt as interrupt:
        again = "r1fleet stop --orphans" if orphans else f"r1fleet stop {name or ''}".strip()
        raise Interrupted("interrupted while stopping", hint=f"{again} ends what is left") from interrupt
    finally:
        way.transport.close()
    return int(report.exit_code)


def _closing(report: StopReport) -> str:
    if report.message:
        return report.message
    if report.left:
        again = f"once these hosts are back: r1fleet stop {report.deployment}".rstrip()
        return f"{report.deployment or 'what runs'} is not stopped everywhere; {again}"
    return f"{report.deployment} is stopped on {', '.join(report.stopped)}"
