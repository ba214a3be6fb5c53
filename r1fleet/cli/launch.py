"""``r1fleet launch`` and ``restart``: one coordinated gang, all ranks or none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from r1fleet import launch as use_case
from r1fleet.cli import options
from r1fleet.cli.fleet import Fleet, Reach, access, fleets, one_deployment
from r1fleet.cli.plan import planned
from r1fleet.cli.secrets import api_key
from r1fleet.console import renderer
from r1fleet.console.views import plan_lines
from r1fleet.errors import SpecError
from r1fleet.events import Note
from r1fleet.facts import HostFacts, keep
from r1fleet.inventory.known import remember
from r1fleet.launch import LaunchOptions, LaunchResult, gather, read_shape
from r1fleet.launch.plan import Plan, startable
from r1fleet.launch.preflight import known_checks
from r1fleet.status import Access

app = typer.Typer(rich_markup_mode=None, add_completion=False)
restart_app = typer.Typer(rich_markup_mode=None, add_completion=False)

Replace = Annotated[bool, typer.Option("--replace", help="Where another plan runs, stop it first.")]
Force = Annotated[
    list[str] | None,
    typer.Option(
        "--force",
        metavar="CHECK",
        help="Start although this check of r1fleet preflight fails (may be given again).",
        show_default=False,
    ),
]
Detach = Annotated[bool, typer.Option("--detach", help="Return once all ranks run; the leader judges readiness.")]


@dataclass(frozen=True, slots=True)
class Manner:
    """How to start, and how to tell of it; ``again`` stops what runs first."""

    output: str
    verbosity: int
    replace: bool = False
    detach: bool = False
    again: bool = False
    force: frozenset[str] = frozenset()


@app.command()
def launch(
    deployment: options.Deployment = None,
    inventories: options.Inventories = None,
    extra_vars: options.ExtraVars = None,
    replace: Replace = False,
    detach: Detach = False,
    force: Force = None,
    ask_become: options.AskBecome = False,
    ask_password: options.AskPassword = False,
    user: options.User = None,
    accept_new: options.AcceptNew = False,
    yes: options.Yes = False,
    output: options.Output = "auto",
    as_json: options.Json = False,
    verbose: options.Verbose = 0,
) -> int:
    """Show the plan, start every rank or none, and wait until a real completion has answered."""
    reach = Reach(user, ask_become, ask_password, accept_new, extra_vars)
    options.confirm("stop what runs now, to replace it", yes=yes or not replace)
    forced = known_checks(force or ())
    manner = Manner("json" if as_json else output, verbose, replace=replace, detach=detach, force=forced)
    return _start(deployment, fleets(inventories, reach), access(reach), manner)


@restart_app.command()
def restart(
    deployment: options.Deployment = None,
    inventories: options.Inventories = None,
    extra_vars: options.ExtraVars = None,
    ask_become: options.AskBecome = False,
    ask_password: options.AskPassword = False,
    user: options.User = None,
    accept_new: options.AcceptNew = False,
    yes: options.Yes = False,
    output: options.Output = "auto",
    as_json: options.Json = False,
    verbose: options.Verbose = 0,
) -> int:
    """Stop a deployment on all its hosts, then launch its plan again."""
    reach = Reach(user, ask_become, ask_password, accept_new, extra_vars)
    options.confirm("stop what runs now, to start it again", yes=yes)
    manner = Manner("json" if as_json else output, verbose, replace=True, again=True)
    return _start(deployment, fleets(inventories, reach), access(reach), manner)


def _start(deployment: str | None, found: tuple[Fleet, ...], way: Access, manner: Manner) -> int:
    fleet, name = one_deployment(found, deployment)
    try:
        draft = planned(fleet, name, {})  # what hosts told at another time may have changed since
        startable(draft)
        key = api_key(name, draft.deployment)
        with renderer(manner.output, verbosity=manner.verbosity) as console:
            plan = _complete(fleet, draft, way)
            if manner.output != "json":
                console.lines(*plan_lines(plan, commands=False), "")
            remember(fleet.inventory, "launched")
            chosen = LaunchOptions(
                fleet.hosts, api_key=key, replace=manner.replace, detach=manner.detach, force=manner.force
            )
            result = (use_case.restart if manner.again else use_case.launch)(plan, way, console, chosen)
            for note in _closing(result) if manner.output != "json" else ():
                console(Note(note))
    finally:
        way.transport.close()
    if manner.output == "json":
        typer.echo(json.dumps({"event": "launch_result", **asdict(result)}))
    return int(result.exit_code)


def _complete(fleet: Fleet, draft: Plan, way: Access) -> Plan:
    """Ask the hosts for what the draft lacks."""
    facts: Mapping[str, HostFacts] = {}
    if not draft.complete:
        members = dict.fromkeys(rank.node.host for rank in draft.ranks)
        facts = gather([fleet.hosts[host] for host in members], way)
        keep(fleet.inventory, facts)
    plan = planned(fleet, draft.name, facts, read_shape(draft, fleet.hosts, way))
    if not plan.complete:
        raise SpecError(
            f"{draft.name}: the hosts do not tell which address or interface their ranks talk on",
            hint="set r1fleet_address and r1fleet_interface for each host of the inventory",
        )
    return plan


def _closing(result: LaunchResult) -> tuple[str, ...]:
    if result.state in ("rolled back", "interrupted", "superseded"):
        return (f"{result.deployment}: {result.state}. {result.detail}".rstrip(". ") + ".",)
    endpoints = ", ".join(f"{endpoint}/v1" for endpoint in result.endpoints)
    return (f"{result.deployment} is {result.state}: {endpoints}",)
