"""``r1fleet status``: every cluster, every rank, at a glance."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from r1fleet.cli import options
from r1fleet.cli.fleet import Fleet, Reach, access, fleets
from r1fleet.console.pages import pages
from r1fleet.console.snippets import snippet_lines
from r1fleet.console.status import status_lines
from r1fleet.errors import FleetError, UsageError
from r1fleet.inventory.known import known, strangers
from r1fleet.status import StatusOptions, StatusReport, watch
from r1fleet.status import status as look

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def status(
    deployments: Annotated[
        list[str] | None, typer.Argument(metavar="DEPLOYMENT", help="Only these.", show_default=False)
    ] = None,
    inventories: options.Inventories = None,
    watching: Annotated[
        bool, typer.Option("--watch", "-w", help="Again and again, until Ctrl-C; in a pipe one report after another.")
    ] = False,
    interval: Annotated[
        float, typer.Option("--interval", min=0.2, metavar="SECONDS", help="How often --watch looks.")
    ] = 2.0,
    probe: Annotated[bool, typer.Option("--probe", help="Ask every endpoint for a real completion.")] = False,
    urls: Annotated[
        bool, typer.Option("--urls", help="Print how clients reach each endpoint: curl, OpenAI's Python client.")
    ] = False,
    ask_become: options.AskBecome = False,
    accept_new: options.AcceptNew = False,
    as_json: options.Json = False,
) -> int:
    """Show every deployment and every rank of the known clusters; nothing launched is no error (exit code 0)."""
    if watching and urls:
        raise UsageError("--urls does not change while one watches", hint="leave --watch out")
    reach = Reach(ask_become=ask_become, accept_new=accept_new)
    found = fleets(inventories, reach) if inventories or known() else ()
    chosen = StatusOptions(tuple(deployments or ()), probe=probe, declared=_declared(found))
    plain = [fleet.plain for fleet in found]
    way = access(reach)
    try:
        if watching:
            return _watch(watch(plain, way, chosen, interval=interval), interval, as_json=as_json)
        report = look(plain, way, chosen)
    finally:
        way.transport.close()
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2))
        return int(report.exit_code)
    lines = snippet_lines(report) if urls else _lines(report)
    for line in (*lines, *([] if inventories or urls else _strangers())):
        typer.echo(line)
    return int(report.exit_code)


def _watch(reports: Iterator[StatusReport], interval: float, *, as_json: bool) -> int:
    """Show report after report until Ctrl-C, which is how one leaves; the exit code is the last one's."""
    code = 0
    with suppress(KeyboardInterrupt), pages(sys.stdout, interval) as show:
        for report in reports:
            if as_json:
                typer.echo(json.dumps(report.as_json()))
                sys.stdout.flush()
            else:
                show(list(_lines(report)))
            code = int(report.exit_code)
    return code


def _lines(report: StatusReport) -> Iterator[str]:
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return status_lines(report, colour=colour)


def _declared(found: Sequence[Fleet]) -> dict[str, tuple[str, ...]]:
    """Name the deployments of each inventory; what cannot be read there keeps nobody from looking at hosts."""
    declared = {}
    for fleet in found:
        with suppress(FleetError):
            declared[fleet.inventory.name] = fleet.deployments
    return declared


def _strangers() -> list[str]:
    """Name the inventories in sight that nothing was provisioned or launched with from here; none is contacted."""
    folder = Path("inventories")
    return [f"{path}: never provisioned from here" for path in strangers(folder)] if folder.is_dir() else []
