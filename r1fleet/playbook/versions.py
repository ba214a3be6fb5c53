"""Versions compared as Ansible's ``version`` test does: loosely, strictly, semantically, or as Python's."""

# Signatures are Ansible's: their booleans may be given by position.
# ruff: noqa: FBT001

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

from r1fleet.playbook.filters_text import FilterError

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    **dict.fromkeys(["==", "=", "eq"], operator.eq),
    **dict.fromkeys(["!=", "<>", "ne"], operator.ne),
    **dict.fromkeys(["<", "lt"], operator.lt),
    **dict.fromkeys(["<=", "le"], operator.le),
    **dict.fromkeys([">", "gt"], operator.gt),
    **dict.fromkeys([">=", "ge"], operator.ge),
}
_STRICT = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?(?:([ab])(\d+))?$")
_SEMANTIC = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$")
_PYTHON = re.compile(
    r"v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)[-_.]?(?:(?P<pre>a|b|c|rc|alpha|beta|pre|preview)[-_.]?(?P<pre_n>\d*))?"
    r"(?:(?:[-_.]?(?:post|rev|r)[-_.]?|-)(?P<post>\d*))?(?:[-_.]?dev[-_.]?(?P<dev>\d*))?(?:\+(?P<local>[a-z0-9._-]+))?$",
    re.IGNORECASE,
)
_PHASES = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}


def version(
    value: Any,
    other: Any,
    operator: str = "==",
    strict: bool | None = None,
    version_type: str | None = None,
) -> bool:
    """Compare two versions."""
    if strict is not None and version_type:
        raise FilterError("Cannot specify both 'strict' and 'version_type'")
    if operator not in _COMPARISONS:
        raise FilterError(f"Invalid operator type ({operator}). Must be one of {', '.join(_COMPARISONS)}")
    if not str(value):
        raise FilterError("Input version value cannot be empty")
    if not str(other):
        raise FilterError("Version parameter to compare against cannot be empty")
    kind = "strict" if strict else version_type or "loose"
    if kind not in _KEYS:
        raise FilterError(f"Invalid version type ({kind}). Must be one of {', '.join(_KEYS)}")
    try:
        return _COMPARISONS[operator](_KEYS[kind](str(value)), _KEYS[kind](str(other)))
    except (TypeError, ValueError) as error:
        raise FilterError(f"Version comparison failed: {value} and {other}: {error}") from error


def _loose(text: str) -> list[int | str]:
    parts = [part for part in re.split(r"(\d+|[a-z]+|\.)", text) if part and part != "."]
    return [int(part) if part.isdigit() else part for part in parts]


def _strict(text: str) -> tuple[Any, ...]:
    found = _STRICT.match(text)
    if found is None:
        raise ValueError(f"invalid version number '{text}'")
    major, minor, patch, phase, number = found.groups()
    return (int(major), int(minor), int(patch or 0), phase or "f", int(number or 0))


def _semantic(text: str) -> tuple[Any, ...]:
    found = _SEMANTIC.match(text)
    if found is None:
        raise ValueError(f"invalid semantic version '{text}'")
    before = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in (found[4] or "").split(".") if part]
    return (int(found[1]), int(found[2]), int(found[3]), not before, before)


def _python(text: str) -> tuple[Any, ...]:
    """Order as PEP 440 does: development before pre-releases, those before the release, later revisions behind."""
    found = _PYTHON.match(text.strip())
    if found is None:
        raise ValueError(f"Invalid version: '{text}'")
    release = tuple(map(int, found["release"].split(".")))
    while len(release) > 1 and release[-1] == 0:
        release = release[:-1]
    phase = _PHASES.get((found["pre"] or "").lower(), (found["pre"] or "").lower())
    only_dev = found["dev"] is not None and not phase and found["post"] is None
    before = ("", 0) if only_dev else (phase, int(found["pre_n"] or 0)) if phase else ("z", 0)
    after = -1 if found["post"] is None else int(found["post"] or 0)
    development = (1, 0) if found["dev"] is None else (0, int(found["dev"] or 0))
    local = [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.split("[-_.]", found["local"] or "")]
    return (int(found["epoch"] or 0), release, before, after, development, local if found["local"] else [])


_KEYS: dict[str, Callable[[str], Any]] = {
    "loose": _loose,
    "strict": _strict,
    "semver": _semantic,
    "semantic": _semantic,
    "pep440": _python,
}
