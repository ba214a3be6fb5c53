"""Which rank failed first, and how to say it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from r1fleet.engines import Progress
from r1fleet.errors import ExitCode, HostFailed, Where
from r1fleet.status.judge import CONSEQUENCE, ended, find_rank
from r1fleet.status.record import DeploymentRecord, RankRecord
from r1fleet.status.view import DeploymentView, RankView

ADVICE: Mapping[str, str] = MappingProxyType(
    {
        "rendezvous": "r1fleet preflight tries every way between hosts; raise timeouts.rendezvous if only time lacks",
        "loading": "look at how fast the last rank reads its weights; raise timeouts.load if only time lacks",
        "answering": "the first answer may compile kernels: raise timeouts.ready if only time lacks",
    }
)
"""What to do when a phase has run out, by its name."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What ended a launch: the rank to blame (None when a judge or a host is), why, and what it wrote last."""

    host: str
    rank: int | None
    reason: str
    first_error: str = ""
    lines: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    unreachable: bool = False
    advice: str = ""


class GangFailed(HostFailed):
    """A launch has failed; every rank was stopped, or is named as not confirmed."""

    def __init__(self, deployment: str, failure: Failure, left: Mapping[str, str]) -> None:
        self.failure = failure
        self.left = dict(left)
        who = f"rank {failure.rank} " if failure.rank is not None else ""
        rank = f" --rank {failure.rank}" if failure.rank is not None else ""
        super().__init__(
            "\n".join(_rows(f"{deployment}: {who}{failure.reason}", failure, left)),
            where=Where(host=failure.host),
            hint="; ".join(
                [
                    *([failure.advice] if failure.advice else []),
                    f"r1fleet logs {deployment}{rank}",
                    *([f"r1fleet stop {deployment}"] if left else []),
                ]
            ),
        )
        if failure.unreachable:
            self.exit_code = ExitCode.UNREACHABLE


def first_dead(record: DeploymentRecord, views: Mapping[str, DeploymentView]) -> Failure | None:
    """Find the rank to blame once one has ended: the one that ended first.

    A rank whose first error only tells that another one went away is blamed when nothing better is known.
    """
    seen = [(rank, found) for rank in record.ranks if (found := _seen(rank, views)) is not None]
    job = record.kind == "job"
    dead = [(rank, found) for rank, found in seen if not found.alive and not (job and found.done)]
    if not dead:
        return None
    causes = [row for row in dead if not _follows(row[1])]
    causes = causes or [row for row in seen if row[1].log["first_error"] and not _follows(row[1])] or dead
    rank, found = max(causes, key=lambda row: row[1].exit_age or 0.0)
    reason = "has failed" if found.alive else ended(found, rebooted=views[rank.host].rebooted)
    return _failure(record, views, rank, reason)


def _follows(rank: RankView) -> bool:
    return bool(CONSEQUENCE.search(rank.log["first_error"]))


def _seen(rank: RankRecord, views: Mapping[str, DeploymentView]) -> RankView | None:
    return find_rank(views[rank.host], rank) if rank.host in views else None


def judged(
    record: DeploymentRecord,
    views: Mapping[str, DeploymentView],
    replica: int,
    told: Mapping[str, Any],
    far: Mapping[str, Progress],
) -> Failure:
    """Blame the rank whose address a judge's words name; else the last one on its way; else rank 0."""
    ranks = [rank for rank in record.ranks if rank.replica == replica]
    phase = str(told.get("phase", ""))
    words = re.split(r"[\s,]+", told["what"])
    named = next((rank for rank in ranks if rank.rank and rank.address in words), None)
    rank = named or (_last(ranks, far) if phase == "loading" else ranks[0])
    failure = _failure(record, views, rank, f"never came up: {told['what']}")
    places = [f"rank {one.rank} on {one.host} came as far as: {far[one.name]}" for one in ranks if one.name in far]
    return replace(failure, others=(*failure.others, *places), advice=ADVICE.get(phase, ""))


def _last(ranks: Sequence[RankRecord], far: Mapping[str, Progress]) -> RankRecord:
    """Return the rank that is least far; where none is behind the others, the one that serves."""
    orders = {rank.rank: far[rank.name].order if rank.name in far else (0, 0.0) for rank in ranks}
    return min(ranks, key=lambda rank: (orders[rank.rank], rank.rank))


def _failure(record: DeploymentRecord, views: Mapping[str, DeploymentView], rank: RankRecord, reason: str) -> Failure:
    seen = _seen(rank, views)
    first, lines = (seen.log["first_error"], tuple(seen.log["tail"])) if seen else ("", ())
    return Failure(rank.host, rank.rank, reason, first, lines, _others(record, views, rank))


def _others(record: DeploymentRecord, views: Mapping[str, DeploymentView], blamed: RankRecord) -> tuple[str, ...]:
    rows = []
    for rank in record.ranks:
        seen = _seen(rank, views) if rank != blamed else None
        if seen is not None and seen.log["first_error"]:
            rows.append(f"rank {rank.rank} on {rank.host}: {seen.log['first_error']}")
    return tuple(rows)


def _rows(head: str, failure: Failure, left: Mapping[str, str]) -> Sequence[str]:
    rows = [head]
    if failure.first_error:
        rows.append(f"  first error in its log: {failure.first_error}")
    if failure.lines:
        rows.append("  the end of its log:")
        rows += [f"    | {line}" for line in failure.lines]
    rows += [f"  also: {other}" for other in failure.others]
    if left:
        rows.append("  not confirmed stopped:")
        rows += [f"    {host}: {why}" for host, why in left.items()]
    else:
        rows.append("  all ranks have been stopped")
    return rows
