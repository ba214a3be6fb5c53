"""Which rank failed first, and how to say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from r1fleet.errors import ExitCode, HostFailed, Where
from r1fleet.status.judge import ended, find_rank
from r1fleet.status.record import DeploymentRecord, RankRecord
from r1fleet.status.view import DeploymentView, RankView


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
            hint=f"r1fleet logs {deployment}{rank}" + (f"; r1fleet stop {deployment}" if left else ""),
        )
        if failure.unreachable:
            self.exit_code = ExitCode.UNREACHABLE


def first_dead(record: DeploymentRecord, views: Mapping[str, DeploymentView]) -> Failure | None:
    """Find the rank that ended first: the oldest exit record, then rank order."""
    dead: list[tuple[float, int, RankRecord, RankView]] = []
    for index, rank in enumerate(record.ranks):
        view = views.get(rank.host)
        seen = find_rank(view, rank) if view else None
        if seen is not None and not seen.alive:
            dead.append((-(seen.exit_age or 0.0), index, rank, seen))
    if not dead:
        return None
    _, _, rank, seen = min(dead, key=lambda row: row[:2])
    return Failure(
        host=rank.host,
        rank=rank.rank,
        reason=ended(seen, rebooted=views[rank.host].rebooted),
        first_error=seen.log["first_error"],
        lines=tuple(seen.log["tail"]),
        others=_others(record, views, rank),
    )


def judged(record: DeploymentRecord, views: Mapping[str, DeploymentView], replica: int, what: str) -> Failure:
    """Blame the rank that a judge's words point at: the one whose address it names, else rank 0."""
    ranks = [rank for rank in record.ranks if rank.replica == replica]
    named = [rank for rank in ranks if rank.rank and rank.address in what.replace(",", " ").split()]
    rank = named[0] if named else ranks[0]
    view = views.get(rank.host)
    seen = find_rank(view, rank) if view else None
    return Failure(
        host=rank.host,
        rank=rank.rank,
        reason=f"never came up: {what}",
        first_error=seen.log["first_error"] if seen else "",
        lines=tuple(seen.log["tail"]) if seen else (),
        others=_others(record, views, rank),
    )


def _others(record: DeploymentRecord, views: Mapping[str, DeploymentView], blamed: RankRecord) -> tuple[str, ...]:
    rows = []
    for rank in record.ranks:
        view = views.get(rank.host)
        seen = find_rank(view, rank) if view and rank != blamed else None
        if seen is not None and seen.log["first_error"]:
            rows.append(f"rank {rank.rank} on {rank.host}: {seen.log['first_error']}")
    return tuple(rows)


def _rows(head: str, failure: Failure, left: Mapping[str, str]) -> Sequence[str]:
    rows = [head]
    if failure.first_error:
        rows.append(f"  first error in its log: {failure.first_error}")
    if failure.lines:
        rows.append(f"  last {len(failure.lines)} lines of its log:")
        rows += [f"    | {line}" for line in failure.lines]
    rows += [f"  also: {other}" for other in failure.others]
    if left:
        rows.append("  not confirmed stopped:")
        rows += [f"    {host}: {why}" for host, why in left.items()]
    else:
        rows.append("  all ranks have been stopped")
    return rows
