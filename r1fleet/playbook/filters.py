"""Ansible's filters: data, mappings, what is read and written as JSON and YAML."""

# Signatures are Ansible's and Jinja2's: their booleans may be given by position.
# ruff: noqa: FBT001, FBT002

from __future__ import annotations

import glob
import json
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, pass_environment
from jinja2.runtime import Undefined

from r1fleet.playbook.filters_crypt import password_hash
from r1fleet.playbook.filters_lists import LIST_FILTERS, flatten
from r1fleet.playbook.filters_numbers import NUMBER_FILTERS
from r1fleet.playbook.filters_query import QUERY_FILTERS
from r1fleet.playbook.filters_subnets import ADDRESS_FILTERS
from r1fleet.playbook.filters_text import TEXT_FILTERS, FilterError
from r1fleet.playbook.lazy import plain

_ANSIBLE_NAMESPACE = uuid.UUID("361E6D51-FAEC-444A-9079-341386DA8E2E")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TRUE = frozenset({"yes", "on", "1", "true", "t", "y", 1})


def to_bool(value: Any) -> bool | None:
    """Return the truth that a word stands for."""
    if value is None or isinstance(value, bool):
        return value
    return (value.lower() if isinstance(value, str) else value) in _TRUE


def truth_of(value: Any) -> bool:
    """Return the truth that a word stands for; what is no such word is false."""
    try:
        return bool(to_bool(value))
    except TypeError:
        return False


def combine(*maps: Any, recursive: bool = False, list_merge: str = "replace", **unknown: Any) -> dict[Any, Any]:
    """Merge mappings, the later stronger; lists of mappings are opened once, None is nothing."""
    if unknown:
        raise FilterError("'recursive' and 'list_merge' are the only valid keyword arguments")
    merged: dict[Any, Any] = {}
    for single in flatten(maps, levels=1):
        if not isinstance(single, Mapping):
            raise FilterError(f"failed to combine variables, expected dicts but got a '{type(single).__name__}'")
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
        raise FilterError(f"dict2items requires a dictionary, got {type(value).__name__} instead.")
    return [{key_name: key, value_name: part} for key, part in value.items()]


def items_to_dict(value: Any, key_name: str = "key", value_name: str = "value") -> dict[Any, Any]:
    """Turn a list of pairs into a mapping."""
    if not isinstance(value, (list, tuple)):
        raise FilterError(f"items2dict requires a list, got {type(value).__name__} instead.")
    if not all(isinstance(item, Mapping) for item in value):
        raise FilterError("items2dict requires a list of dictionaries")
    if not all(key_name in item and value_name in item for item in value):
        keys = f"the keys '{key_name}' and '{value_name}'"
        raise FilterError(f"items2dict requires each dictionary in the list to contain {keys}")
    return {item[key_name]: item[value_name] for item in value}


def ternary(value: Any, on_true: Any, on_false: Any, on_none: Any = None) -> Any:
    """Choose by truth; what is not chosen may be undefined."""
    if isinstance(value, Undefined):
        return value
    if value is None and on_none is not None:
        return on_none
    return on_true if value else on_false


def mandatory(value: Any, msg: str | None = None) -> Any:
    """Refuse an undefined value."""
    if isinstance(value, Undefined):
        name = value._undefined_name
        raise FilterError(msg or f"Mandatory variable {name!r} not defined.")
    return value


@pass_environment
def extract(environment: Environment, item: Any, container: Any, morekeys: Any = None) -> Any:
    """Look a key up in a container, and further keys in what was found, as ``container[item]`` would."""
    further = morekeys if isinstance(morekeys, list) else [morekeys] if morekeys is not None else []
    found = container
    for key in (item, *further):
        found = environment.getitem(found, key)
    return found


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
    return yaml.load(value, Loader=_Loader) if isinstance(value, str) else value


def from_yaml_all(value: Any) -> Any:
    """Read several YAML documents."""
    if value is None:
        return []
    return list(yaml.load_all(value, Loader=_Loader)) if isinstance(value, str) else value


def to_uuid(value: str, namespace: str | uuid.UUID = _ANSIBLE_NAMESPACE) -> str:
    """Return the UUID that belongs to a name."""
    try:
        space = namespace if isinstance(namespace, uuid.UUID) else uuid.UUID(namespace)
    except (AttributeError, ValueError) as error:
        raise FilterError(f"Invalid value '{namespace}' for 'namespace'") from error
    return str(uuid.uuid5(space, str(value)))


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
    **ADDRESS_FILTERS,
    **QUERY_FILTERS,
    **TEXT_FILTERS,
    **NUMBER_FILTERS,
    **LIST_FILTERS,
    "password_hash": password_hash,
    "bool": truth_of,
    "combine": combine,
    "dict2items": dict_to_items,
    "extract": extract,
    "fileglob": file_glob,
    "from_json": json.loads,
    "from_yaml": from_yaml,
    "from_yaml_all": from_yaml_all,
    "items": lambda mapping: [list(pair) for pair in mapping.items()],
    "items2dict": items_to_dict,
    "mandatory": mandatory,
    "ternary": ternary,
    "to_datetime": to_datetime,
    "to_json": to_json,
    "to_nice_json": to_nice_json,
    "to_nice_yaml": to_nice_yaml,
    "to_uuid": to_uuid,
    "to_yaml": to_yaml,
    "type_debug": type_debug,
}
