"""``r1fleet weights``: what hosts keep of models."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import typer

from r1fleet.cli import options
from r1fleet.cli.fleet import Fleet, Reach, access, fleets
from r1fleet.cli.sync import wanted_in
from r1fleet.console import renderer
from r1fleet.console.interface import Renderer
from r1fleet.console.text import one_line
from r1fleet.console.weights import pruned_lines, shelf_lines
from r1fleet.errors import ExitCode, UsageError
from r1fleet.events import Note
from r1fleet.inventory.known import known
from r1fleet.launch.options import who
from r1fleet.spec import weights_dir_of
from r1fleet.status import Contact
from r1fleet.weights import Entry, Shelf, Verified
from r1fleet.weights import shelf as shelves
from r1fleet.weights.held import held

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="List, verify or prune the models that hosts keep.",
)

Model = Annotated[
    str | None,
    typer.Option("-m", "--model", metavar="MODEL", help="Only folders of this model: org/name.", show_default=False),
]


@app.command("list")
def list_(
    inventories: options.Inventories = None,
    limit: options.Limit = None,
    ask_become: options.AskBecome = False,
    accept_new: options.AcceptNew = False,
    as_json: options.Json = False,
) -> int:
    """List every folder that hosts keep: model, revision, size, which deployment uses it, and whether it is sealed."""
    reach = Reach(ask_become=ask_become, accept_new=accept_new)
    entries: list[Entry] = []
    code = ExitCode.OK
    for fleet in fleets(inventories, reach):
        with _contact(fleet, reach, limit) as contact:
            found = _look(fleet, contact)
        entries += found.entries
        code = ExitCode.UNREACHABLE if found.lost else code
        for line in () if as_json else shelf_lines(found):
            typer.echo(line)
        for host, error in found.lost.items() if as_json else ():
            typer.echo(f"error: {host}: {one_line(error.what)}", err=True)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in entries], indent=2))
    return int(code)


@app.command()
def verify(
    inventories: options.Inventories = None,
    model: Model = None,
    limit: options.Limit = None,
    take_seal: Annotated[
        bool, typer.Option("--unseal", help="Take the seal off what is damaged, so that the next sync brings it again.")
    ] = False,
    ask_become: options.AskBecome = False,
    accept_new: options.AcceptNew = False,
    output: options.Output = "auto",
    as_json: options.Json = False,
) -> int:
    """Hash every file of sealed folders again, and name the host and the file that is not what its manifest says."""
    reach = Reach(ask_become=ask_become, accept_new=accept_new)
    code = ExitCode.OK
    for fleet in fleets(inventories, reach):
        with _contact(fleet, reach, limit) as contact, renderer("json" if as_json else output) as console:
            found = _look(fleet, contact)
            wanted = [one for one in found.entries if one.state == shelves.SEALED and _is(one, model)]
            if model is not None and not wanted and not found.lost:
                raise UsageError(f"no host of {fleet.inventory.name} keeps {model} sealed", hint="r1fleet weights list")
            looked = shelves.verify(contact, wanted, console)
            code = max(code, _tell_lost(found, console, contact.hosts), *_told(looked, console))
            if take_seal:
                code = max(code, shelves.unseal(contact, looked, console))
            elif any(one.problems for one in looked):
                console(Note("to have it brought again: r1fleet weights verify --unseal, then r1fleet sync"))
    return int(code)


@app.command()
def prune(
    inventories: options.Inventories = None,
    limit: options.Limit = None,
    check: options.Check = False,
    yes: options.Yes = False,
    ask_become: options.AskBecome = False,
    accept_new: options.AcceptNew = False,
    output: options.Output = "auto",
    as_json: options.Json = False,
) -> int:
    """Remove folders that no deployment uses, written or running, and unfinished ones untouched for a day.

    All hosts are asked what they use, for they may share storage; --limit says where to remove.
    """
    reach = Reach(ask_become=ask_become, accept_new=accept_new)
    code = ExitCode.OK
    for fleet in fleets(inventories, reach):
        meant = _meant(fleet, limit)
        with _contact(fleet, reach, None) as contact, renderer("json" if as_json else output) as console:
            found = _look(fleet, contact)
            going = tuple(one for one in shelves.unused(found) if one.host in meant)
            code = max(code, _tell_lost(found, console, meant))
            _tell_doubtful(found, console, meant)
            if not going:
                console(Note(f"{fleet.inventory.name}: nothing to prune"))
                continue
            console.lines(*([json.dumps(asdict(one)) for one in going] if as_json else pruned_lines(going)))
            if check:
                continue
            options.confirm(f"remove {len(going)} folders on {fleet.inventory.name}", yes=yes)
            with held(contact, [name for name in contact.sessions if name in meant], who()):
                still = {(one.host, one.path) for one in shelves.unused(_look(fleet, contact))}
                going = tuple(one for one in going if (one.host, one.path) in still)
                code = max(code, shelves.remove(contact, going, console))
    return int(code)


def _tell_lost(found: Shelf, console: Renderer, meant: Collection[str]) -> ExitCode:
    """Tell which hosts did not answer; one that is not meant is no failure."""
    for host, error in found.lost.items():
        console(Note(error.what, "error" if host in meant else "warning", host))
    return ExitCode.UNREACHABLE if any(host in meant for host in found.lost) else ExitCode.OK


def _tell_doubtful(found: Shelf, console: Renderer, meant: Collection[str]) -> None:
    kept = [one for one in shelves.doubtful(found) if one.host in meant]
    if kept:
        kinds, lost = ", ".join(dict.fromkeys(one.storage for one in kept)), ", ".join(found.lost)
        text = f"{len(kept)} folders on storage that hosts can share ({kinds}) stay: {lost} may use them"
        console(Note(text, "warning"))


def _told(looked: Sequence[Verified], console: Renderer) -> Iterator[ExitCode]:
    """Tell what was found; yield what each means for the exit code."""
    for one in looked:
        for file, problem in one.problems:
            console(Note(f"{one.path}{f'/{file}' if file else ''} {problem}", "error", one.host))
        yield one.exit_code
    count = len([one for one in looked if one.error is None])
    console(Note(f"{count} folders were held against their manifests"))


@contextmanager
def _contact(fleet: Fleet, reach: Reach, limit: str | None) -> Iterator[Contact]:
    meant = _meant(fleet, limit)
    hosts = [host for name, host in fleet.hosts.items() if name in meant]
    way = access(reach)
    try:
        with Contact(way, hosts) as contact:
            yield contact
    finally:
        way.transport.close()


def _meant(fleet: Fleet, limit: str | None) -> Collection[str]:
    named = fleet.inventory.limit(limit).limited if limit else None
    return fleet.hosts if named is None else named


def _look(fleet: Fleet, contact: Contact) -> Shelf:
    """List what lies where models are kept; all clusters known here say what they use, for they may share hosts."""
    declared: dict[str, list[str]] = {}
    for one in (one for each in (fleet, *_others(fleet)) for one in wanted_in(each)):
        declared.setdefault(one.name, []).extend(one.reads)
    places = {name: host.variables for name, host in fleet.inventory.hosts.items()}
    folders = {name: [weights_dir_of(host.variables, places=places[name])] for name, host in contact.hosts.items()}
    return shelves.keep(contact, folders, declared)


def _others(fleet: Fleet) -> tuple[Fleet, ...]:
    paths = [cluster.file for cluster in known() if cluster.file != fleet.inventory.path]
    return fleets(paths, Reach()) if paths else ()


def _is(one: Entry, model: str | None) -> bool:
    return model is None or model.replace("/", "--") in one.path.rpartition("/")[2] or one.model == model
