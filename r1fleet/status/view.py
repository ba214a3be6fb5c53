"""What one host tells of its deployments, typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from r1fleet.errors import FleetError, HostFailed, Where
from r1fleet.runtimes import RUNTIMES, ProcessState, Runtime
from r1fleet.status.record import Current, DeploymentRecord, read_current, read_record
from r1fleet.transport import Reply


@dataclass(frozen=True, slots=True)
class GpuRow:
    """One GPU that a rank's processes hold: memory in bytes, of all who use it."""

    index: int
    used: int
    total: int


@dataclass(frozen=True, slots=True)
class RankView:
    """One rank as its host sees it now; ``exit_age`` tells for how many seconds it has ended, None where unknown.

    ``means`` is which image the name of its image means on its host now; empty where nobody looked.
    """

    rank: int
    replica: int
    name: str
    process: ProcessState
    exit_text: str
    exit_age: float | None
    processes: int
    resident: int
    seconds: float
    log: Mapping[str, Any]
    gpus: tuple[GpuRow, ...] = ()
    means: str = ""

    @property
    def alive(self) -> bool:
        """Whether the runtime says that it runs."""
        return self.process.state == "running"

    @property
    def done(self) -> bool:
        """Whether it has ended with 0, as a job's ranks do."""
        return not self.alive and self.process.status == 0


@dataclass(frozen=True, slots=True)
class GangView:
    """What the leader has written so far; ``completion_age``: how long ago one was seen, by the host's clock."""

    replica: int
    ready: Mapping[str, Any] | None
    failed: Mapping[str, Any] | None
    phase: str
    judging: bool
    completion_age: float | None = None


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """One deployment on one host; ``problem`` tells why the rest is missing."""

    host: str
    name: str
    problem: str
    current: Current | None
    record: DeploymentRecord | None
    lock: Mapping[str, Any] | None
    generations: int
    ranks: tuple[RankView, ...]
    gangs: tuple[GangView, ...]
    rebooted: bool


@dataclass(frozen=True, slots=True)
class HostView:
    """One host's answer."""

    host: str
    python: str
    now: float
    deployments: tuple[DeploymentView, ...]
    strays: tuple[str, ...]

    @property
    def orphans(self) -> tuple[str, ...]:
        """The names of strays."""
        return tuple(stray.partition(" ")[0] for stray in self.strays)

    def deployment(self, name: str) -> DeploymentView | None:
        """Pick one deployment."""
        return next((view for view in self.deployments if view.name == name), None)


def read_host(host: str, reply: Reply) -> HostView:
    """Read the reply of ``fleet_state``."""
    rows = tuple(_deployment(host, row, reply) for row in reply["deployments"])
    strays = tuple(f"{row['name']} ({row['processes']} processes)" for row in reply["strays"])
    return HostView(host, reply["python"], reply["now"], rows, strays)


def _deployment(host: str, row: Mapping[str, Any], reply: Reply) -> DeploymentView:
    current, record, problem = None, None, row["problem"]
    ranks: tuple[RankView, ...] = ()
    try:
        current = read_current(row["current"], host) if row["current"] else None
        record = read_record(row["plan"], host) if row["plan"] else None
        if record is not None:
            runtime = _runtime(record.runtime, host)
            ranks = tuple(_rank(runtime, rank, reply["monotonic"]) for rank in row["ranks"])
    except FleetError as error:
        problem = error.what
    return DeploymentView(
        host=host,
        name=row["name"],
        problem=problem,
        current=current,
        record=record,
        lock=row["lock"],
        generations=row["generations"],
        ranks=ranks,
        gangs=tuple(_gang(gang, reply["now"]) for gang in row["gangs"]),
        rebooted=bool(current and current.boot_id and current.boot_id != reply["boot_id"]),
    )


def _runtime(name: str, host: str) -> Runtime:
    if name not in RUNTIMES:
        raise HostFailed(f"plan.json names the unknown runtime {name}", where=Where(host=host))
    return RUNTIMES[name]


def _rank(runtime: Runtime, row: Mapping[str, Any], now: float) -> RankView:
    ended = row["exit"] or {}
    process = runtime.parse(row["inspect"])
    age = ended.get("age") if process.ended is None else max(0.0, now - process.ended)
    return RankView(
        rank=row["rank"],
        replica=row["replica"],
        name=row["name"],
        process=process,
        exit_text=ended.get("text", ""),
        exit_age=age,
        processes=row["processes"],
        resident=row["resident"],
        seconds=row["seconds"],
        log=row["log"],
        gpus=tuple(GpuRow(gpu["index"], gpu["used"], gpu["total"]) for gpu in row.get("gpus", ())),
        means=row.get("means", ""),
    )


def _gang(row: Mapping[str, Any], now: float) -> GangView:
    seen = [told["at"] for told in (row["ready"], row.get("completion")) if told and told.get("at")]
    return GangView(
        replica=row["replica"],
        ready=row["ready"],
        failed=row["failed"],
        phase=(row["progress"] or {}).get("phase", ""),
        judging=row["judging"],
        completion_age=max(0.0, now - max(seen)) if seen else None,
    )
