"""``r1fleet preflight``: what would break a launch, before it does."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Annotated

import typer

from r1fleet.cli import options
from r1fleet.cli.fleet import Fleet, Reach, access, fleets
from r1fleet.cli.plan import planned
from r1fleet.console import renderer
from r1fleet.console.reports import check_lines, preflight_lines
from r1fleet.errors import ExitCode, SpecError, UsageError
from r1fleet.facts import keep, recall
from r1fleet.launch.plan import Plan
from r1fleet.launch.preflight import Preflight, look_at
from r1fleet.launch.preflight import preflight as look
from r1fleet.status import Access

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def preflight(
    deployment: options.DeploymentOption = None,
    inventories: options.Inventories = None,
    limit: options.Limit = None,
    extra_vars: options.ExtraVars = None,
    table: Annotated[bool, typer.Option("--list", help="Print the table of checks; connects nowhere.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Show what is OK and what is unknown, too.")] = False,
    ask_become: options.AskBecome = False,
    user: options.User = None,
    accept_new: options.AcceptNew = False,
    output: options.Output = "auto",
    as_json: options.Json = False,
) -> int:
    """Check hosts and every way between them for what breaks launches; changes nothing.

    Each finding says what was seen, why it matters, and the command that mends it. Exit code 6 where a check fails.
    """
    if table:
        for line in check_lines():
            typer.echo(line)
        return int(ExitCode.OK)
    reach = Reach(user=user, ask_become=ask_become, accept_new=accept_new, extra_vars=extra_vars)
    found = fleets(inventories, reach)
    jobs = [(fleet, name) for fleet in found for name in _names(fleet, deployment)]
    if deployment is not None and not any(name for _, name in jobs):
        raise UsageError(f"there is no deployment {deployment}", hint="r1fleet plan, or leave --deployment out")
    way, results = access(reach), []
    try:
        with renderer("json" if as_json else output, verbosity=0) as console:
            for fleet, name in jobs:
                plan = _plan(fleet, name, way)
                narrowed = fleet.inventory.limit(limit) if limit else fleet.inventory
                chosen = [fleet.hosts[name] for name in narrowed.hosts]
                ranked = {rank.node.host for rank in plan.ranks} if plan else {host.name for host in chosen}
                checked = look(plan, [host for host in chosen if host.name in ranked], way, console)
                results.append((str(fleet.inventory.path or "INVENTORY"), checked))
    finally:
        way.transport.close()
    _show(results, as_json=as_json, everything=everything)
    return int(max((one.exit_code for _, one in results), default=ExitCode.OK))


def _names(fleet: Fleet, wanted: str | None) -> list[str | None]:
    """Return the deployments to check; the hosts alone where there is none."""
    if wanted is not None:
        return [wanted] if wanted in fleet.deployments else []
    return list(fleet.deployments) or [None]


def _plan(fleet: Fleet, name: str | None, way: Access) -> Plan | None:
    """Plan from what the hosts tell now; of those that do not answer, from what they told before."""
    if name is None:
        return None
    draft = planned(fleet, name, {})
    members = dict.fromkeys(rank.node.host for rank in draft.ranks)
    found, _ = look_at([fleet.hosts[host] for host in members], way)
    facts = {host: report.for_plan for host, report in found.items()}
    keep(fleet.inventory, facts)
    known = {**recall(fleet.inventory), **facts}
    try:
        return planned(fleet, name, known)
    except SpecError:
        # Devices that are missing are a finding like others: plan for those that are declared, if any are.
        return planned(fleet, name, {host: replace(told, accelerators=()) for host, told in known.items()})


def _show(results: list[tuple[str, Preflight]], *, as_json: bool, everything: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"event": "preflight_result", "results": [one.as_json() for _, one in results]}))
        return
    for inventory, one in results:
        for line in preflight_lines(one, inventory, everything=everything):
            typer.echo(line)
