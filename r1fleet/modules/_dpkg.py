"""What dpkg has installed, read from its own files."""

from __future__ import annotations

import mmap
import os
import re
from typing import Any, NamedTuple

from r1fleet.agent.context import Context

STATUS = "/var/lib/dpkg/status"
EXTENDED = "/var/lib/apt/extended_states"
LISTS = "/var/lib/apt/lists"
_PROVIDED = re.compile(r"([^\s,(]+)(?:\s*\([^)]*\))?")


class Package(NamedTuple):
    """One package that dpkg knows; ``state`` is dpkg's word: installed, config-files, half-configured ..."""

    name: str
    version: str
    architecture: str
    state: str
    held: bool


class Installed(NamedTuple):
    """Everything in dpkg's status file: packages by name, and the names that installed packages provide."""

    packages: dict[str, list[Package]]
    provided: frozenset[str]

    def find(self, name: str) -> Package | None:
        """Return the package called ``name`` or ``name:architecture``, an installed one first."""
        name, _, architecture = name.partition(":")
        found = self.packages.get(name, ())
        fitting = [package for package in found if architecture in ("", "any", "native", package.architecture)]
        return min(fitting, key=lambda package: package.state != "installed") if fitting else None

    def installed(self, name: str) -> Package | None:
        """Return the package called ``name`` if it is installed."""
        package = self.find(name)
        return package if package and package.state == "installed" else None


def installed(ctx: Context) -> Installed:
    """Read dpkg's status file, once per state of that file."""
    reading = _once_per_state(ctx, STATUS, _parse)
    return reading if reading else Installed({}, frozenset())


def automatic(ctx: Context, names: list[str]) -> list[str]:
    """Return those of ``names`` that apt holds to be installed only for others' sake."""
    marked = _once_per_state(ctx, EXTENDED, _parse_automatic) or frozenset()
    return [name for name in names if name.partition(":")[0] in marked]


def offered(name: str) -> bool | None:
    """Tell whether a package source has a real package of this name; None where the lists can't be read as text."""
    needle = "Package: {}\n".format(name.partition(":")[0]).encode()
    listed = sorted(entry for entry in os.listdir(LISTS) if "_Packages" in entry) if os.path.isdir(LISTS) else []
    if not listed or any(not entry.endswith("_Packages") for entry in listed):
        return None
    return any(_contains(os.path.join(LISTS, entry), needle) for entry in listed)


def _contains(path: str, needle: bytes) -> bool:
    if not os.path.getsize(path):
        return False
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return text[: len(needle)] == needle or text.find(b"\n" + needle) >= 0


def _once_per_state(ctx: Context, path: str, parse: Any) -> Any:
    try:
        status = os.stat(path)
    except OSError:
        return None
    state = (status.st_mtime_ns, status.st_size, status.st_ino)
    known = ctx.cache.get(path)
    if not known or known[0] != state:
        with open(path, "rb") as stream:
            known = ctx.cache[path] = (state, parse(stream.read().decode("utf-8", "replace")))
    return known[1]


def _parse(text: str) -> Installed:
    packages: dict[str, list[Package]] = {}
    provided: list[str] = []
    for stanza in text.split("\n\n"):
        fields = _fields(stanza)
        want, _, state = (fields.get("Status") or "unknown ok not-installed").split(" ", 2)
        name = fields.get("Package")
        if not name:
            continue
        package = Package(name, fields.get("Version", ""), fields.get("Architecture", ""), state, want == "hold")
        packages.setdefault(name, []).append(package)
        if state == "installed" and "Provides" in fields:
            provided.extend(_PROVIDED.findall(fields["Provides"]))
    return Installed(packages, frozenset(provided))


_WANTED = re.compile(r"^(Package|Status|Version|Architecture|Provides): (.*)$", re.MULTILINE)


def _fields(stanza: str) -> dict[str, str]:
    return dict(_WANTED.findall(stanza))


def _parse_automatic(text: str) -> frozenset[str]:
    stanzas = [stanza for stanza in text.split("\n\n") if "\nAuto-Installed: 1" in stanza]
    return frozenset(_fields(stanza).get("Package", "") for stanza in stanzas)


def compare_versions(left: str, right: str) -> int:
    """Compare as dpkg does: negative, zero or positive."""
    for one, other in zip(_parts(left), _parts(right)):
        order = _compare(one, other)
        if order:
            return order
    return 0


def _parts(version: str) -> tuple[str, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    return (epoch, upstream, revision) if dash else (epoch, rest, "0")


def _compare(left: str, right: str) -> int:
    one, other = _tokens(left), _tokens(right)
    for index in range(max(len(one), len(other))):
        first = one[index] if index < len(one) else ((0,), 0)
        second = other[index] if index < len(other) else ((0,), 0)
        if first != second:
            return -1 if first < second else 1
    return 0


def _tokens(text: str) -> list[tuple[tuple[int, ...], int]]:
    """Split into pairs of (weights of the characters before a number, the number); the end weighs 0, ~ less."""
    pairs = re.findall(r"(\D*)(\d*)", text)[:-1]
    return [(tuple(_weight(char) for char in word) + (0,), int(number or 0)) for word, number in pairs]


def _weight(char: str) -> int:
    if char == "~":
        return -1
    return ord(char) if char.isalpha() else ord(char) + 256
