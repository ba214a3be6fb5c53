"""Ansible's filters: data, collections and paths (text has its own file)."""

# Signatures are Ansible's and Jinja2's: their booleans may be given by position.
# ruff: noqa: FBT001, FBT002

from __future__ import annotations

import glob
import json
import random
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import chain, combinations, permutations, product, zip_longest
from pathlib import Path
from typing import Any

import yaml
from jinja2.runtime import Undefined

from r1fleet.playbook.filters_crypt import password_hash
from r1fleet.playbook.filters_text import TEXT_FILTERS, FilterError
from r1fleet.playbook.lazy import plain

_ANSIBLE_NAMESPACE = uuid.UUID("361E6D51-FAEC-444A-9079-341386DA8E2E")
_TRUE = frozenset({"yes", "on", "1", "true", "t", "y", 1})


def to_bool(value: Any) -> bool | None:
    """Return the truth that a word stands for."""
    if value is None or isinstance(value, bool):
        return value
    return (value.lower() if isinstance(value, str) else value) in _TRUE


def combine(*maps: Any, recursive: bool = False, list_merge: str = "replace") -> dict[Any, Any]:
    """Merge mappings, the later stronger."""
    merged: dict[Any, Any] = {}
    for single in chain.from_iterable(part if isinstance(part, list) else [part] for part in maps):
        if not isinstance(single, Mapping):
            raise FilterError(f"combine expects mappings, got {type(single).__name__}")
        merged = _merge(merged, single, recursive=recursive, list_merge=list_merge)
    return merged


def _merge(low: Mapping[Any, Any], high: Mapping[Any, Any], *, recursive: bool, list_merge: str) -> dict[Any, Any]:
    merged = dict(low)
    for key, value in high.items():
        old = merged.get(key)
        if recursive and isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = _merge(old, value, recursive=recursive, list_merge=list_merge)
        elif isinstance(old, list) and isinstance(value, list):
            merged[key] = _merge_lists(old, value, list_merge)
        else:
            merged[key] = value
    return merged


def _merge_lists(old: list[Any], new: list[Any], how: str) -> list[Any]:
    choices: dict[str, Callable[[], list[Any]]] = {
        "replace": lambda: new,
        "keep": lambda: old,
        "append": lambda: old + new,
        "prepend": lambda: new + old,
        "append_rp": lambda: [item for item in old if item not in new] + new,
        "prepend_rp": lambda: new + [item for item in old if item not in new],
    }
    if how not in choices:
        raise FilterError(f"combine: list_merge is one of {', '.join(choices)}, not {how}")
    return choices[how]()


def dict_to_items(value: Any, key_name: str = "key", value_name: str = "value") -> list[dict[str, Any]]:
    """Turn a mapping into a list of pairs."""
    if not isinstance(value, Mapping):
        raise FilterError(f"dict2items expects a mapping, got {type(value).__name__}")
    return [{key_name: key, value_name: part} for key, part in value.items()]


def items_to_dict(value: Any, key_name: str = "key", value_name: str = "value") -> dict[Any, Any]:
    """Turn a list of pairs into a mapping."""
    if isinstance(value, (str, Mapping)):
        raise FilterError(f"items2dict expects a list, got {type(value).__name__}")
    return {item[key_name]: item[value_name] for item in value}


def flatten(value: Iterable[Any], levels: int | None = None, skip_nulls: bool = True) -> list[Any]:
    """Flatten lists inside a list."""
    flat: list[Any] = []
    for item in value:
        if skip_nulls and item in (None, "None", "null"):
            continue
        if isinstance(item, (list, tuple)) and levels != 0:
            flat.extend(flatten(item, None if levels is None else levels - 1, skip_nulls))
        else:
            flat.append(item)
    return flat


def unique(value: Iterable[Any], case_sensitive: bool | None = None, attribute: str | None = None) -> list[Any]:
    """Drop what came before."""
    seen: list[Any] = []
    kept = []
    for item in value:
        probe = item[attribute] if attribute else item
        probe = probe.lower() if case_sensitive is False and isinstance(probe, str) else probe
        if probe not in seen:
            seen.append(probe)
            kept.append(item)
    return kept


def union(left: Iterable[Any], right: Iterable[Any]) -> list[Any]:
    """Return what is in either list."""
    return unique([*left, *right])


def intersect(left: Iterable[Any], right: Iterable[Any]) -> list[Any]:
    """Return what is in both lists."""
    other = list(right)
    return unique(item for item in left if item in other)


def difference(left: Iterable[Any], right: Iterable[Any]) -> list[Any]:
    """Return what is only in the first list."""
    other = list(right)
    return unique(item for item in left if item not in other)


def symmetric_difference(left: Iterable[Any], right: Iterable[Any]) -> list[Any]:
    """Return what is in one list only."""
    return difference(union(left, right), intersect(left, right))


def ternary(value: Any, on_true: Any, on_false: Any, on_none: Any = None) -> Any:
    """Choose by truth."""
    if value is None and on_none is not None:
        return on_none
    return on_true if to_bool(value) or (not isinstance(value, str) and bool(value)) else on_false


def mandatory(value: Any, msg: str | None = None) -> Any:
    """Refuse an undefined value."""
    if isinstance(value, Undefined):
        name = value._undefined_name
        raise FilterError(msg or f"Mandatory variable {name!r} not defined.")
    return value


def extract(item: Any, container: Any, morekeys: Any = None) -> Any:
    """Look a key up in a container, and further keys in what was found."""
    found = container[item]
    for key in morekeys if isinstance(morekeys, list) else [morekeys] if morekeys is not None else []:
        found = found[key]
    return found


