"""The status use case: every cluster, deployment and rank as plain rows."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

from r1fleet.errors import ExitCode, FleetError, HostUnreachable
from r1fleet.inventory import Inventory
from r1fleet.spec.read import RESERVED
from r1fleet.status.contact import Access, Contact
from r1fleet.status.judge import (
    DEGRADED,
    DONE,
    FAILED,
    READY,
    STARTING,
    STOPPED,
    UNKNOWN,
    deployment_state,
    find_rank,
    gangs_of,
    newest,
    rank_state,
)
from r1fleet.status.record import DeploymentRecord, RankRecord
from r1fleet.status.survey import Survey, survey
from r1fleet.status.view import DeploymentView

PROBE_PROMPT = "Say hello."


@dataclass(frozen=True, slots=True)
class StatusOptions:
    """What to look at; ``probe`` asks every ready endpoint for a real completion."""

    deployments: tuple[str, ...] = ()
    probe: bool = False
    lines: int = 40


@dataclass(frozen=True, slots=True)
class RankRow:
    """One rank."""

    rank: int
    replica: int
    host: str
    address: str
    state: str
    detail: str
    pid: int | None = None
    seconds: float = 0.0
    resident: int = 0
    first_error: str = ""


@dataclass(frozen=True, slots=True)
class ProbeRow:
    """What an endpoint answered just now."""

    replica: int
    ok: bool
    text: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class DeploymentRow:
    """One deployment of one cluster."""

    cluster: str
    name: str
    state: str
    detail: str
    generation: int = 0
    engine: str = ""
    model: str = ""
    endpoints: tuple[str, ...] = ()
    by: str = ""
    since: float = 0.0
    phase: str = ""
    lock: str = ""
    sample: str = ""
    ranks: tuple[RankRow, ...] = ()
    probes: tuple[ProbeRow, ...] = ()


@dataclass(frozen=True, slots=True)
class HostRow:
    """One host: whether it answered, and what runs there that no plan on it names."""

    cluster: str
    host: str
    state: str
    detail: str = ""
    strays: tuple[str, ...] = ()
    hint: str = ""


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The whole answer; ``message`` is one sentence where there is nothing to list."""

    deployments: tuple[DeploymentRow, ...]
    hosts: tuple[HostRow, ...]
    message: str = ""

    @property
    def exit_code(self) -> ExitCode:
        """0 when all is well or nothing was launched, 4 when a host is unreachable, 2 when something failed."""
        if any(host.state == "unreachable" for host in self.hosts):
            return ExitCode.UNREACHABLE
        bad = any(row.state in (FAILED, DEGRADED, UNKNOWN) or not _probed(row) for row in self.deployments)
        return ExitCode.HOST_FAILED if bad or any(host.state != "ok" for host in self.hosts) else ExitCode.OK

    def as_json(self) -> dict[str, Any]:
        """Turn into plain data."""
        return {"schema": 1, **asdict(self)}


def status(inventories: Sequence[Inventory], access: Access, options: StatusOptions) -> StatusReport:
    """Look at every host of every inventory, one round trip each; a host that is away is a row."""
    if not inventories:
        return StatusReport(
            (), (), "No cluster is known here: nothing was provisioned or launched from this controller."
        )
    with ThreadPoolExecutor(max_workers=len(inventories)) as pool:
        parts = list(pool.map(lambda inventory: _cluster(inventory, access, options), inventories))
    rows = tuple(row for part in parts for row in part[0])
    hosts = tuple(host for part in parts for host in part[1])
    return StatusReport(rows, hosts, "" if rows else _nothing(inventories, hosts, options.deployments))


def _cluster(inventory: Inventory, access: Access, options: StatusOptions) -> tuple[list[DeploymentRow], list[HostRow]]:
    with Contact(access, inventory.hosts.values()) as contact:
        seen = survey(contact, lines=options.lines, strays=True)
        names = [name for name in seen.names() if not options.deployments or name in options.deployments]
        rows = [_deployment(inventory.name, name, seen) for name in names]
        if options.probe:
            rows = [_with_probes(row, seen, contact) for row in rows]
    return rows, [_host(inventory.name, host, seen) for host in inventory.hosts]


