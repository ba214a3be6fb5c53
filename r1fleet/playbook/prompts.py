"""``vars_prompt``: what the user is asked before a play."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from r1fleet.errors import PlaybookError
from r1fleet.playbook.filters import to_bool
from r1fleet.playbook.filters_crypt import password_hash
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
        answers[name] = _encrypted(raw, prompt, await asyncio.to_thread(_answer, name, prompt))
    return answers


def _answer(name: str, prompt: Mapping[str, Any]) -> Any:
    default = prompt.get("default")
    unsaid = "" if default is None else default
    if sys.stdin is None or not sys.stdin.isatty():
        return unsaid
    text = f"{prompt.get('prompt') or name}{f' [{default}]' if default is not None else ''}: "
    read = getpass.getpass if to_bool(prompt.get("private", True)) else input
    typed = read(text)
    while to_bool(prompt.get("confirm", False)) and typed != read(f"confirm {text}"):
        sys.stderr.write("the two entries differ, once more\n")
        typed = read(text)
    return typed or unsaid


def _encrypted(raw: Mapping[str, Any], prompt: Mapping[str, Any], answer: Any) -> Any:
    """Return an answer as ``encrypt`` wants it: hashed, with the salt or the length of salt that is given."""
    if not prompt.get("encrypt"):
        return answer
    size = prompt.get("salt_size")
    try:
        return password_hash(
            answer,
            str(prompt["encrypt"]),
            prompt.get("salt"),
            None if size is None else int(size),
            prompt.get("rounds"),
        )
    except ValueError as error:
        raise PlaybookError(f"vars_prompt: {error}", where=where_of(raw)) from error
