"""``r1fleet sync``: one download, every host."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated

import typer

from r1fleet.cli import options
from r1fleet.cli.fleet import Fleet, Reach, access, fleets
from r1fleet.console import renderer
from r1fleet.console.interface import Renderer
from r1fleet.console.weights import brought_lines, sync_lines
from r1fleet.errors import UsageError
from r1fleet.launch.options import who
from r1fleet.provision.library import libtorrent_wheel
from r1fleet.weights import Brought, Model, SyncOptions, SyncPlan, bring, chosen, models_of, within
from r1fleet.weights.look import hosts_of
from r1fleet.weights.planned import planner
from r1fleet.weights.sources import parse_source
from r1fleet.weights.swarm import SwarmSettings
from r1fleet.weights.transfers import stop_transfers
from r1fleet.weights.wanted import Wanted, wanted

_RATE = re.compile(r"(\d+(?:\.\d+)?)([kKmMgG]?)")
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def sync(
    inventories: options.Inventories = None,
    deployment: Annotated[
        str | None,
        typer.Option("-d", "--deployment", metavar="NAME", help="Only the model of this one.", show_default=False),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("-m", "--model", metavar="MODEL", help="Only this model: org/name.", show_default=False),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="SOURCE",
            help="hf, hf-mirror, modelscope, a mirror's URL, cache, a folder, or drop:FOLDER (big files put there by "
            "hand). Default: the hubs, one after the other.",
            show_default=False,
        ),
    ] = None,
    on: Annotated[
        str,
        typer.Option(
            "--on",
            metavar="HOST",
            help="Where to fetch: a host of the deployment, or controller. Default: the first host that lacks the "
            "model; the controller for folders, and where that host has no route.",
            show_default=False,
        ),
    ] = "",
    update: Annotated[
        bool, typer.Option("--update", help="Ask the source again for models that hosts hold already.")
    ] = False,
    rate: Annotated[
        str,
        typer.Option(
            "--rate",
            metavar="RATE",
            help="At most this much a second on each host, in each direction, and in each copy by the controller: 500M "
            "or 2G, in bytes. Downloads from hubs are not slowed.",
            show_default=False,
        ),
    ] = "",
    stop: Annotated[
        bool, typer.Option("--stop", help="End transfers that hosts go on with by themselves; what has come stays.")
    ] = False,
    limit: options.Limit = None,
    check: options.Check = False,
    extra_vars: options.ExtraVars = None,
    ask_become: options.AskBecome = False,
    ask_password: options.AskPassword = False,
    user: options.User = None,
    accept_new: options.AcceptNew = False,
    output: options.Output = "auto",
    as_json: options.Json = False,
    verbose: options.Verbose = 0,
) -> int:
    """Show the plan, fetch each model once, distribute it between the hosts, verify and publish it there.

    What is verified already does not move again; a sync that was cut off goes on where it was.
    """
    if stop and check:
        raise UsageError("--stop and --check exclude each other", hint="leave one of them out")
    reach = Reach(user, ask_become, ask_password, accept_new, extra_vars)
    swarm = SwarmSettings(wheel_for=libtorrent_wheel, rate=rate_of(rate))
    given = SyncOptions(parse_source(source), again=update or source is not None, on=on, check=check, swarm=swarm)
    jobs = list(_jobs(fleets(inventories, reach), deployment, model, limit))
    _refuse_one_folder_for_many(source, [one for _, models in jobs for one in models])
    way, codes = access(reach), [0]
    try:
        with renderer("json" if as_json else output, verbosity=verbose) as console:
            for fleet, models in jobs:
                if stop:
                    codes.append(int(stop_transfers(hosts_of(models), way, console, who())))
                    continue
                plan_of = planner(fleet.inventory, fleet.variables_of)
                kept = replace(given, controller=fleet.inventory.host("localhost"), plan_of=plan_of)
                done = bring(models, way, console, kept, partial(_show, console, fleet.inventory.name, as_json=as_json))
                _tell(console, done, as_json=as_json, check=check)
                codes.append(int(done.exit_code))
    finally:
        way.transport.close()
    return max(codes)


def rate_of(text: str) -> int:
    """Read bytes a second: a number with K, M or G; 0 for an empty text, which sets no limit."""
    found = _RATE.fullmatch(text.strip())
    rate = round(float(found[1]) * _UNITS[found[2].upper()]) if found else 0
    if text and not rate:
        raise UsageError(f"--rate {text} is no rate", hint="write bytes a second: 500M, 1.5G")
    return rate


def models_in(fleet: Fleet) -> tuple[Model, ...]:
    """Return the models of a cluster's deployments, on hosts with plain variables."""
    return models_of(wanted_in(fleet))


def wanted_in(fleet: Fleet) -> Iterator[Wanted]:
    """Return what a cluster's deployments want, on hosts with plain variables; errors know their places."""
    for one in wanted(fleet.inventory, fleet.variables_of):
        yield replace(one, hosts=tuple(fleet.hosts[host.name] for host in one.hosts))


def _jobs(
    found: Sequence[Fleet], deployment: str | None, model: str | None, limit: str | None
) -> Iterator[tuple[Fleet, tuple[Model, ...]]]:
    """Return each cluster with the models that are meant; where none is meant anywhere, say which there are."""
    every = [(fleet, models_in(fleet)) for fleet in found]
    chosen([one for _, models in every for one in models], deployment=deployment, model=model)
    if not any(models for _, models in every):
        raise UsageError("there is no deployment, so no model either", hint="add `deployments:` (docs/deployments.md)")
    for fleet, models in every:
        kept = [one for one in models if _is_meant(one, deployment, model)]
        names = fleet.inventory.limit(limit).limited if limit else None
        narrowed = within(kept, names or fleet.hosts)
        if narrowed:
            yield fleet, narrowed


def _refuse_one_folder_for_many(source: str | None, models: Sequence[Model]) -> None:
    """A folder holds one model's files; only a hub's cache, and the hubs, hold several."""
    names = dict.fromkeys(one.title for one in models if not one.made)
    is_cache = source is not None and source.partition(":")[0] == "cache"
    if len(names) > 1 and parse_source(source).folder and not is_cache:
        raise UsageError(
            f"--from {source} is one model's folder, and several models are meant: {', '.join(names)}",
            hint="say which: --model or --deployment",
        )


def _is_meant(one: Model, deployment: str | None, model: str | None) -> bool:
    return deployment in (None, *one.deployments) and model in (None, one.name, one.title)


def _show(console: Renderer, cluster: str, plan: SyncPlan, *, as_json: bool) -> None:
    if as_json:
        console.lines(json.dumps({"event": "sync_plan", "cluster": cluster, **plan.as_json()}))
    else:
        console.lines(*sync_lines(plan, cluster), "")


def _tell(console: Renderer, done: Brought, *, as_json: bool, check: bool) -> None:
    for error in done.errors:
        console.error(error)
    if as_json:
        console.lines(json.dumps({"event": "sync_result", **done.as_json()}))
    elif check:
        console.lines("nothing was changed (--check)")
    else:
        console.lines(*brought_lines(done))
