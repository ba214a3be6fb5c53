"""Ansible's host patterns: which hosts ``gpu:&rack1:!node3`` names."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from r1fleet.errors import InventoryError

LOCALHOST = ("localhost", "127.0.0.1", "::1")
_PIECE = re.compile(r"(?:[^\s:\[\]]|\[[^\]]*\])+")
_SUBSCRIPT = re.compile(r"(?P<name>.+)\[(?:(?P<index>-?\d+)|(?P<first>\d+):(?P<last>\d*))\]")
_SPECIAL = re.compile(r"[.?*\[~]")


@dataclass(frozen=True, slots=True)
class Names:
    """What a pattern can name: hosts, and groups with their hosts, all in order."""

    hosts: Sequence[str]
    groups: Mapping[str, Sequence[str]]


def matching(pattern: str, names: Names, *, unknown: Callable[[str], None] | None = None) -> tuple[str, ...]:
    """Return the hosts that ``pattern`` names, in its order: first what it adds, then ``&``, then ``!``.

    A part that matches nothing is an error with the nearest names, or, where ``unknown`` is given, told to it.
    """
    parts = split(pattern)
    added = [part for part in parts if part[0] not in "&!"] or ["all"]
    chosen: dict[str, None] = {}
    for part in added:
        chosen.update(dict.fromkeys(_single(part, names, unknown)))
    for sign in "&!":
        for part in parts:
            if part[0] == sign:
                other = set(_single(part[1:], names, unknown))
                chosen = {name: None for name in chosen if (name in other) == (sign == "&")}
    return tuple(chosen)


def split(pattern: str) -> list[str]:
    """Split a pattern at its commas, or, where it has none, at the colons outside of brackets and addresses."""
    if "," in pattern:
        parts = [part.strip() for part in pattern.split(",")]
    elif pattern.lstrip("&!").startswith("~") or _is_address(pattern):
        parts = [pattern.strip()]
    else:
        parts = _PIECE.findall(pattern)
    parts = [part for part in parts if part]
    if not parts or any(part in ("!", "&", "~") for part in parts):
        raise InventoryError(f"{pattern!r} is no host pattern", hint="for example: all, gpu:!node3, node*, gpu[0]")
    return parts


def _is_address(pattern: str) -> bool:
    """Tell an IPv6 address from names with colons between them: it has no other letters and more colons."""
    return pattern.count(":") > 1 and re.fullmatch(r"[!&]?[0-9A-Fa-f:.]+", pattern) is not None and "::" in pattern


def _single(pattern: str, names: Names, unknown: Callable[[str], None] | None) -> Sequence[str]:
    found = _literal_or_glob(pattern, names)
    match = None if found or pattern.startswith("~") else _SUBSCRIPT.fullmatch(pattern)
    if match is not None:
        found = _literal_or_glob(match["name"], names)
        if found is not None:
            found = _subscript(match, list(dict.fromkeys(found)))
            if not found and unknown is None:
                raise InventoryError(f"{pattern} names no host", hint="the first host is [0], the last one [-1]")
    return _missing(pattern, names, unknown) if found is None else found


def _literal_or_glob(pattern: str, names: Names) -> list[str] | None:
    """Return the hosts of the groups, and the hosts, that ``pattern`` matches; None where it matches nothing."""
    matches = _matcher(pattern)
    groups = [name for name in names.groups if matches(name)]
    found = [host for group in groups for host in names.groups[group]]
    if not groups or _SPECIAL.search(pattern):
        found += [host for host in names.hosts if matches(host)]
    if found or groups or pattern == "all":
        return found
    return [pattern] if pattern in LOCALHOST else None


def _matcher(pattern: str) -> Callable[[str], object]:
    if not pattern.startswith("~"):
        return re.compile(fnmatch.translate(pattern)).match
    try:
        return re.compile(pattern[1:]).match
    except re.error as problem:
        raise InventoryError(f"{pattern} is no regular expression: {problem}") from problem


def _subscript(match: re.Match[str], found: list[str]) -> list[str]:
    if match["index"] is None:
        last = int(match["last"]) + 1 if match["last"] else None
        return found[int(match["first"]) : last]
    index = int(match["index"])
    return [found[index]] if -len(found) <= index < len(found) else []


def _missing(pattern: str, names: Names, unknown: Callable[[str], None] | None) -> Sequence[str]:
    if unknown is not None:
        unknown(pattern)
        return ()
    raise InventoryError(f'no host or group matches "{pattern}"', hint=nearest(pattern, [*names.groups, *names.hosts]))


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which of ``known`` may have been meant by ``name``."""
    names = [str(other) for other in known]
    near = difflib.get_close_matches(name, names, n=3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    if len(names) < 2:
        return f"there is only {names[0]}" if names else "there are none"
    return f"there are {', '.join(names[:12])}{' ...' if len(names) > 12 else ''}"
