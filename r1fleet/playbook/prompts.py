"""``vars_prompt``: what the user is asked before a play."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from r1fleet.errors import PlaybookError
from r1fleet.playbook.filters import to_bool
from r1fleet.playbook.scope import Scope, where_of
from r1fleet.playbook.templating import render


async def ask(prompts: Sequence[Mapping[str, Any]], scope: Scope, given: Mapping[str, Any]) -> dict[str, Any]:
    """Ask for every variable that is not given already; without a terminal the defaults stand."""
    answers: dict[str, Any] = {}
    for raw in prompts:
        prompt = render(dict(raw), scope)
        name = str(prompt["name"])
        if name in given:
            continue
        if "encrypt" in prompt:
            raise PlaybookError("vars_prompt: `encrypt` is not supported", where=where_of(raw), hint="give the hash")
        default = prompt.get("default")
        if sys.stdin is None or not sys.stdin.isatty():
            answers[name] = "" if default is None else default
            continue
        text = f"{prompt.get('prompt') or name}{f' [{default}]' if default is not None else ''}: "
        read = getpass.getpass if to_bool(prompt.get("private", True)) else input
        answers[name] = await asyncio.to_thread(read, text) or ("" if default is None else default)
    return answers