def _deployment(cluster: str, name: str, seen: Survey) -> DeploymentRow:
    record = seen.record(name)
    lock = next((_lock_text(view) for view in seen.views(name).values() if view.lock is not None), "")
    if record is None:
        problems = [f"{host}: {view.problem}" for host, view in seen.views(name).items() if view.problem]
        state = FAILED if problems else "locked"
        doing = "models are being brought" if name in RESERVED else "nothing has been started yet"
        return DeploymentRow(cluster, name, state, "; ".join(problems) or doing, lock=lock)
    views = seen.current_views(record)
    absent = seen.absent(record)
    state, detail = deployment_state(record, views, absent)
    gangs = gangs_of(views.values())
    marker = newest(view.current for view in views.values())
    return DeploymentRow(
        cluster=record.cluster,
        name=name,
        state=state,
        detail="" if state == STARTING else detail,
        generation=record.generation,
        engine=record.engine,
        model=record.model,
        endpoints=record.endpoints,
        by=record.by,
        since=marker.time if marker else 0.0,
        phase=detail if state == STARTING else "",
        lock=lock,
        sample=next((str(gang.ready["text"]) for gang in gangs.values() if gang.ready and state == READY), ""),
        ranks=tuple(_rank(record, rank, seen) for rank in record.ranks),
    )


def _rank(record: DeploymentRecord, rank: RankRecord, seen: Survey) -> RankRow:
    view = seen.current_views(record).get(rank.host)
    ready, job = _ready(record, rank, seen), record.kind == "job"
    state, detail = rank_state(rank, view, ready=ready, absent=seen.absent(record), job=job)
    found = find_rank(view, rank) if view else None
    row = RankRow(rank.rank, rank.replica, rank.host, rank.address, state, detail)
    if found is None:
        return row
    return replace(
        row,
        pid=found.process.pid,
        seconds=found.seconds,
        resident=found.resident,
        first_error="" if state in (READY, STOPPED, DONE) else found.log["first_error"],
    )


def _ready(record: DeploymentRecord, rank: RankRecord, seen: Survey) -> bool:
    gang = gangs_of(seen.current_views(record).values()).get(rank.replica)
    return bool(gang and gang.ready)


def _with_probes(row: DeploymentRow, seen: Survey, contact: Contact) -> DeploymentRow:
    record = seen.record(row.name)
    if record is None or row.state not in (READY, DEGRADED):
        return row
    probes = tuple(_probe(record, replica, contact) for replica in range(len(record.gangs)))
    return replace(row, probes=probes)


def _probe(record: DeploymentRecord, index: int, contact: Contact) -> ProbeRow:
    gang = record.gangs[index]
    try:
        reply = contact.ask(
            gang.leader,
            "fleet_ask",
            {
                "url": gang.url,
                "model": record.model,
                "prompt": PROBE_PROMPT,
                "max_tokens": 8,
                "key_file": record.key_file,
                "key_name": record.key_name,
            },
        )
    except FleetError as error:
        return ProbeRow(gang.replica, False, error.what)
    return ProbeRow(gang.replica, True, reply["text"], reply["seconds"])


def _host(cluster: str, host: str, seen: Survey) -> HostRow:
    error = seen.lost.get(host)
    if error is None:
        return HostRow(cluster, host, "ok", strays=seen.hosts[host].strays)
    state = "unreachable" if isinstance(error, HostUnreachable) else "failed"
    return HostRow(cluster, host, state, error.what, hint=error.hint or "")


def _lock_text(view: DeploymentView) -> str:
    lock = view.lock or {}
    return f"{lock.get('by', 'someone')} on {view.host}"


def _probed(row: DeploymentRow) -> bool:
    return all(probe.ok for probe in row.probes)


def _nothing(inventories: Sequence[Inventory], hosts: Sequence[HostRow], deployments: Sequence[str]) -> str:
    names = ", ".join(inventory.name for inventory in inventories)
    away = sum(host.state != "ok" for host in hosts)
    if away == len(hosts):
        return f"No host of {names} answered."
    what = f"Nothing called {' or '.join(deployments)}" if deployments else "Nothing"
    return f"{what} has been launched on {names}." + (f" {away} of {len(hosts)} hosts did not answer." if away else "")
