"""What another plan would change, or another image of the same name, as lines a person can read."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable, Iterator, Mapping

from r1fleet.errors import UsageError
from r1fleet.events import Note
from r1fleet.status.judge import DEGRADED
from r1fleet.status.record import DeploymentRecord
from r1fleet.status.survey import Survey


def differs(old: DeploymentRecord, new: DeploymentRecord, state: str) -> UsageError:
    """Refuse a launch where something else runs: show what runs, and what was asked for."""
    before, after = list(_described(old)), list(_described(new))
    diff = difflib.unified_diff(before, after, "running", "asked for", lineterm="", n=0)
    rows = [f"  {row}" for row in diff if row[:2] != "@@"]
    what = "this very plan" if old.digest == new.digest else "another plan"
    head = f"{old.name} is {state} with {what} (generation {old.generation}, by {old.by})"
    return UsageError("\n".join([head, *rows]), hint=_hint(old, state))


def moved(old: DeploymentRecord, images: Mapping[str, str], remedy: str = "") -> Iterator[Note]:
    """Tell where the name of an image means another one than when ``old`` was launched; ``images`` are by host."""
    told = {(rank.host, rank.image, rank.digest) for rank in old.ranks}
    for host, image, digest in sorted(told):
        now = images.get(host, "")
        if digest and now and now != digest:
            was = f"generation {old.generation} was launched with {digest[:12]}"
            yield Note(f"{image} means {now[:12]} now, {was}{remedy}", "warning", host)


def meanings(record: DeploymentRecord, seen: Survey) -> dict[str, str]:
    """Collect what the name of the image means now on each host of a generation."""
    return {host: rank.means for host, view in seen.current_views(record).items() for rank in view.ranks if rank.means}


def _hint(old: DeploymentRecord, state: str) -> str:
    look = f"r1fleet status {old.name} tells why; " if state == DEGRADED else ""
    return f"{look}r1fleet launch {old.name} --replace stops it first, then launches this plan"


def _described(record: DeploymentRecord) -> Iterable[str]:
    yield from record.settings
    for rank in record.ranks:
        yield f"rank {rank.rank} on {rank.host} ({rank.address})"
        yield from (f"    {word}" for word in shlex.split(rank.command))
