"""``r1fleet ask``: a question to a served model, or a conversation with it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated

import typer

from r1fleet.cli import options
from r1fleet.cli.chat import chat
from r1fleet.cli.fleet import Reach, access, fleets, launched
from r1fleet.console.speech import Speech
from r1fleet.errors import UsageError
from r1fleet.events import Observer, ignore
from r1fleet.status import Answer, AskOptions, conversation

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def ask(
    prompt: Annotated[
        str | None,
        typer.Argument(metavar="TEXT", help="The question; - reads it from standard input.", show_default=False),
    ] = None,
    deployment: options.DeploymentOption = None,
    inventories: options.Inventories = None,
    replica: Annotated[
        int | None, typer.Option("--replica", metavar="N", help="This replica. Default: one that is ready.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", min=1, metavar="N", help="The longest answer. Default: the engine's.")
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option("--temperature", min=0, metavar="T", help="Default: the model's own, or the engine's."),
    ] = None,
    generate: Annotated[
        bool, typer.Option("--generate", help="SGLang's own /generate: go on with TEXT, without a chat template.")
    ] = False,
    ask_become: options.AskBecome = False,
    accept_new: options.AcceptNew = False,
    as_json: options.Json = False,
) -> int:
    """Ask a served model one question; without TEXT, talk with it.

    The answer is printed as it comes; what a model thinks before it goes to standard error. In a conversation
    Ctrl-C stops an answer and Ctrl-D leaves; from a pipe, every line is a turn.
    """
    if generate and prompt is None:
        raise UsageError("--generate goes on with a text", hint='r1fleet ask --generate "Once upon a time"')
    text = sys.stdin.read() if prompt == "-" else prompt
    if text is not None and not text.strip():
        raise UsageError("there is nothing to ask")
    reach = Reach(ask_become=ask_become, accept_new=accept_new)
    fleet, name = launched(fleets(inventories, reach), deployment)
    way = access(reach)
    chosen = AskOptions(text or "", name, replica, max_tokens, temperature)
    speech = Speech(sys.stdout, sys.stderr, colour=_coloured())
    try:
        with conversation(fleet.hosts.values(), way, chosen) as talk:
            if text is None:
                return chat(talk, speech, as_json=as_json)
            _one(talk.generate if generate else talk.say, text, speech, as_json=as_json)
    finally:
        way.transport.close()
    return 0


def _one(say: Callable[[str, Observer], Answer], text: str, speech: Speech, *, as_json: bool) -> None:
    answer = None
    try:
        answer = say(text, ignore if as_json else speech)
    finally:
        speech.end(None if as_json else answer)
    if as_json:
        typer.echo(json.dumps(asdict(answer), ensure_ascii=False))


def _coloured() -> bool:
    return sys.stderr.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
