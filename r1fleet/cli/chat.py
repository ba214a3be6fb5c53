"""A conversation at the terminal, or line by line through a pipe."""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict

from r1fleet.console.errors import render_error
from r1fleet.console.speech import Speech
from r1fleet.errors import ExitCode, FleetError
from r1fleet.status import Conversation

PROMPT = ">>> "


def chat(talk: Conversation, speech: Speech, *, as_json: bool) -> int:
    """Say every line that is typed and show what is answered; Ctrl-C stops an answer, Ctrl-D ends the chat.

    Where nobody sits at the terminal, the first failure is the end.
    """
    attended = sys.stdin.isatty()
    if attended:
        sys.stderr.write(f"{talk.model} at {talk.url}; Ctrl-C stops an answer, Ctrl-D leaves\n")
    for line in _typed() if attended else sys.stdin:
        if not line.strip():
            continue
        try:
            answer = talk.say(line.rstrip("\n"), (lambda event: None) if as_json else speech)
        except KeyboardInterrupt:
            speech.end()
            sys.stderr.write("stopped\n")
            if not attended:
                return int(ExitCode.INTERRUPTED)
            continue
        except FleetError as error:
            speech.end()
            if not attended:
                raise
            sys.stderr.write(f"{render_error(error)}\n")
            continue
        if as_json:
            sys.stdout.write(json.dumps(asdict(answer), ensure_ascii=False) + "\n")
            sys.stdout.flush()
        else:
            speech.end(answer if answer.finish == "length" else None)
    return 0


def _typed() -> Iterator[str]:
    """Yield what is typed until Ctrl-D; Ctrl-C forgets the line."""
    whole = sys.stdout.isatty()
    if whole:
        with contextlib.suppress(ImportError):  # arrow keys and earlier lines, where Python has them
            importlib.import_module("readline")
    while True:
        try:
            if whole:
                yield input(PROMPT)
                continue
            sys.stderr.write(PROMPT)
            sys.stderr.flush()
            line = sys.stdin.readline()
            if not line:
                return
            yield line
        except EOFError:
            sys.stdout.write("\n")
            return
        except KeyboardInterrupt:
            sys.stderr.write("\n")
