"""``r1fleet logs``: what the ranks wrote."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from r1fleet.cli import options
from r1fleet.cli.fleet import Reach, access, fleets, launched
from r1fleet.cli.moments import moment
from r1fleet.console import renderer
from r1fleet.console.logtext import LogText
from r1fleet.errors import UsageError
from r1fleet.status import LogOptions
from r1fleet.status import logs as read

app = typer.Typer(rich_markup_mode=None, add_completion=False)
LINES = 50


@app.command()
def logs(
    deployment: options.Deployment = None,
    inventories: options.Inventories = None,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on until Ctrl-C, with the next generation, too.")
    ] = False,
    lines: Annotated[
        int | None,
        typer.Option(
            "-n",
            "--lines",
            min=0,
            metavar="N",
            help=f"Lines of each rank to begin with. Default: {LINES}; with --since all.",
        ),
    ] = None,
    rank: Annotated[
        list[int] | None, typer.Option("--rank", metavar="N", help="Only this rank (may be given again).")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Only what is newer: 10m, 1h30m, 2026-11-24T10:30.")
    ] = None,
    generation: Annotated[
        int | None, typer.Option("--generation", min=1, metavar="N", help="Of this generation, as long as it is kept.")
    ] = None,
    previous: Annotated[bool, typer.Option("--previous", help="Of the generation before the current one.")] = False,
    ask_become: options.AskBecome = False,
    accept_new: options.AcceptNew = False,
    as_json: options.Json = False,
) -> int:
    """Show what the ranks wrote, those of jobs and of failed launches, too.

    Lines are led by host and rank where more than one rank is shown. Following never disturbs the ranks.
    """
    if generation is not None and previous:
        raise UsageError("--generation and --previous mean two generations", hint="leave one of them out")
    age, at = moment(since) if since else (None, None)
    shown = LINES if lines is None and since is None else lines
    reach = Reach(ask_become=ask_become, accept_new=accept_new)
    fleet, name = launched(fleets(inventories, reach), deployment)
    number = -1 if previous else generation or 0
    chosen = LogOptions(name, tuple(rank or ()), shown, follow, age, at, number)
    way = access(reach)
    try:
        show = renderer("json") if as_json else LogText(sys.stdout, sys.stderr)
        read(fleet.hosts.values(), way, show, chosen)
    except KeyboardInterrupt:
        if not follow:
            raise
        return 0  # how one leaves
    finally:
        way.transport.close()
    return 0
