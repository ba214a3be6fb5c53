"""``r1fleet status``: every cluster, every rank, at a glance."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from r1fleet.cli import options
from r1fleet.cli.fleet import Reach, access, fleets
from r1fleet.console.views import status_lines
from r1fleet.inventory.known import known, strangers
from r1fleet.status import StatusOptions
from r1fleet.status import status as look

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def status(
    deployments: Annotated[
        list[str] | None, typer.Argument(metavar="DEPLOYMENT", help="Only these.", show_default=False)
    ] = None,
    inventories: options.Inventories = None,
    probe: Annotated[bool, typer.Option("--probe", help="Ask every endpoint for a real completion.")] = False,
    ask_become: options.AskBecome = False,
    accept_new: options.AcceptNew = False,
    as_json: options.Json = False,
) -> int:
    """Show every deployment and every rank of the known clusters; nothing launched is no error (exit code 0)."""
    reach = Reach(ask_become=ask_become, accept_new=accept_new)
    found = fleets(inventories, reach) if inventories or known() else ()
    way = access(reach)
    try:
        report = look([fleet.plain for fleet in found], way, StatusOptions(tuple(deployments or ()), probe=probe))
    finally:
        way.transport.close()
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2))
    else:
        colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        for line in (*status_lines(report, colour=colour), *([] if inventories else _strangers())):
            typer.echo(line)
    return int(report.exit_code)


def _strangers() -> list[str]:
    """Name the inventories in sight that nothing was provisioned or launched with from here; none is contacted."""
    folder = Path("inventories")
    return [f"{path}: never provisioned from here" for path in strangers(folder)] if folder.is_dir() else []
