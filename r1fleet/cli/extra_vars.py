"""``-e``: variables that win over all others."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from r1fleet.errors import UsageError, Where
from r1fleet.inventory.source import Text, load_yaml, load_yaml_text


def parse_extra_vars(given: Iterable[str] | None) -> dict[str, Any]:
    """Merge every ``-e``: ``NAME=value ...``, a JSON or YAML mapping, or ``@file.yaml``; the last one wins."""
    merged: dict[str, Any] = {}
    for text in given or ():
        merged.update(_parse(text))
    return merged


def _parse(text: str) -> dict[str, Any]:
    if text.startswith("@"):
        return _mapping(load_yaml(Path(text[1:]), kind="variables"), text)
    if text.lstrip().startswith(("{", "[")):
        return _mapping(load_yaml_text(text, "-e", kind="variables"), text)
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(
            f"-e {text}: {error}", hint="quote values that hold spaces: -e 'name=\"two words\"'"
        ) from error
    pairs = [word.partition("=") for word in words]
    if not pairs or any(not sign or not name for name, sign, _ in pairs):
        raise UsageError(f"-e {text}: not NAME=value", hint="-e NAME=value, -e '{\"name\": [1, 2]}' or -e @file.yaml")
    return {name: Text(value, Where(path="-e")) for name, _, value in pairs}


def _mapping(value: Any, text: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"-e {text}: holds no mapping of names to values")
    return dict(value)
