"""What rpm knows: installed packages, and which of two versions is the newer."""

from __future__ import annotations

import fnmatch
import os
import re
from typing import Any, NamedTuple

from r1fleet.agent.context import Context

_FORM = "%{NAME}\\t%{EPOCHNUM}\\t%{VERSION}\\t%{RELEASE}\\t%{ARCH}\\t%{INSTALLTIME}\\n"
_DATABASES = ("var/lib/rpm", "usr/lib/sysimage/rpm")
_PARTS = re.compile(r"[0-9]+|[a-zA-Z]+|~|\^")
_EVR = re.compile(r"^(?:([0-9]+):)?([^-]+)(?:-([^-]+))?$")
_RELATION = re.compile(r"^(\S+)\s+(<=|>=|<|>|=)\s*(\S+)$")


class Found(NamedTuple):
    """One package, installed or in a file."""

    name: str
    epoch: str
    version: str
    release: str
    arch: str

    @property
    def nevra(self) -> str:
        """The full name as dnf writes it: without an epoch of 0."""
        epoch = "" if self.epoch == "0" else self.epoch + ":"
        return "{}-{}{}-{}.{}".format(self.name, epoch, self.version, self.release, self.arch)

    @property
    def evr(self) -> str:
        """Its whole version."""
        return "{}:{}-{}".format(self.epoch, self.version, self.release)

    @property
    def spellings(self) -> list[str]:
        """The ways in which people name it."""
        found = [self.name, "{}.{}".format(self.name, self.arch)]
        for epoch in ("", self.epoch + ":"):
            short = "{}-{}{}".format(self.name, epoch, self.version)
            full = "{}-{}".format(short, self.release)
            found += [short, full, "{}.{}".format(full, self.arch)]
        return found


def installed(ctx: Context, root: str = "/") -> list[Found]:
    """List the installed packages; asked again when the database has changed."""
    state = _state(root)
    key = "rpm packages below " + root
    known = ctx.cache.get(key)
    if known and known[0] == state and state:
        packages: list[Found] = known[1]
        return packages
    # Imported keys are kept as packages of that name, which no repository offers.
    packages = [each for each in query(ctx, "-qa", root=root) if each.name != "gpg-pubkey"]
    ctx.cache[key] = (_state(root), packages)
    return packages


def query(ctx: Context, *words: str, root: str = "/") -> list[Found]:
    """Ask rpm for packages; none where it answers none."""
    done = ctx.run([ctx.need("rpm"), "--root", root, *words, "--queryformat", _FORM], locale="C")
    rows = [line.split("\t") for line in done.text.splitlines()] if done.rc == 0 or "-qa" in words else []
    return [Found(*row[:5]) for row in rows if len(row) == 6]


def named(packages: list[Found], name: str) -> list[Found]:
    """Return the packages that ``name`` means: a name, with version, release, epoch and architecture or a pattern."""
    return [each for each in packages if any(fnmatch.fnmatchcase(spelling, name) for spelling in each.spellings)]


def relation(spec: str) -> tuple[str, str, str] | None:
    """Split ``name >= 1.0``; None where it is no comparison."""
    match = _RELATION.match(spec.strip())
    return (match.group(1), match.group(2), match.group(3)) if match else None


def satisfies(package: Found, operator: str, wanted: str) -> bool:
    """Tell whether a package's version is in the range."""
    order = compare(package, wanted)
    return order in {"<": (-1,), "<=": (-1, 0), "=": (0,), ">=": (0, 1), ">": (1,)}[operator]


def compare(package: Found, wanted: str) -> int:
    """Tell whether a package is older (-1) or newer (1) than ``[epoch:]version[-release]``; what is unsaid is equal."""
    match = _EVR.match(wanted)
    if match is None:
        return 1
    epoch, version, release = match.groups()
    order = int(package.epoch) - int(epoch or 0)
    if order:
        return 1 if order > 0 else -1
    return compare_versions(package.version, version) or (compare_versions(package.release, release) if release else 0)


def compare_versions(left: str, right: str) -> int:
    """Order versions (or releases) as rpm does: runs of digits and letters; ``~`` goes before the end, ``^`` after."""
    mine, theirs = _PARTS.findall(left), _PARTS.findall(right)
    for at in range(max(len(mine), len(theirs))):
        one, other = (parts[at] if at < len(parts) else "" for parts in (mine, theirs))
        if one == other or (one.isdigit() and other.isdigit() and int(one) == int(other)):
            continue
        ranks = _rank(one), _rank(other)
        if ranks[0] != ranks[1]:
            return 1 if ranks[0] > ranks[1] else -1
        if one.isdigit():
            return 1 if int(one) > int(other) else -1
        return 1 if one > other else -1
    return 0


def _rank(part: str) -> int:
    """Order kinds of parts: ``~`` before the end, ``^`` just after it, then letters, then numbers."""
    if part == "~":
        return 0
    if part == "":
        return 1
    if part == "^":
        return 2
    return 4 if part.isdigit() else 3


def _state(root: str) -> Any:
    """Return what changes whenever the database is written; nothing where it lies elsewhere."""
    found = []
    for folder in (os.path.join(root, each) for each in _DATABASES):
        if os.path.isdir(folder) and not os.path.islink(folder):
            for entry in sorted(os.listdir(folder)):
                status = os.stat(os.path.join(folder, entry))
                found.append((entry, status.st_mtime_ns, status.st_size))
    return found
