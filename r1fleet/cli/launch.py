"""``r1fleet launch`` and ``restart``: one coordinated gang, all ranks or none."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from r1fleet.cli import options
from r1fleet.cli.fleet import Fleet, Reach, access, fleets, one_deployment
from r1fleet.cli.plan import planned
from r1fleet.cli.secrets import api_key
from r1fleet.cli.terminal import Typed
from r1fleet.console import JsonRenderer, Renderer, renderer
from r1fleet.console.views import plan_lines
from r1fleet.errors import Interrupted, SpecError, UsageError
from r1fleet.events import Note
from r1fleet.facts import keep
from r1fleet.facts.report import Report
from r1fleet.inventory.known import remember
from r1fleet.launch import (
    LaunchOptions,
    LaunchResult,
    connected,
    gather_on,
    launch_on,
    read_shape_on,
    restart_on,
    supervision_on,
)
from r1fleet.launch.plan import Plan, startable
from r1fleet.launch.preflight import known_checks
from r1fleet.status import Access, Contact

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
Attach = Annotated[
    bool, typer.Option("--attach", help="Type into an interactive job; Ctrl-D ends it well, Ctrl-C stops it.")
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Connect, look and check, say what would be written and run; change nothing."),
]


@dataclass(frozen=True, slots=True)
class Manner:
    """How to start, and how to tell of it; ``again`` stops what runs first."""

    output: str
    verbosity: int
    replace: bool = False
    detach: bool = False
    attach: bool = False
    dry_run: bool = False
    again: bool = False
    force: frozenset[str] = frozenset()


@app.command()
def launch(
    deployment: options.Deployment = None,
    inventories: options.Inventories = None,
    extra_vars: options.ExtraVars = None,
    replace: Replace = False,
    detach: Detach = False,
    attach: Attach = False,
    dry_run: DryRun = False,
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
    """Show the plan, start every rank or none, and wait until a real completion has answered, or a job is done."""
    reach = Reach(user, ask_become, ask_password, accept_new, extra_vars)
    if attach and detach:
        raise UsageError("--attach and --detach cannot go together", hint="give one of them")
    options.confirm("stop what runs now, to replace it", yes=yes or dry_run or not replace)
    manner = Manner(
        "json" if as_json else "plain" if attach and output == "auto" else output,
        verbose,
        replace=replace,
        detach=detach,
        attach=attach,
        dry_run=dry_run,
        force=known_checks(force or ()),
    )
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
        if not manner.dry_run:
            startable(draft, attached=manner.attach, detached=manner.detach)
        key = api_key(name, draft.deployment)
        with renderer(manner.output, verbosity=manner.verbosity) as console:
            result = _launched(fleet, draft, way, console, _chosen(fleet, key, manner), again=manner.again)
            for note in _closing(result) if manner.output != "json" else ():
                console(Note(note))
    except KeyboardInterrupt as interrupt:
        raise Interrupted("interrupted", hint=f"r1fleet status {name} tells what runs there") from interrupt
    finally:
        way.transport.close()
    if manner.output == "json":
        typer.echo(json.dumps({"event": "launch_result", **asdict(result)}))
    return int(result.exit_code)


def _chosen(fleet: Fleet, key: str, manner: Manner) -> LaunchOptions:
    return LaunchOptions(
        fleet.hosts,
        api_key=key,
        replace=manner.replace,
        detach=manner.detach,
        dry_run=manner.dry_run,
        terminal=Typed() if manner.attach else None,
        force=manner.force,
    )


def _launched(
    fleet: Fleet, draft: Plan, way: Access, console: Renderer, chosen: LaunchOptions, *, again: bool
) -> LaunchResult:
    """Reach the hosts once: for what the draft lacks, for the checks, and for the launch."""
    members = dict.fromkeys(rank.node.host for rank in draft.ranks)
    with Contact(way, [fleet.hosts[host] for host in members]) as contact:
        connected(contact, console)
        plan, reports = _complete(fleet, draft, contact)
        if not isinstance(console, JsonRenderer):
            console.lines(*plan_lines(plan, commands=False), "")
        if not chosen.dry_run:
            remember(fleet.inventory, "launched")
        begin = restart_on if again else launch_on
        return begin(contact, plan, console, chosen, reports=reports)


def _complete(fleet: Fleet, draft: Plan, contact: Contact) -> tuple[Plan, dict[str, Report]]:
    """Ask the hosts for what the draft lacks; returns what they told, too."""
    reports = {} if draft.complete else gather_on(contact, draft)
    facts = {host: report.for_plan for host, report in reports.items()} or supervision_on(contact)
    if reports:
        keep(fleet.inventory, facts)
    plan = planned(fleet, draft.name, facts, read_shape_on(contact, draft))
    if not plan.complete:
        raise SpecError(
            f"{draft.name}: the hosts do not tell which address or interface their ranks talk on",
            hint="set r1fleet_address and r1fleet_interface for each host of the inventory",
        )
    return plan, reports


def _closing(result: LaunchResult) -> tuple[str, ...]:
    if result.state in ("rolled back", "interrupted", "superseded", "dry run"):
        return (f"{result.deployment}: {result.state}: {result.detail}".rstrip(": "),)
    places = [f"{endpoint}/v1" for endpoint in result.endpoints] or list(result.outputs)
    kept = "" if result.endpoints else "its output is kept at "
    return (f"{result.deployment} is {result.state}: {kept}{', '.join(places)}",)
