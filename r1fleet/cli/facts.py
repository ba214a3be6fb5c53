"""``r1fleet facts``: what hosts are, as far as serving a model depends on it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from r1fleet.cli import options
from r1fleet.cli.fleet import Reach, access, fleets
from r1fleet.console.reports import facts_lines
from r1fleet.errors import ExitCode
from r1fleet.facts import keep
from r1fleet.launch.preflight import look_at

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def facts(
    pattern: Annotated[
        str | None, typer.Argument(metavar="PATTERN", help="Only these hosts or groups.", show_default=False)
    ] = None,
    inventories: options.Inventories = None,
    limit: options.Limit = None,
    extra_vars: options.ExtraVars = None,
    ask_become: options.AskBecome = False,
    user: options.User = None,
    accept_new: options.AcceptNew = False,
    as_json: options.Json = False,
) -> int:
    """Ask every host once: devices, drivers, network, disks, limits, clock; what is not there is unknown, no error.

    The answers are kept, so that plan knows them without connecting. Exit code 4 where a host does not answer.
    """
    reach = Reach(user=user, ask_become=ask_become, accept_new=accept_new, extra_vars=extra_vars)
    code, told = ExitCode.OK, []
    way = access(reach)
    try:
        for fleet in fleets(inventories, reach):
            narrowed = fleet.inventory.limit(limit) if limit else fleet.inventory
            names = narrowed.select(pattern or "all")
            found, lost = look_at([fleet.hosts[host.name] for host in names], way)
            keep(fleet.inventory, {host: report.for_plan for host, report in found.items()})
            code = ExitCode.UNREACHABLE if lost else code
            if as_json:
                told += [{"cluster": fleet.inventory.name, **report.as_json()} for report in found.values()]
                told += [{"cluster": fleet.inventory.name, "host": h, "error": str(e)} for h, e in lost.items()]
                continue
            for line in facts_lines(fleet.inventory.name, list(found.values()), lost):
                typer.echo(line)
    finally:
        way.transport.close()
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    return int(code)
