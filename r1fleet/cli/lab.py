"""``r1fleet lab``: real hosts on this machine, to rehearse on."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from r1fleet import lab
from r1fleet.cli.options import Json
from r1fleet.console import renderer

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Real hosts on this machine, to rehearse on.",
)

Name = Annotated[str, typer.Option("--name", metavar="NAME", help="The lab's name; several may stand side by side.")]
HostName = Annotated[str, typer.Argument(metavar="HOST", help="h1, h2, ...", show_default=False)]
FAULT_HELP = "; ".join(f"{name}: {text}" for name, text in lab.FAULTS.items())


@app.command()
def up(
    hosts: Annotated[
        int, typer.Option("--hosts", metavar="N", help="How many hosts at least; a lab grows, it never shrinks.")
    ] = 2,
    name: Name = "lab",
    *,
    docker: Annotated[
        bool, typer.Option("--docker", help="Hosts with a docker engine; settled when the lab is made.")
    ] = False,
) -> None:
    """Bring a lab up: start what is missing, heal what is broken, leave the rest alone."""
    with renderer() as console:
        made = lab.up(name, hosts=hosts, docker=docker, observer=console)
    option = "" if name == "lab" else f" --name {name}"
    typer.echo(f"inventory: {made.inventory}")
    typer.echo(f"a shell:   r1fleet lab ssh{option} {made.hosts[0].name}")


@app.command()
def down(
    name: Name = "lab",
    *,
    every: Annotated[bool, typer.Option("--all", help="Take every lab down.")] = False,
) -> None:
    """Take a lab down; nothing of it is left but the base image and the kept packages."""
    with renderer() as console:
        for each in [known.name for known in lab.labs()] if every else [name]:
            lab.down(each, observer=console)


@app.command()
def status(
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Only this lab.", show_default=False)
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Show every lab: hosts, addresses, states, memory."""
    found = lab.status(name)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=2))
    elif not found:
        typer.echo("no lab is up; `r1fleet lab up` makes one")
    for one in [] if as_json else found:
        typer.echo(_table(one))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def ssh(
    host: HostName,
    words: Annotated[list[str] | None, typer.Argument(metavar="-- CMD", show_default=False)] = None,
    name: Name = "lab",
    user: Annotated[
        str, typer.Option("--user", metavar="NAME", help="lab, locked (sudo asks for a password) or root.")
    ] = lab.USER,
) -> None:
    """Open a shell on a host, or run one command there."""
    command = lab.ssh_command(name, host, *(words or []), user=user)
    sys.stdout.flush()
    os.execvp(command.argv[0], command.argv)


@app.command(name="break", help=f"Break a host the way hosts break. {FAULT_HELP}.")
def break_host(
    host: HostName,
    fault: Annotated[str, typer.Argument(metavar="|".join(lab.FAULTS), show_default=False)],
    rate: Annotated[str, typer.Argument(metavar="[RATE]", help="For slow: 20mbit, 1gbit.", show_default=False)] = "",
    name: Name = "lab",
) -> None:
    """Give a host a fault."""
    with renderer() as console:
        lab.break_host(name, host, fault, observer=console, rate=rate)


@app.command()
def heal(host: HostName, name: Name = "lab") -> None:
    """Undo any fault and wait until the host answers."""
    with renderer() as console:
        lab.heal_host(name, host, observer=console)


def _table(one: lab.LabStatus) -> str:
    proxy = one.proxy if one.proxy_running else "down"
    engine = "  docker" if one.docker else ""
    rows = [f"lab {one.name}  {one.network}  packages by way of {proxy}{engine}", f"  inventory {one.inventory}"]
    rows.append(f"  {'host':<6}{'address':<14}{'state':<15}{'memory':>10}{'processes':>11}{'uptime':>12}")
    for host in one.hosts:
        memory = f"{host.memory / 2**20:.1f} MiB"
        age = f"{host.uptime:.0f} s"
        rows.append(f"  {host.name:<6}{host.address:<14}{host.state:<15}{memory:>10}{host.processes:>11}{age:>12}")
    return "\n".join(rows)
