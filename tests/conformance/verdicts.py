"""What Ansible did with a target, kept in the cache: places and statuses, none of the targets' text."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from r1fleet.cache import cache_dir, write_atomic
from tests.conformance.targets import Target
from tests.conformance.transcript import Step

# Counted into every key: raise it when what is kept is taken in another way.
_FORMAT = 2


def save(target: Target, engine: str, steps: tuple[Step, ...]) -> None:
    """Keep a verdict."""
    lines = [[step.place, *step.statuses] for step in steps]
    write_atomic(_path(target, engine), json.dumps(lines, indent=0) + "\n")


def saved(target: Target, engine: str) -> tuple[Step, ...] | None:
    """Return the verdict of this engine on this target, if it is kept."""
    path = _path(target, engine)
    if not path.exists():
        return None
    return tuple(Step(place, tuple(statuses)) for place, *statuses in json.loads(path.read_text()))


def _path(target: Target, engine: str) -> Path:
    asked = (target.name, target.needs, target.network, target.playbooks)
    key = hashlib.sha256(f"{_FORMAT} {engine} {asked}".encode()).hexdigest()[:12]
    return cache_dir("conformance", "verdicts") / f"{target.name}-{key}.json"
