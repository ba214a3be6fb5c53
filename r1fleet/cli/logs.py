"""``r1fleet logs``: what the ranks wrote."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from r1fleet.cli import options
from r1fleet.cli.fleet import Reach, access, fleets, launched
from r1fleet.console import renderer
from r1fleet.console.text import clean
from r1fleet.events import Event, LogLines
from r1fleet.status import LogOptions
from r1fleet.status import logs as read

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def logs(
    deployment: options.Deployment = None,
    inventories: options.Inventories = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until Ctrl-C; the ranks never notice.")] = False,
    lines: Annotated[
        int, typer.Option("-n", "--lines", min=0, metavar="N", help="Lines of each rank to begin with.")
    ] = 50,
    rank: Annotated[
        list[int] | None, typer.Option("--rank", metavar="N", help="Only this rank (may be given again).")
    ] = None,
    ask_become: options.AskBecome = False,
    accept_new: options.AcceptNew = False,
    as_json: options.Json = False,
) -> int:
    """Show what the ranks wrote; lines are led by host and rank where there is more than one source."""
    reach = Reach(ask_become=ask_become, accept_new=accept_new)
    fleet, name = launched(fleets(inventories, reach), deployment)
    way = access(reach)
    chosen = LogOptions(name, tuple(rank or ()), lines, follow)
    try:
        with renderer("json" if as_json else "plain") as console:
            alone = len(chosen.ranks) == 1

            def show(event: Event) -> None:
                if isinstance(event, LogLines) and not as_json:
                    _write(event, alone=alone)
                else:
                    console(event)

            read(fleet.hosts.values(), way, show, chosen)
    finally:
        way.transport.close()
    return 0


def _write(event: LogLines, *, alone: bool) -> None:
    head = "" if alone else f"({event.host}, rank {event.rank}) "
    sys.stdout.write("".join(f"{head}{clean(line)}\n" for line in event.lines))
    sys.stdout.flush()
