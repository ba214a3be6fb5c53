"""Versions of Python packages, compared as pip compares them."""

from __future__ import annotations

import re
from typing import Any

_VERSION = re.compile(
    r"v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<kind>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<pre>\d*))?"
    r"(?P<later>-(?P<dash>\d+)|[-_.]?(?:post|rev|r)[-_.]?(?P<post>\d*))?"
    r"(?P<early>[-_.]?dev[-_.]?(?P<dev>\d*))?(?:\+[a-z0-9._-]+)?$"
)
_CONDITION = re.compile(r"\s*(~=|===?|!=|<=?|>=?)\s*([^\s,<>=!~]+)\s*$")
_KINDS = {"alpha": "a", "beta": "b", "preview": "rc", "pre": "rc", "c": "rc"}


def fits(present: str, conditions: str) -> bool | None:
    """Tell whether a version fits ``>=1,<2`` and the like; None for what is no such text."""
    answers = [_fits_one(present.lower(), text) for text in conditions.lower().split(",")]
    return None if None in answers else all(answers)


def _fits_one(present: str, text: str) -> bool | None:
    match = _CONDITION.match(text)
    if match is None:
        return None
    sign, wanted = match.groups()
    if sign == "===":
        return present == wanted
    if wanted.endswith(".*"):
        return _begins(present, wanted[:-2], sign) if sign in ("==", "!=") else None
    mine, theirs = _key(present), _key(wanted)
    if mine is None or theirs is None:
        return None
    if sign == "~=":
        series = wanted.rpartition(".")[0]
        return bool(mine >= theirs and _begins(present, series, "==")) if series else None
    answers = {"==": mine == theirs, "!=": mine != theirs, "<=": mine <= theirs, ">=": mine >= theirs}
    # 2.0rc1 is not below 2.0 for pip, nor 2.0.post1 above it.
    answers["<"] = mine < theirs and not (mine[:2] == theirs[:2] and mine[2] < _FINAL <= theirs[2])
    answers[">"] = mine > theirs and not (mine[:3] == theirs[:3] and mine[3] >= 0 > theirs[3])
    return bool(answers[sign])


_FINAL = ("z", 0)


def _begins(present: str, series: str, sign: str) -> bool | None:
    mine, theirs = _VERSION.match(present), _VERSION.match(series)
    if mine is None or theirs is None:
        return None
    wanted = theirs["release"].split(".")
    release = (mine["release"].split(".") + ["0"] * len(wanted))[: len(wanted)]
    return (list(map(int, release)) == list(map(int, wanted))) is (sign == "==")


def _key(version: str) -> tuple[Any, ...] | None:
    """Return what orders versions: epoch, release, pre-release, post-release, development."""
    match = _VERSION.match(version)
    if match is None:
        return None
    release = re.sub(r"(\.0+)+$", "", match["release"])
    post = int(match["dash"] or match["post"] or 0) if match["later"] else -1
    early = float(match["dev"] or 0) if match["early"] else float("inf")
    if match["kind"]:
        stage = (_KINDS.get(match["kind"], match["kind"]), int(match["pre"] or 0))
    else:
        stage = ("", 0) if match["early"] and post < 0 else _FINAL
    return int(match["epoch"] or 0), tuple(map(int, release.split("."))), stage, post, early
