"""The plays that both engines run, each in a folder of its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CASES = Path(__file__).parent / "cases"
VERDICTS = Path(__file__).parent / "verdicts"
STANDINS = Path(__file__).parents[1] / "standins"
REQUIREMENT = "ansible-core==2.19.*"
# Counted into every digest: raise it when what a verdict says is taken in another way.
FORMAT = 1
_TWICE = ((), ())
_NOT_PLAYED = frozenset({"known.yml"})


@dataclass(frozen=True, slots=True)
class Known:
    """A difference that is told in docs/playbooks.md: these lines of Ansible's stand against ours."""

    run: int
    ansible: tuple[str, ...]
    r1fleet: tuple[str, ...]
    because: str


@dataclass(frozen=True, slots=True)
class Case:
    """One play: ``site.yml`` and what it needs, run once with each of ``runs``, options that both engines know.

    ``collections`` asks for an Ansible that has community.general and ansible.posix, ``dressed`` for a
    RHEL-like host with dnf, ``slow`` leaves the case to ``make test-all``.
    """

    name: str
    folder: Path
    runs: tuple[tuple[str, ...], ...]
    known: tuple[Known, ...] = ()
    collections: bool = False
    dressed: bool = False
    slow: bool = False

    @property
    def verdict(self) -> Path:
        """The file that holds what Ansible did."""
        return VERDICTS / f"{self.name}.json"

    def digest(self) -> str:
        """Return what changes with the play, its runs, and the Ansible that judges it."""
        seen = hashlib.sha256(f"{FORMAT} {REQUIREMENT}".encode())
        for path in sorted(STANDINS.glob("rpm*.py")) if self.dressed else ():
            seen.update(path.read_bytes())
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and path.name not in _NOT_PLAYED:
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                seen.update(f"\n{path.relative_to(self.folder)} {content}".encode())
        return seen.hexdigest()


def cases() -> list[Case]:
    """Return all cases, by name."""
    return [_read(path.parent) for path in sorted(CASES.glob("*/site.yml"))]


def _read(folder: Path) -> Case:
    settings = _content(folder / "case.yml") or {}
    runs = tuple(tuple(str(word) for word in run) for run in settings.get("runs", _TWICE))
    known = tuple(
        Known(row["run"], tuple(row.get("ansible", ())), tuple(row.get("r1fleet", ())), row["because"])
        for row in _content(folder / "known.yml") or ()
    )
    told = {name: bool(settings.get(name)) for name in ("collections", "dressed", "slow")}
    return Case(folder.name, folder, runs, known, **told)


def _content(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) if path.exists() else None
