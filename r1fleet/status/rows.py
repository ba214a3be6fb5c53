"""A status report as plain rows; docs/status.md has the same as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from r1fleet.errors import ExitCode
from r1fleet.status.judge import DEGRADED, FAILED, UNKNOWN
from r1fleet.status.view import GpuRow

SCHEMA = 1
"""Of the report as JSON: fields may come, none goes or changes its meaning within one number."""


@dataclass(frozen=True, slots=True)
class RankRow:
    """One rank; ``seconds`` is how long it has been running, ``resident`` its memory, ``phase`` how far it is.

    ``image`` is the id of its container's image; ``digest`` what the image's name meant when it was launched, and
    ``means`` what it means on its host now.
    """

    rank: int
    replica: int
    host: str
    address: str
    state: str
    detail: str
    phase: str = ""
    pid: int | None = None
    image: str = ""
    digest: str = ""
    means: str = ""
    seconds: float = 0.0
    resident: int = 0
    gpus: tuple[GpuRow, ...] = ()
    first_error: str = ""


@dataclass(frozen=True, slots=True)
class GangRow:
    """One replica: who leads it, where it answers, and for how many seconds no completion has been seen.

    ``completion_age`` counts completions that r1fleet saw: the launch's, probes' and those of ``ask``; None: none yet.
    ``via`` is where ssh leads to its leader.
    """

    replica: int
    leader: str
    endpoint: str
    ready: bool
    phase: str = ""
    completion_age: float | None = None
    via: str = ""


@dataclass(frozen=True, slots=True)
class ProbeRow:
    """What an endpoint answered just now."""

    replica: int
    ok: bool
    text: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class DeploymentRow:
    """One deployment of one cluster.

    ``since`` is when its state was last written (seconds since 1970, by its host's clock) and ``age`` how long ago
    that is; ``declared`` tells whether the inventory names it; ``api_key`` is the key's reference, never the key.
    """

    cluster: str
    name: str
    state: str
    detail: str
    generation: int = 0
    kind: str = ""
    engine: str = ""
    runtime: str = ""
    model: str = ""
    endpoints: tuple[str, ...] = ()
    by: str = ""
    since: float = 0.0
    age: float = 0.0
    phase: str = ""
    lock: str = ""
    sample: str = ""
    declared: bool = True
    api_key: Mapping[str, Any] | None = None
    ranks: tuple[RankRow, ...] = ()
    gangs: tuple[GangRow, ...] = ()
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
    """The whole answer; ``message`` is one sentence where there is nothing to list.

    ``unlaunched`` are (cluster, deployment) that inventories name and no host knows.
    """

    deployments: tuple[DeploymentRow, ...]
    hosts: tuple[HostRow, ...]
    message: str = ""
    unlaunched: tuple[tuple[str, str], ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """0 when all is well or nothing was launched, 4 when a host is unreachable, 2 when something failed."""
        if any(host.state == "unreachable" for host in self.hosts):
            return ExitCode.UNREACHABLE
        bad = any(row.state in (FAILED, DEGRADED, UNKNOWN) or not _probed(row) for row in self.deployments)
        return ExitCode.HOST_FAILED if bad or any(host.state != "ok" for host in self.hosts) else ExitCode.OK

    def as_json(self) -> dict[str, Any]:
        """Turn into plain data."""
        return {"schema": SCHEMA, **asdict(self)}


def _probed(row: DeploymentRow) -> bool:
    return all(probe.ok for probe in row.probes)
