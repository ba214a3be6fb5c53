"""Ansible's filters: lists as sets, pairs and choices."""

# Signatures are Ansible's and Jinja2's: their booleans may be given by position.
# ruff: noqa: FBT001, FBT002

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from itertools import combinations, permutations, product, zip_longest
from typing import Any

from jinja2.runtime import Undefined

from r1fleet.playbook.filters_text import FilterError


def flatten(value: Iterable[Any], levels: int | None = None, skip_nulls: bool = True) -> list[Any]:
    """Flatten lists inside a list."""
    flat: list[Any] = []
    for item in value:
        if skip_nulls and not isinstance(item, Undefined) and item in (None, "None", "null"):
            continue
        if isinstance(item, (list, tuple)) and levels != 0:
            flat.extend(flatten(item, None if levels is None else levels - 1, skip_nulls))
        else:
            flat.append(item)
    return flat


def unique(value: Iterable[Any], case_sensitive: bool | None = None, attribute: str | None = None) -> list[Any]:
    """Drop what came before; texts that differ in case alone are the same, unless told otherwise.

    Where an item cannot be put in a set, as a mapping cannot, items are compared as they are.
    """
    items = list(value)
    probes = [_at(item, attribute) for item in items]
    try:
        hash(tuple(probes))
    except TypeError:
        if case_sensitive is False:
            raise FilterError("unique cannot fall back to a comparison that ignores case for these items") from None
    else:
        if not case_sensitive:
            probes = [probe.lower() if isinstance(probe, str) else probe for probe in probes]
    seen: list[Any] = []
    kept = []
    for item, probe in zip(items, probes, strict=True):
        if probe not in seen:
            seen.append(probe)
            kept.append(item)
    return kept


def _at(item: Any, attribute: str | None) -> Any:
    for key in str(attribute).split(".") if attribute else ():
        item = item[key]
    return item


def union(left: Iterable[Any], right: Iterable[Any]) -> list[Any]:
    """Return what is in either list."""
    return _once([*left, *right])


def intersect(left: Iterable[Any], right: Iterable[Any]) -> list[Any]:
    """Return what is in both lists."""
    other = list(right)
    return _once(item for item in left if item in other)


def difference(left: Iterable[Any], right: Iterable[Any]) -> list[Any]:
    """Return what is only in the first list."""
    other = list(right)
    return _once(item for item in left if item not in other)


def symmetric_difference(left: Iterable[Any], right: Iterable[Any]) -> list[Any]:
    """Return what is in one list only."""
    first, second = list(left), list(right)
    return difference(union(first, second), intersect(first, second))


def _once(items: Iterable[Any]) -> list[Any]:
    return unique(items, case_sensitive=True)


def subelements(value: Any, path: Any, skip_missing: bool = False) -> list[tuple[Any, Any]]:
    """Pair every element with each item of one of its lists."""
    if not isinstance(value, (Mapping, list, tuple)):
        raise FilterError("obj must be a list of dicts or a nested dict")
    if not isinstance(path, (str, list, tuple)):
        raise FilterError("subelements must be a list or a string")
    elements = list(value.values()) if isinstance(value, Mapping) else list(value)
    keys = path.split(".") if isinstance(path, str) else list(path)
    pairs: list[tuple[Any, Any]] = []
    for element in elements:
        inner: Any = element
        for key in keys:
            if not isinstance(inner, Mapping) and not skip_missing:
                raise FilterError(f"the key {key!r} should point to a dictionary, got {inner!r}")
            if not isinstance(inner, Mapping) or (key not in inner and skip_missing):
                inner = []
                break
            if key not in inner:
                raise FilterError(f"could not find {key!r} key in iterated item {inner!r}")
            inner = inner[key]
        if not isinstance(inner, list):
            raise FilterError(f"the key {keys[-1]} should point to a list, got {inner!r}")
        pairs.extend((element, item) for item in inner)
    return pairs


def rekey_on_member(value: Any, key: str, duplicates: str = "error") -> dict[Any, Any]:
    """Index mappings by one of their members."""
    if duplicates not in ("error", "overwrite"):
        raise FilterError(f"duplicates parameter to rekey_on_member has unknown value: {duplicates}")
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise FilterError("Type is not a valid list, set, or dict")
    keyed: dict[Any, Any] = {}
    for row in value.values() if isinstance(value, Mapping) else value:
        if not isinstance(row, Mapping):
            raise FilterError("List item is not a valid dict")
        if key not in row:
            raise FilterError(f"Key {key} was not found")
        if row[key] in keyed and duplicates == "error":
            raise FilterError(f"Key {row[key]} is not unique, cannot convert to dict")
        keyed[row[key]] = row
    return keyed


def random_of(end: Any, start: Any = None, step: Any = None, seed: Any = None) -> Any:
    """Choose a number or an element."""
    source = random.Random(seed) if seed is not None else random.SystemRandom()
    if isinstance(end, int) and not isinstance(end, bool):
        return source.randrange(int(start or 0), end, int(step or 1))
    if not isinstance(end, Iterable):
        raise FilterError("random can only be used on sequences and integers")
    if start or step:
        raise FilterError("start and step can only be used with integer values")
    return source.choice(list(end))


def shuffle(value: Any, seed: Any = None) -> Any:
    """Return the elements in another order; what is no list stays as it is."""
    if not isinstance(value, Iterable):
        return value
    items = list(value)
    (random.Random(seed) if seed is not None else random.SystemRandom()).shuffle(items)
    return items


def _rows(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(row) for row in rows]


LIST_FILTERS: dict[str, Callable[..., Any]] = {
    "combinations": lambda value, size: _rows(combinations(value, size)),
    "difference": difference,
    "flatten": flatten,
    "intersect": intersect,
    "permutations": lambda value, size=None: _rows(permutations(value, size)),
    "product": lambda *lists, **options: _rows(product(*lists, **options)),
    "random": random_of,
    "rekey_on_member": rekey_on_member,
    "shuffle": shuffle,
    "subelements": subelements,
    "symmetric_difference": symmetric_difference,
    "union": union,
    "unique": unique,
    "zip": lambda *lists: _rows(zip(*lists, strict=False)),
    "zip_longest": lambda *lists, fillvalue=None: _rows(zip_longest(*lists, fillvalue=fillvalue)),
}
