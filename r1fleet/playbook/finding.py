"""Finds roles and playbooks below a path, and the files that belong to each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from r1fleet.errors import FleetError
from r1fleet.inventory.source import Block as Written
from r1fleet.inventory.source import load_yaml

_YAML = (".yml", ".yaml")
# Not what a role or a tree of them does, but how others test or document it.
_ASIDE = frozenset({"molecule", "tests", "docs", "node_modules", "__pycache__"})


@dataclass(frozen=True, slots=True)
class Found:
    """One role (``path`` is its folder), or one playbook or file of tasks."""

    path: Path
    tasks: tuple[Path, ...] = ()
    plays: tuple[Path, ...] = ()
    variables: tuple[Path, ...] = ()
    templates: tuple[Path, ...] = ()


def find(path: Path) -> Iterator[Found]:
    """Yield what a path holds: a role, a playbook, a file of tasks, or all roles and playbooks of a tree."""
    if path.is_file():
        yield Found(path, plays=(path,)) if is_playbook(path) else Found(path, tasks=(path,))
    elif is_role(path):
        yield role(path)
    else:
        yield from _tree(path)


def is_role(path: Path) -> bool:
    """Tell a role's folder."""
    return any((path / folder).is_dir() and any(_below(path / folder)) for folder in ("tasks", "handlers"))


def role(path: Path) -> Found:
    """Return a role's files."""
    return Found(
        path,
        tasks=tuple(file for folder in ("tasks", "handlers") for file in _below(path / folder)),
        variables=tuple(file for folder in ("defaults", "vars", "meta") for file in _below(path / folder)),
        templates=tuple(sorted((path / "templates").rglob("*.j2"))),
    )


def is_playbook(path: Path) -> bool:
    """Tell a playbook from other YAML files; one that cannot be read is none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        if not any(word in text for word in ("hosts:", "import_playbook:")):
            return False
        written = load_yaml(path, "playbook")
    except (FleetError, OSError):
        return False
    return isinstance(written, list) and any(
        isinstance(item, Written) and ("hosts" in item or any(str(key).endswith("import_playbook") for key in item))
        for item in written
    )


def _tree(path: Path) -> Iterator[Found]:
    for name, folders, files in os.walk(path):
        here = Path(name)
        if here != path and is_role(here):
            folders.clear()
            yield role(here)
            continue
        folders[:] = sorted(each for each in folders if each not in _ASIDE and not each.startswith("."))
        for file in sorted(files):
            if file.endswith(_YAML) and is_playbook(here / file):
                yield Found(here / file, plays=(here / file,))


def _below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in _YAML and path.is_file())
