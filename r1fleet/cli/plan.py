"""``r1fleet plan``: every rank's exact command, before anything starts."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from r1fleet.cli import options
from r1fleet.cli.fleet import Fleet, Reach, access, fleets, one_deployment
from r1fleet.console.views import plan_lines
from r1fleet.facts import HostFacts, keep, recall
from r1fleet.launch import gather, read_model, read_shape
from r1fleet.launch.build import build
from r1fleet.launch.explain import verdicts
from r1fleet.launch.plan import Plan
from r1fleet.launch.record import starts
from r1fleet.topology import ModelShape, Undivided

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def plan(
    deployment: options.Deployment = None,
    inventories: options.Inventories = None,
    extra_vars: options.ExtraVars = None,
    live: Annotated[
        bool, typer.Option("--live", help="Ask the hosts first: for their facts and their model's shape.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Tell what stands against every other division of the model.")
    ] = False,
    model_config: Annotated[
        Path | None,
        typer.Option(
            "--model-config",
            metavar="PATH",
            help="Read the model's shape here: its folder, or its config.json, on this machine.",
            show_default=False,
        ),
    ] = None,
    ask_become: options.AskBecome = False,
    accept_new: options.AcceptNew = False,
    as_json: options.Json = False,
) -> None:
    """Show every rank's exact command; connects only with --live."""
    shape = read_model(model_config) if model_config else None
    reach = Reach(ask_become=ask_become, accept_new=accept_new, extra_vars=extra_vars)
    fleet, name = one_deployment(fleets(inventories, reach), deployment)
    try:
        made = ask_hosts(fleet, name, reach, shape) if live else planned(fleet, name, recall(fleet.inventory), shape)
    except Undivided as refused:
        for line in verdicts(refused.considered) if explain else ():
            typer.echo(f"why: {line}", err=True)
        raise
    if as_json:
        typer.echo(json.dumps({**made.as_json(), "starts": [list(start.argv) for start in starts(made)]}, indent=2))
        return
    for line in plan_lines(made, facts_age=_age(recall(fleet.inventory)), explain=explain):
        typer.echo(line)


def planned(fleet: Fleet, name: str, facts: Mapping[str, HostFacts], shape: ModelShape | None = None) -> Plan:
    """Plan one deployment from what is written and what is known."""
    return build(fleet.inventory, name, variables_of=fleet.variables_of, facts=facts, shape=shape)


def ask_hosts(fleet: Fleet, name: str, reach: Reach, shape: ModelShape | None = None) -> Plan:
    """Plan one deployment from what the hosts tell now; their facts are kept."""
    way = access(reach)
    try:
        facts = gather(fleet.hosts.values(), way)
        keep(fleet.inventory, facts)
        told = shape or read_shape(planned(fleet, name, facts), fleet.hosts, way)
        return planned(fleet, name, facts, told)
    finally:
        way.transport.close()


def _age(facts: Mapping[str, HostFacts]) -> float | None:
    oldest = min((told.gathered_at for told in facts.values() if told.gathered_at), default=None)
    return time.time() - oldest if oldest else None
