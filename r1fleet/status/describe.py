"""Turn what hosts have answered into rows; pure."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from r1fleet.errors import HostUnreachable
from r1fleet.inventory import Inventory
from r1fleet.status.judge import (
    DONE,
    FAILED,
    READY,
    RUNNING,
    STARTING,
    STOPPED,
    deployment_state,
    drifted,
    find_rank,
    gangs_of,
    newest,
    rank_state,
)
from r1fleet.status.record import DeploymentRecord, GangRecord, RankRecord
from r1fleet.status.rows import DeploymentRow, GangRow, HostRow, RankRow
from r1fleet.status.survey import Survey
from r1fleet.status.view import DeploymentView, GangView

_KEY = "api_key: "


def deployment_row(inventory: Inventory, name: str, seen: Survey) -> DeploymentRow:
    """Describe one deployment."""
    record = seen.record(name)
    lock = next((_lock_text(view) for view in seen.views(name).values() if view.lock is not None), "")
    if record is None:
        problems = [f"{host}: {view.problem}" for host, view in seen.views(name).items() if view.problem]
        state = FAILED if problems else "locked"
        doing = "models are being brought" if name in _reserved() else "nothing has been started yet"
        return DeploymentRow(inventory.name, name, state, "; ".join(problems) or doing, lock=lock)
    views = seen.current_views(record)
    state, detail = deployment_state(record, views, seen.absent(record))
    judged = gangs_of(views.values())
    since, age = _written(seen, views)
    return DeploymentRow(
        cluster=record.cluster,
        name=name,
        state=state,
        detail="" if state == STARTING else detail,
        generation=record.generation,
        kind=record.kind,
        engine=record.engine,
        runtime=record.runtime,
        model=record.model,
        endpoints=record.endpoints,
        by=record.by,
        since=since,
        age=age,
        phase=detail if state == STARTING else "",
        lock=lock,
        sample=next((str(gang.ready["text"]) for gang in judged.values() if gang.ready and state == READY), ""),
        api_key=_key_reference(record),
        ranks=tuple(_rank(record, rank, seen) for rank in record.ranks),
        gangs=tuple(_gang(record, gang, judged.get(gang.replica), inventory) for gang in record.gangs),
    )


def host_row(cluster: str, host: str, seen: Survey) -> HostRow:
    """Describe one host."""
    error = seen.lost.get(host)
    if error is None:
        return HostRow(cluster, host, "ok", strays=seen.hosts[host].strays)
    state = "unreachable" if isinstance(error, HostUnreachable) else "failed"
    return HostRow(cluster, host, state, error.what, hint=error.hint or "")


def nothing(inventories: Sequence[Inventory], hosts: Sequence[HostRow], deployments: Sequence[str]) -> str:
    """Say in one sentence that there is nothing to show."""
    names = ", ".join(inventory.name for inventory in inventories)
    away = sum(host.state != "ok" for host in hosts)
    if away == len(hosts):
        return f"No host of {names} answered."
    what = f"Nothing called {' or '.join(deployments)}" if deployments else "Nothing"
    return f"{what} has been launched on {names}." + (f" {away} of {len(hosts)} hosts did not answer." if away else "")


def _reserved() -> Sequence[str]:
    # What deployments may say takes long to import, and is asked for only where nothing of one is known.
    return tuple(importlib.import_module("r1fleet.spec.read").RESERVED)


def _written(seen: Survey, views: Mapping[str, DeploymentView]) -> tuple[float, float]:
    """Return when the state was last written, and how long ago that is by the clock of the host that wrote it."""
    marker = newest(view.current for view in views.values())
    if marker is None:
        return 0.0, 0.0
    host = next(host for host, view in views.items() if view.current == marker)
    return marker.time, max(0.0, seen.hosts[host].now - marker.time)


def _rank(record: DeploymentRecord, rank: RankRecord, seen: Survey) -> RankRow:
    view = seen.current_views(record).get(rank.host)
    ready, job = _ready(record, rank, seen), record.kind == "job"
    state, detail = rank_state(rank, view, ready=ready, absent=seen.absent(record), job=job)
    found = find_rank(view, rank) if view else None
    row = RankRow(rank.rank, rank.replica, rank.host, rank.address, state, detail)
    if view is None or found is None:
        return row
    return replace(
        row,
        phase=_far(record.engine, found.log["tail"]) if state == RUNNING else "",
        pid=found.process.pid,
        image=found.process.image,
        digest=rank.digest,
        means=found.means,
        detail=detail or (drifted(rank, view) if found.alive else ""),
        seconds=found.seconds,
        resident=found.resident,
        gpus=found.gpus,
        first_error="" if state in (READY, STOPPED, DONE) else found.log["first_error"],
    )


def _far(engine: str, lines: Sequence[str]) -> str:
    # Engines take longer to import than all the rest of a status, and are asked only of ranks on their way.
    return str(importlib.import_module("r1fleet.engines").progress(engine, lines) or "")


def _ready(record: DeploymentRecord, rank: RankRecord, seen: Survey) -> bool:
    gang = gangs_of(seen.current_views(record).values()).get(rank.replica)
    return bool(gang and gang.ready)


def _gang(record: DeploymentRecord, gang: GangRecord, view: GangView | None, inventory: Inventory) -> GangRow:
    index = record.gangs.index(gang)
    return GangRow(
        replica=gang.replica,
        leader=gang.leader,
        endpoint=record.endpoints[index] if index < len(record.endpoints) else "",
        ready=bool(view and view.ready),
        phase=view.phase if view and not view.ready else "",
        completion_age=view.completion_age if view else None,
        via=_via(inventory, gang.leader),
    )


def _via(inventory: Inventory, name: str) -> str:
    host = inventory.hosts.get(name)
    if host is None:
        return name
    user = host.variables.get("ansible_user") or host.variables.get("ansible_ssh_user")
    address = host.variables.get("ansible_host") or name
    return f"{user}@{address}" if user else str(address)


def _key_reference(record: DeploymentRecord) -> Mapping[str, Any] | None:
    """Find where the API key is to be had, as the deployment said when it was launched."""
    text = next((line.removeprefix(_KEY) for line in record.settings if line.startswith(_KEY)), "null")
    reference = json.loads(text)
    return {name: value for name, value in reference.items() if value} if isinstance(reference, dict) else None


def _lock_text(view: DeploymentView) -> str:
    lock = view.lock or {}
    return f"{lock.get('by', 'someone')} on {view.host}"
