"""Ansible's filters: numbers and sizes."""

# Signatures are Ansible's and Jinja2's: their booleans may be given by position.
# ruff: noqa: FBT001, FBT002

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from r1fleet.playbook.filters_text import FilterError

_UNITS = {"B": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50, "E": 2**60, "Z": 2**70, "Y": 2**80}
_SIZE = re.compile(r"^\s*([0-9]*\.?[0-9]+)\s*([A-Za-z]+)?\s*$")
_WORDS = {True: ("b", "bit", "bits"), False: ("b", "byte", "bytes")}


def human_readable(size: Any, isbits: bool = False, unit: str | None = None) -> str:
    """Write a size with its unit."""
    base = "bits" if isbits else "Bytes"
    try:
        number = float(size)
    except (TypeError, ValueError) as error:
        raise FilterError(f"human_readable() failed on bad input: {size!r}") from error
    for suffix, limit in sorted(_UNITS.items(), key=lambda pair: -pair[1]):
        if (unit is None and number >= limit) or (unit is not None and unit.upper() == suffix):
            return f"{number / limit:.2f} {suffix + ('b' if isbits else 'B') if limit != 1 else base}"
    return f"{number:.2f} {base}"


def human_to_bytes(size: Any, default_unit: str | None = None, isbits: bool = False) -> int:
    """Read a size with its unit: one letter, or that with B for bytes, b for bits."""
    found = _SIZE.match(str(size))
    unit = (found[2] or default_unit or "B") if found else ""
    if found is None or unit[0].upper() not in _UNITS or not _is_unit(unit, isbits=isbits):
        raise FilterError(f"human_to_bytes() can't interpret the string: {size}")
    return round(float(found[1]) * _UNITS[unit[0].upper()])


def _is_unit(unit: str, *, isbits: bool) -> bool:
    if len(unit) == 1 or unit.lower() in _WORDS[isbits]:
        return True
    return unit[1:] == ("b" if isbits else "B") or unit[1:].lower() in _WORDS[isbits][1:]


def _numeric(name: str, function: Callable[..., float]) -> Callable[..., float]:
    def checked(value: Any, *args: Any, **options: Any) -> float:
        try:
            return function(value, *args, **options)
        except TypeError as error:
            raise FilterError(f"{name}() can only be used on numbers: {error}") from error

    return checked


def _logarithm(value: float, base: float = math.e) -> float:
    return math.log10(value) if base == 10 else math.log(value, base)


def _root(value: float, base: float = 2) -> float:
    return math.sqrt(value) if base == 2 else math.pow(value, 1.0 / base)


NUMBER_FILTERS: dict[str, Callable[..., Any]] = {
    "human_readable": human_readable,
    "human_to_bytes": human_to_bytes,
    "log": _numeric("log", _logarithm),
    "pow": _numeric("pow", math.pow),
    "root": _numeric("root", _root),
}
