"""Options that several commands share, spelled once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from r1fleet.errors import ExitCode, FleetError, UsageError

Inventories = Annotated[
    list[Path] | None,
    typer.Option(
        "-i",
        "--inventory",
        envvar="R1FLEET_INVENTORY",
        metavar="FILE",
        help="Inventory file, one per cluster (may be given again). Default: those provisioned or launched from here.",
        show_default=False,
    ),
]
Deployment = Annotated[
    str | None,
    typer.Argument(
        metavar="DEPLOYMENT", help="Its name; may be left out where only one could be meant.", show_default=False
    ),
]
DeploymentOption = Annotated[
    str | None,
    typer.Option(
        "-d", "--deployment", metavar="NAME", help="The deployment, where several could be meant.", show_default=False
    ),
]
Limit = Annotated[
    str | None,
    typer.Option("-l", "--limit", metavar="PATTERN", help="Only these hosts: a pattern, or @file.", show_default=False),
]
ExtraVars = Annotated[
    list[str] | None,
    typer.Option(
        "-e",
        "--extra-vars",
        metavar="VARS",
        help="NAME=value, JSON or @file.yaml (may be given again).",
        show_default=False,
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option("-t", "--tags", metavar="TAGS", help="Only tasks with these tags.", show_default=False),
]
SkipTags = Annotated[
    list[str] | None, typer.Option("--skip-tags", metavar="TAGS", help="No tasks with these tags.", show_default=False)
]
Forks = Annotated[int, typer.Option("-f", "--forks", min=1, metavar="N", help="Hosts at work at the same time.")]
Check = Annotated[bool, typer.Option("-C", "--check", help="Say what would change; change nothing.")]
Diff = Annotated[bool, typer.Option("-D", "--diff", help="Show the difference of every changed file.")]
AskBecome = Annotated[bool, typer.Option("-K", "--ask-become-pass", help="Ask for the sudo password.")]
AskPassword = Annotated[bool, typer.Option("-k", "--ask-pass", help="Ask for the SSH password.")]
User = Annotated[
    str | None, typer.Option("-u", "--user", metavar="NAME", help="Connect as this user.", show_default=False)
]
AcceptNew = Annotated[
    bool, typer.Option("--accept-new", help="Learn unknown host keys on first contact; a changed key is still refused.")
]
Yes = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask for confirmation.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Output = Annotated[
    str,
    typer.Option(
        "--output", metavar="KIND", help="rich, plain, ansible or json; auto: rich in a terminal, plain in a pipe."
    ),
]
Verbose = Annotated[int, typer.Option("-v", "--verbose", count=True, help="More detail; -vvv for most.")]


class Declined(FleetError):
    """The user was asked, and said no."""

    exit_code = ExitCode.INTERRUPTED


def confirm(what: str, *, yes: bool) -> None:
    """Ask on the terminal whether to go on with ``what``; where nobody can be asked, --yes must have been given."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"to {what} needs a yes", hint="--yes, where nobody can be asked")
    if not typer.confirm(f"{what[0].upper()}{what[1:]}?", err=True):
        raise Declined("nothing was changed")


def question(option: str) -> Callable[[str], str]:
    """Return how to ask the user on the terminal, for an option that needs an answer."""
    if not sys.stdin.isatty():
        raise UsageError(f"{option} asks, and nobody can be asked here", hint="run it in a terminal")
    return _answer


def _answer(text: str) -> str:
    try:
        return input(text)
    except EOFError:
        return ""


def listed(given: list[str] | None) -> tuple[str, ...]:
    """Split what was given as ``a,b`` or again and again."""
    return tuple(name.strip() for text in given or () for name in text.split(",") if name.strip())


def secret(name: str) -> str:
    """Ask for a secret on the terminal, without echo."""
    answer: str = typer.prompt(name, hide_input=True, err=True)
    if not answer:
        raise UsageError(f"no {name} given")
    return answer
