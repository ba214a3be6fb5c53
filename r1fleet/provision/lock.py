"""Lock files: exact versions of every package of an engine's environment."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from r1fleet.errors import UsageError, Where

_LOCKS = Path(__file__).parent / "locks"
_PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9][A-Za-z0-9._+!-]*)")


@dataclass(frozen=True, slots=True)
class Pin:
    """One package at one version."""

    name: str
    version: str

    def __str__(self) -> str:
        """Spell as pip reads it."""
        return f"{self.name}=={self.version}"

    @property
    def stem(self) -> str:
        """The name as wheels' file names begin."""
        return re.sub(r"[-_.]+", "_", self.name).lower()


@dataclass(frozen=True, slots=True)
class Lock:
    """All packages of one environment; ``digest`` changes when a version does."""

    name: str
    pins: tuple[Pin, ...]

    @property
    def digest(self) -> str:
        """A short sha256 over the pins, in an order of its own."""
        text = "\n".join(sorted(str(pin).lower() for pin in self.pins))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def packaged_locks() -> tuple[str, ...]:
    """Name the lock files that come with r1fleet."""
    return tuple(sorted(path.stem for path in _LOCKS.glob("*.txt")))


def packaged_lock(name: str) -> Lock:
    """Read one of the lock files that come with r1fleet."""
    path = _LOCKS / f"{name}.txt"
    if not path.is_file():
        raise UsageError(f"there is no lock file {name!r}", hint=f"known: {', '.join(packaged_locks())}")
    return read_lock(path)


def read_lock(path: Path) -> Lock:
    """Read a lock file: one ``name==version`` a line, ``#`` begins a comment."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"cannot read the lock file {path}: {error.strerror}") from error
    pins = []
    for number, line in enumerate(lines, start=1):
        text = line.split("#", 1)[0].strip()
        if not text:
            continue
        match = _PIN.fullmatch(text)
        if match is None:
            raise UsageError(
                f"{text!r} is no exact version", where=Where(str(path), number), hint="write one name==version a line"
            )
        pins.append(Pin(match["name"], match["version"]))
    if not pins:
        raise UsageError(f"the lock file {path} names no package")
    return Lock(path.stem, tuple(pins))
