"""Lookups that make lists of what they are given."""

# Signatures are Ansible's: their booleans may be given by position.

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from itertools import product, zip_longest
from typing import Any

from jinja2.runtime import Context

from r1fleet.playbook.filters import dict_to_items
from r1fleet.playbook.filters_lists import flatten, subelements
from r1fleet.playbook.filters_text import FilterError
from r1fleet.playbook.pairs import named_words

_NUMBER = "-?0?x?[0-9a-f]+"
_SEQUENCE = re.compile(
    rf"^(?:(?P<start>{_NUMBER})-)?(?P<end>{_NUMBER})(?:/(?P<stride>-?\w+))?(?::(?P<format>.+))?$", re.IGNORECASE
)
_PLACE = re.compile(r"%[-#0 +]*\d*(?:\.\d+)?[diouxX]")


def _sequence(_: Context, *terms: str, **options: Any) -> list[Any]:
    return [text for term in terms or ([""] if options else []) for text in _one_sequence(term, dict(options))]


def _one_sequence(term: str, options: dict[str, Any]) -> list[str]:
    found = _SEQUENCE.match(term)
    named = found.groupdict() if found else named_words(term)
    options.update({name: value for name, value in named.items() if value is not None})
    start, stride = _number(options, "start", 1), _number(options, "stride", 1)
    if "count" in options and "end" in options:
        raise FilterError("can't specify both count and end in with_sequence")
    if "count" not in options and "end" not in options:
        raise FilterError("must specify count or end in with_sequence")
    end = start + _number(options, "count", 0) * stride - 1 if "count" in options else _number(options, "end", 0)
    if stride == 0 or options.get("count") in (0, "0"):
        return []
    if stride > 0 and end < start:
        raise FilterError("to count backwards make stride negative")
    if stride < 0 and end > start:
        raise FilterError("to count forward don't make stride negative")
    form = str(options.get("format", "%d"))
    if len(_PLACE.findall(form.replace("%%", ""))) != 1:
        raise FilterError(f"bad formatting string: {form}")
    return [form % number for number in range(start, end + (1 if stride > 0 else -1), stride)]


def _number(options: Mapping[str, Any], name: str, default: int) -> int:
    try:
        return int(str(options.get(name, default)), 0)
    except ValueError as error:
        raise FilterError(f"can't parse {name}={options[name]} as integer") from error


def _nested(_: Context, *terms: Any) -> list[Any]:
    if not terms:
        raise FilterError("with_nested requires at least one element in the nested list")
    return [flatten(row) for row in product(*(term if isinstance(term, list) else [term] for term in terms))]


def _together(_: Context, *terms: Any) -> list[Any]:
    if not terms:
        raise FilterError("with_together requires at least one element in each list")
    return [list(row) for row in zip_longest(*terms)]


def _subelements(_: Context, *terms: Any) -> list[Any]:
    """Pair elements with the items of their lists; those marked ``skipped`` are left out."""
    if len(terms) not in (2, 3):
        raise FilterError("subelements lookup expects a list of two or three items")
    elements, path, flags = (*terms, {})[:3]
    if not isinstance(elements, (list, Mapping)) or not isinstance(path, str):
        raise FilterError(
            "subelements lookup expects a list of two or three items, first a dict or a list, second a string"
        )
    if not isinstance(flags, Mapping):
        raise FilterError("subelements lookup: the optional third item must be a dict with flags")
    if isinstance(elements, Mapping):
        if elements.get("skipped", False) is not False:
            return []
        elements = list(elements.values())
    kept = [element for element in elements if not (isinstance(element, Mapping) and element.get("skipped") is True)]
    pairs = subelements(kept, path, bool(flags.get("skip_missing")))
    return [[_without(element, path.split(".")), part] for element, part in pairs]


def _without(element: Any, keys: list[str]) -> Any:
    """Return an element without the list whose items it is paired with."""
    if not isinstance(element, Mapping):
        return element
    rest = {key: value for key, value in element.items() if key != keys[0]}
    return rest if len(keys) == 1 else {**rest, keys[0]: _without(element.get(keys[0]), keys[1:])}


def _dict(_: Context, *terms: Any) -> list[Any]:
    for term in terms:
        if not isinstance(term, Mapping):
            raise FilterError(f"the 'dict' lookup plugin expects a dictionary, got '{type(term).__name__}'")
    return [pair for term in terms for pair in dict_to_items(term)]


LIST_LOOKUPS: dict[str, Callable[..., list[Any]]] = {
    "dict": _dict,
    "flattened": lambda _, *terms: flatten(terms),
    "indexed_items": lambda _, *terms: [list(pair) for pair in enumerate(flatten(terms, 1))],
    "items": lambda _, *terms: flatten(terms, 1, skip_nulls=False),
    "list": lambda _, *terms: list(terms),
    "nested": _nested,
    "random_choice": lambda _, *terms: [random.SystemRandom().choice(flatten(terms, 1))],
    "sequence": _sequence,
    "subelements": _subelements,
    "together": _together,
}
