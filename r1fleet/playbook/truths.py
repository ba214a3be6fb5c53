"""Ansible's tests: what may stand behind ``is``."""

# Signatures are Ansible's and Jinja2's: their booleans may be given by position.
# ruff: noqa: FBT001, FBT002

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from r1fleet.playbook.filters import to_bool
from r1fleet.playbook.filters_text import FilterError
from r1fleet.playbook.versions import version

_NET = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.")
_WORDS = frozenset({"y", "yes", "on", "1", "true", "t", "n", "no", "off", "0", "false", "f"})


def regex(
    value: Any, pattern: str, ignorecase: bool = False, multiline: bool = False, match_type: str = "search"
) -> bool:
    """Tell whether a pattern is found."""
    flags = (re.IGNORECASE if ignorecase else 0) | (re.MULTILINE if multiline else 0)
    return getattr(re.compile(pattern, flags), match_type)(str(value)) is not None


def match(value: Any, pattern: str, ignorecase: bool = False, multiline: bool = False) -> bool:
    """Tell whether a pattern is found at the start."""
    return regex(value, pattern, ignorecase, multiline, "match")


def _result(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise FilterError(f"The '{name}' test expects a dictionary")
    return value


def failed(value: Any) -> bool:
    """Tell whether a task failed."""
    return bool(_result("failed", value).get("failed", False))


def changed(value: Any) -> bool:
    """Tell whether a task, or one of its items, changed something."""
    result = _result("changed", value)
    if "changed" in result:
        return bool(result["changed"])
    return any(item.get("changed") for item in result.get("results", ()) if isinstance(item, Mapping))


def _flag(name: str, *, default: bool = False) -> Callable[[Any], bool]:
    return lambda value: bool(_result(name, value).get(name, default))


def truthy(value: Any, convert_bool: bool = False) -> bool:
    """Tell whether a value counts as true."""
    if convert_bool and isinstance(value, str) and value.lower() in _WORDS:
        return bool(to_bool(value))
    return bool(value)


def vault_encrypted(value: Any) -> bool:
    """Tell whether text is what ansible-vault makes."""
    return isinstance(value, str) and value.startswith("$ANSIBLE_VAULT;")


def vaulted_file(path: str) -> bool:
    """Tell whether a file of the controller is encrypted by ansible-vault."""
    with Path(path).open("rb") as stream:
        return stream.read(15) == b"$ANSIBLE_VAULT;"


def is_uri(value: Any, schemes: list[str] | None = None) -> bool:
    """Tell whether text can be a URI, of one of these schemes where they are given."""
    if not isinstance(value, str):
        return False
    try:
        scheme = urlsplit(value).scheme
    except ValueError:
        return False
    return not schemes or scheme in schemes


def contains(value: Any, item: Any) -> bool:
    """Tell whether an item is in a list."""
    return item in value


def subset(left: Any, right: Any) -> bool:
    """Tell whether one list lies in another."""
    return all(item in right for item in left)


TESTS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(["abs", "is_abs"], lambda path: Path(path).is_absolute()),
    "all": all,
    "any": any,
    "contains": contains,
    "directory": lambda path: Path(path).is_dir(),
    "exists": lambda path: Path(path).exists(),
    "falsy": lambda value, convert_bool=False: not truthy(value, convert_bool),
    "file": lambda path: Path(path).is_file(),
    "finished": _flag("finished", default=True),
    "is_dir": lambda path: Path(path).is_dir(),
    "is_file": lambda path: Path(path).is_file(),
    "is_link": lambda path: Path(path).is_symlink(),
    "link": lambda path: Path(path).is_symlink(),
    "link_exists": lambda path: Path(path).is_symlink() or Path(path).exists(),
    "match": match,
    **dict.fromkeys(["mount", "is_mount"], lambda path: Path(path).is_mount()),
    **dict.fromkeys(["nan", "isnan"], lambda value: value != value),
    "reachable": lambda value: not _result("reachable", value).get("unreachable", False),
    "regex": regex,
    **dict.fromkeys(["same_file", "is_same_file"], lambda left, right: Path(left).samefile(right)),
    "search": regex,
    "started": _flag("started", default=True),
    "timedout": lambda value: bool(_result("timedout", value).get("timedout", False)),
    "truthy": truthy,
    "vault_encrypted": vault_encrypted,
    "vaulted_file": vaulted_file,
    "unreachable": _flag("unreachable"),
    "uri": is_uri,
    "url": lambda value, schemes=None: is_uri(value, schemes) and bool(_NET.match(value)),
    "urn": lambda value: is_uri(value, ["urn"]),
    **dict.fromkeys(["failed", "failure"], failed),
    **dict.fromkeys(["succeeded", "success", "successful"], lambda value: not failed(value)),
    **dict.fromkeys(["changed", "change"], changed),
    **dict.fromkeys(["skipped", "skip"], _flag("skipped")),
    **dict.fromkeys(["subset", "issubset"], subset),
    **dict.fromkeys(["superset", "issuperset"], lambda left, right: subset(right, left)),
    **dict.fromkeys(["version", "version_compare"], version),
}