def subelements(value: Any, path: Any, skip_missing: bool = False) -> list[tuple[Any, Any]]:
    """Pair every element with each item of one of its lists."""
    elements = list(value.values()) if isinstance(value, Mapping) else list(value)
    keys = path.split(".") if isinstance(path, str) else list(path)
    pairs: list[tuple[Any, Any]] = []
    for element in elements:
        inner: Any = element
        for key in keys:
            if key not in inner and skip_missing:
                inner = []
                break
            if key not in inner:
                raise FilterError(f"could not find {key!r} key in iterated item {inner!r}")
            inner = inner[key]
        if not isinstance(inner, list):
            raise FilterError(f"the key {keys[-1]} should point to a list, got {inner!r}")
        pairs.extend((element, item) for item in inner)
    return pairs


def zip_longest_fill(*lists: Any, fillvalue: Any = None) -> list[list[Any]]:
    """Zip to the longest list."""
    return [list(row) for row in zip_longest(*lists, fillvalue=fillvalue)]


def rekey_on_member(value: Any, key: str, duplicates: str = "error") -> dict[Any, Any]:
    """Index mappings by one of their members."""
    rows = value.values() if isinstance(value, Mapping) else value
    keyed: dict[Any, Any] = {}
    for row in rows:
        if row[key] in keyed and duplicates == "error":
            raise FilterError(f"Key {row[key]} is not unique, cannot convert to dict")
        keyed[row[key]] = row
    return keyed


def to_json(value: Any, **options: Any) -> str:
    """Write JSON on one line."""
    return json.dumps(value, ensure_ascii=options.pop("ensure_ascii", True), default=str, **_known(options))


def to_nice_json(value: Any, indent: int = 4, sort_keys: bool = True, **options: Any) -> str:
    """Write JSON on many lines."""
    return json.dumps(
        value,
        indent=indent,
        sort_keys=sort_keys,
        separators=(",", ": "),
        ensure_ascii=options.get("ensure_ascii", True),
        default=str,
    )


def _known(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in {"indent", "sort_keys", "separators"}}


def to_yaml(value: Any, **options: Any) -> str:
    """Write YAML in short."""
    return str(
        yaml.dump(
            value,
            Dumper=yaml.SafeDumper,
            allow_unicode=True,
            default_flow_style=options.pop("default_flow_style", None),
            **options,
        )
    )


def to_nice_yaml(value: Any, indent: int = 4, **options: Any) -> str:
    """Write YAML in blocks."""
    options.setdefault("default_flow_style", False)
    return str(yaml.dump(value, Dumper=yaml.SafeDumper, indent=indent, allow_unicode=True, **options))


def from_yaml(value: Any) -> Any:
    """Read YAML."""
    return yaml.safe_load(value) if isinstance(value, str) else value


def from_yaml_all(value: Any) -> Any:
    """Read several YAML documents."""
    return list(yaml.safe_load_all(value)) if isinstance(value, str) else value


def random_of(end: Any, start: int = 0, step: int = 1, seed: Any = None) -> Any:
    """Choose a number or an element."""
    source = random.Random(seed) if seed is not None else random.SystemRandom()
    if isinstance(end, int):
        return source.randrange(start, end, step)
    return source.choice(list(end))


def shuffle(value: Iterable[Any], seed: Any = None) -> list[Any]:
    """Return the elements in another order."""
    items = list(value)
    (random.Random(seed) if seed is not None else random.SystemRandom()).shuffle(items)
    return items


def to_uuid(value: str, namespace: str | uuid.UUID = _ANSIBLE_NAMESPACE) -> str:
    """Return the UUID that belongs to a name."""
    return str(uuid.uuid5(namespace if isinstance(namespace, uuid.UUID) else uuid.UUID(namespace), str(value)))


def type_debug(value: Any) -> str:
    """Name a value's type."""
    value = plain(value)
    return "AnsibleUndefined" if isinstance(value, Undefined) else type(value).__name__


def to_datetime(value: str, format: str = "%Y-%m-%d %H:%M:%S") -> datetime:  # noqa: A002
    """Read a time."""
    return datetime.strptime(value, format)


def file_glob(pattern: str) -> list[str]:
    """List the controller's files that match."""
    return sorted(str(found) for found in map(Path, glob.glob(str(Path(pattern).expanduser()))) if found.is_file())  # noqa: PTH207


FILTERS: dict[str, Callable[..., Any]] = {
    **TEXT_FILTERS,
    "password_hash": password_hash,
    "bool": to_bool,
    "combine": combine,
    "combinations": lambda value, size: [list(row) for row in combinations(value, size)],
    "dict2items": dict_to_items,
    "difference": difference,
    "extract": extract,
    "fileglob": file_glob,
    "flatten": flatten,
    "from_json": json.loads,
    "from_yaml": from_yaml,
    "from_yaml_all": from_yaml_all,
    "intersect": intersect,
    "items": lambda mapping: [list(pair) for pair in mapping.items()],
    "items2dict": items_to_dict,
    "mandatory": mandatory,
    "permutations": lambda value, size=None: [list(row) for row in permutations(value, size)],
    "product": lambda *lists, **options: [list(row) for row in product(*lists, **options)],
    "random": random_of,
    "rekey_on_member": rekey_on_member,
    "shuffle": shuffle,
    "subelements": subelements,
    "symmetric_difference": symmetric_difference,
    "ternary": ternary,
    "to_datetime": to_datetime,
    "to_json": to_json,
    "to_nice_json": to_nice_json,
    "to_nice_yaml": to_nice_yaml,
    "to_uuid": to_uuid,
    "to_yaml": to_yaml,
    "type_debug": type_debug,
    "union": union,
    "unique": unique,
    "zip": lambda *lists: [list(row) for row in zip(*lists, strict=False)],
    "zip_longest": zip_longest_fill,
}
