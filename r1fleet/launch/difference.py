"""What another plan would change, as lines a person can read."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable

from r1fleet.errors import UsageError
from r1fleet.status.judge import DEGRADED
from r1fleet.status.record import DeploymentRecord


def differs(old: DeploymentRecord, new: DeploymentRecord, state: str) -> UsageError:
    """Refuse a launch where something else runs: show what runs, and what was asked for."""
    before, after = list(_described(old)), list(_described(new))
    diff = difflib.unified_diff(before, after, "running", "asked for", lineterm="", n=0)
    rows = [f"  {row}" for row in diff if row[:2] != "@@"]
    what = "this very plan" if old.digest == new.digest else "another plan"
    head = f"{old.name} is {state} with {what} (generation {old.generation}, by {old.by})"
    return UsageError("\n".join([head, *rows]), hint=_hint(old, state))


def _hint(old: DeploymentRecord, state: str) -> str:
    look = f"r1fleet status {old.name} tells why; " if state == DEGRADED else ""
    return f"{look}r1fleet launch {old.name} --replace stops it first, then launches this plan"


def _described(record: DeploymentRecord) -> Iterable[str]:
    yield from record.settings
    for rank in record.ranks:
        yield f"rank {rank.rank} on {rank.host} ({rank.address})"
        yield from (f"    {word}" for word in shlex.split(rank.command))
