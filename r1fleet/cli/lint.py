"""``r1fleet lint``: what of a role, a playbook or a tree is outside the subset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from r1fleet.cli import options
from r1fleet.console.lint import lint_data, lint_lines
from r1fleet.errors import ExitCode
from r1fleet.playbook import lint as use_case

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def lint(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", help="Roles, playbooks, or folders that hold them.", show_default=False),
    ],
    as_json: options.Json = False,
) -> int:
    """Tell by file and line what r1fleet would refuse, and the share of tasks that are inside; never connects.

    A playbook is looked at with the roles and files that it names. Exit code 5 where anything is outside.
    """
    report = use_case(paths)
    if as_json:
        typer.echo(json.dumps(lint_data(report), indent=2))
    else:
        for line in lint_lines(report):
            typer.echo(line)
    return int(ExitCode.USAGE if report.problems else ExitCode.OK)
