"""Ask dnf what repositories offer."""

from __future__ import annotations

from typing import Any

from r1fleet.agent.context import Context
from r1fleet.modules._dnf import dnf
from r1fleet.modules._rpmdb import Found, installed

_FORM = "%{name}\\t%{epoch}\\t%{version}\\t%{release}\\t%{arch}\\t%{repoid}\\n"
_KINDS = {"updates": "--upgrades", "upgrades": "--upgrades", "available": "--available"}


def offers(ctx: Context, *words: str) -> list[Found]:
    """Return what the repositories have under a name or another description."""
    return [package for package, _ in _query(ctx, "--available", *words)]


def listed(ctx: Context, asked: str) -> list[dict[str, Any]]:
    """Answer the argument ``list``: installed, updates, available, repos, or a package's name."""
    if asked in ("repos", "repositories"):
        text = dnf(ctx, "--quiet", "repolist", "--enabled").text
        return [{"repoid": line.split()[0], "state": "enabled"} for line in text.splitlines()[1:] if line.strip()]
    here = [_row(package, "installed", "@System") for package in installed(ctx, ctx.args["installroot"])]
    if asked == "installed":
        return here
    words = [_KINDS[asked]] if asked in _KINDS else ["--available", asked]
    found = [_row(package, "available", source) for package, source in _query(ctx, *words)]
    return found if asked in _KINDS else [row for row in here if row["name"] == asked] + found


def _query(ctx: Context, *words: str) -> list[tuple[Found, str]]:
    done = dnf(ctx, "--quiet", "repoquery", "--queryformat", _FORM, *words)
    rows = [line.split("\t") for line in done.text.splitlines()]
    return [(Found(*row[:5]), row[5]) for row in rows if len(row) == 6]


def _row(package: Found, state: str, source: str) -> dict[str, Any]:
    full = "{0.epoch}:{0.name}-{0.version}-{0.release}.{0.arch}".format(package)
    return dict(package._asdict(), envra=full, nevra=full, repo=source, yumstate=state)
