"""``r1fleet ask``: one question to a served model."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from r1fleet.cli import options
from r1fleet.cli.fleet import Reach, access, fleets, launched
from r1fleet.console.text import clean
from r1fleet.status import AskOptions
from r1fleet.status import ask as ask_endpoint

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def ask(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="The question.", show_default=False)],
    deployment: options.DeploymentOption = None,
    inventories: options.Inventories = None,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", min=1, metavar="N", help="The longest answer, in tokens.")
    ] = 256,
    ask_become: options.AskBecome = False,
    accept_new: options.AcceptNew = False,
    as_json: options.Json = False,
) -> int:
    """Ask a served model one question and print its answer."""
    reach = Reach(ask_become=ask_become, accept_new=accept_new)
    fleet, name = launched(fleets(inventories, reach), deployment)
    way = access(reach)
    try:
        answer = ask_endpoint(fleet.hosts.values(), way, AskOptions(prompt, name, max_tokens))
    finally:
        way.transport.close()
    if as_json:
        typer.echo(json.dumps(asdict(answer), ensure_ascii=False))
        return 0
    typer.echo(clean(answer.text))
    tokens = f", {answer.tokens} tokens" if answer.tokens else ""
    typer.echo(f"({answer.model} at {answer.url}, {answer.seconds:.1f} s{tokens})", err=True)
    return 0
