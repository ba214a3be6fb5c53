"""Tell the state of ranks and of whole deployments from what their hosts say; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from r1fleet.status.record import Current, DeploymentRecord, RankRecord
from r1fleet.status.view import DeploymentView, GangView, RankView

STARTING, READY, DEGRADED, FAILED, STOPPED, UNKNOWN = "starting", "ready", "degraded", "failed", "stopped", "unknown"
RUNNING, DONE = "running", "done"
"""A job's own states: its ranks have met; all of them have ended with 0."""
STANDING = frozenset({STARTING, READY, RUNNING, DEGRADED})
"""States in which something of a generation runs."""

CONSEQUENCE = re.compile(
    r"(closed|reset|broken) by peer|peer has gone|connection (was )?(closed|reset|refused|lost)|broken pipe"
    r"|recvValue failed|TCPStore|DistStoreError|remote process|timed? ?out|EngineDeadError|cancelled",
    re.IGNORECASE,
)
"""What a rank says when another rank has gone; the cause stands in the other rank's log."""

SILENT = "its host does not answer"
NOTHING: Mapping[str, str] = MappingProxyType({})


def rank_state(
    rank: RankRecord,
    view: DeploymentView | None,
    *,
    ready: bool,
    absent: Mapping[str, str] = NOTHING,
    job: bool = False,
) -> tuple[str, str]:
    """Tell one rank's state and a detail.

    ``ready``: its gang has answered; ``absent``: why hosts have no view; ``job``: it may end, with 0.
    """
    if view is None or view.current is None:
        return UNKNOWN, absent.get(rank.host, SILENT) if view is None else "its host knows nothing of it"
    seen = find_rank(view, rank)
    if seen is None:
        return UNKNOWN, view.problem or "its host holds another generation"
    if seen.alive:
        return (READY, "") if ready else ("running", "")
    if view.current.state == STOPPED or seen.name in view.current.stopped:
        why = "" if view.current.state == STOPPED else "with the others"
        return STOPPED, f"{seen.processes} processes are left" if seen.processes else why
    if job and seen.done:
        return DONE, ""
    return FAILED, ended(seen, rebooted=view.rebooted)


def ended(rank: RankView, *, rebooted: bool = False) -> str:
    """Say how a rank's process came to its end."""
    if rebooted:
        return "is not running: its host has rebooted"
    result = rank.exit_text.split(" ")[0] if rank.exit_text and not rank.exit_text.startswith("{") else ""
    if rank.process.status is not None:
        return f"ended with status {rank.process.status}" + (f" ({result})" if result else "")
    return "has ended" if rank.exit_text else "is not running"


def drifted(rank: RankRecord, view: DeploymentView) -> str:
    """Say where the name of a rank's image has come to mean another one than it was launched with."""
    seen = find_rank(view, rank)
    if seen is None or not rank.digest or seen.means in ("", rank.digest):
        return ""
    return f"{rank.image} means {seen.means[:12]} now, launched with {rank.digest[:12]}"


def find_rank(view: DeploymentView, rank: RankRecord) -> RankView | None:
    """Find a rank in its host's answer."""
    return next((seen for seen in view.ranks if seen.name == rank.name), None)


def gangs_of(views: Iterable[DeploymentView]) -> dict[int, GangView]:
    """Collect what the leaders' judges say, by replica."""
    return {gang.replica: gang for view in views for gang in view.gangs}


def deployment_state(
    record: DeploymentRecord, views: Mapping[str, DeploymentView], absent: Mapping[str, str] = NOTHING
) -> tuple[str, str]:
    """Tell a deployment's state and why; ``views`` are the hosts that answered, ``absent`` says why others did not."""
    marker = newest(view.current for view in views.values())
    gangs = gangs_of(views.values())
    if marker is not None and marker.state in (STOPPED, FAILED):
        return marker.state, marker.detail
    if record.kind == "job":
        return _job_state(record, views, absent)
    failed = [f"replica {replica}: {gang.failed['what']}" for replica, gang in gangs.items() if gang.failed]
    ready = all(gang.replica in gangs and gangs[gang.replica].ready for gang in record.gangs)
    missing = _missing(record, views, absent)
    if failed:
        return FAILED, "; ".join(failed)
    if ready:
        return (FAILED if _all_dead(record, views) else DEGRADED, missing) if missing else (READY, "")
    if missing:
        silent = all(rank.host not in views for rank in record.ranks if _gone(rank, views))
        return (UNKNOWN if silent else FAILED), missing
    phases = ", ".join(sorted({gang.phase for gang in gangs.values() if gang.phase}))
    return STARTING, phases


def _job_state(
    record: DeploymentRecord, views: Mapping[str, DeploymentView], absent: Mapping[str, str]
) -> tuple[str, str]:
    """Tell a job's state from how its ranks have ended, or have not."""
    gangs = gangs_of(views.values())
    failed = [f"replica {replica}: {gang.failed['what']}" for replica, gang in gangs.items() if gang.failed]
    rows: dict[str, list[str]] = {FAILED: [], UNKNOWN: [], DONE: []}
    for rank in record.ranks:
        state, detail = rank_state(rank, views.get(rank.host), ready=False, absent=absent, job=True)
        if state in rows:
            rows[state].append(f"rank {rank.rank} on {rank.host}: {detail}")
    if len(rows[DONE]) == len(record.ranks):
        return DONE, ""
    if failed or rows[FAILED]:
        return FAILED, "; ".join(failed + rows[FAILED])
    if rows[UNKNOWN]:
        return UNKNOWN, "; ".join(rows[UNKNOWN])
    met = all(gang.phase == RUNNING for gang in gangs.values())
    return (RUNNING, "") if met else (STARTING, ", ".join(sorted({gang.phase for gang in gangs.values()})))


def _all_dead(record: DeploymentRecord, views: Mapping[str, DeploymentView]) -> bool:
    """Tell whether every rank was seen, and none of them runs."""
    return all(rank.host in views and _gone(rank, views) for rank in record.ranks)


def newest(markers: Iterable[Current | None]) -> Current | None:
    """Pick the marker of the newest generation, and of those the one written last."""
    known = [marker for marker in markers if marker is not None]
    return max(known, key=lambda marker: (marker.generation, marker.time), default=None)


def _missing(record: DeploymentRecord, views: Mapping[str, DeploymentView], absent: Mapping[str, str]) -> str:
    rows = []
    for rank in record.ranks:
        if _gone(rank, views):
            _, detail = rank_state(rank, views.get(rank.host), ready=False, absent=absent)
            rows.append(f"rank {rank.rank} on {rank.host}: {detail}")
    return "; ".join(rows)


def _gone(rank: RankRecord, views: Mapping[str, DeploymentView]) -> bool:
    seen = find_rank(views[rank.host], rank) if rank.host in views else None
    return seen is None or not seen.alive
