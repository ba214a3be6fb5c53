"""Keeps the values of secret arguments, such as a user's password, out of results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from r1fleet.agent.arguments import secret_names
from r1fleet.playbook import catalogue
from r1fleet.transport import Call, Reply

WHOLE = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
PART = "********"


def secrets_of(call: Call, own: catalogue.Known | None = None) -> tuple[str, ...]:
    """Return the values of a call's secret arguments, the longest first; ``own`` is a module of the user's."""
    known = own or catalogue.find(call.module)
    if known is None:
        return ()
    found = {text for name in secret_names(known.spec) for text in _texts(call.args.get(name))}
    return tuple(sorted(found - {""}, key=len, reverse=True))


def without(secrets: tuple[str, ...], reply: Reply) -> Reply:
    """Return a reply in which no secret stands any more, marked as Ansible marks them."""
    return {name: _cleaned(secrets, value) for name, value in reply.items()} if secrets else reply


def _cleaned(secrets: tuple[str, ...], value: Any) -> Any:
    if isinstance(value, str):
        return _cleaned_text(secrets, value)
    if isinstance(value, Mapping):
        return {key: _cleaned(secrets, part) for key, part in value.items()}
    if isinstance(value, list):
        return [_cleaned(secrets, part) for part in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return WHOLE if str(value) in secrets else value
    return value


def _cleaned_text(secrets: tuple[str, ...], text: str) -> str:
    if text in secrets:
        return WHOLE
    for secret in secrets:
        text = text.replace(secret, PART)
    return text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
