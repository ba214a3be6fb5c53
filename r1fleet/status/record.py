"""What a launch leaves on every host of its gang: the record that any controller reads back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from r1fleet.errors import HostFailed, Where

SCHEMA = 1
ROOT = "/var/lib/r1fleet"
SYNCS = "weights"
"""Under which name the lock of syncs is shown; no deployment can be called so."""


@dataclass(frozen=True, slots=True)
class RankRecord:
    """One rank: where it runs, what keeps it alive, and how to look at it and stop it.

    Of a job's rank 0, ``output`` is where its answers are kept, and ``stdin`` takes what a person types.
    ``arguments`` is a hash of its exact command and environment. ``image`` is its container's by name, and ``digest``
    what that name meant on its host when it was launched.
    """

    rank: int
    replica: int
    host: str
    address: str
    name: str
    log: str
    exit_record: str
    command: str
    inspect: tuple[str, ...]
    stop: tuple[str, ...]
    stop_seconds: int
    stdin: str = ""
    output: str = ""
    arguments: str = ""
    image: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class JudgeRecord:
    """The leader's own process that finds out whether its gang is ready."""

    name: str
    stop: tuple[str, ...]
    stop_seconds: int


@dataclass(frozen=True, slots=True)
class GangRecord:
    """One replica: who leads, what it listens on, where its verdict is written."""

    replica: int
    leader: str
    url: str
    port: int
    rendezvous_port: int
    out: str
    judge: JudgeRecord


@dataclass(frozen=True, slots=True)
class DeploymentRecord:
    """One generation of a deployment, as all its hosts keep it in plan.json."""

    cluster: str
    name: str
    digest: str
    generation: int
    engine: str
    runtime: str
    model: str
    endpoints: tuple[str, ...]
    leader_first: bool
    key_file: str
    key_name: str
    by: str
    settings: tuple[str, ...]
    ranks: tuple[RankRecord, ...]
    gangs: tuple[GangRecord, ...]
    kind: str = "service"
    schema: int = SCHEMA

    @property
    def leader(self) -> str:
        """The host that leads the first gang; the deployment's lock is there."""
        return self.gangs[0].leader

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host of the deployment, once, in rank order."""
        return tuple(dict.fromkeys(rank.host for rank in self.ranks))

    def on(self, host: str) -> tuple[RankRecord, ...]:
        """Pick the ranks of one host."""
        return tuple(rank for rank in self.ranks if rank.host == host)

    def as_json(self) -> dict[str, Any]:
        """Turn into plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Current:
    """A host's marker of its current generation.

    ``state`` is what the last launch or stop has written; ``stopped`` names the ranks that it ended while they ran.
    """

    generation: int
    digest: str
    state: str
    host: str
    by: str
    detail: str = ""
    time: float = 0.0
    boot_id: str = ""
    stopped: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Turn into plain data; time and boot are the host's to add."""
        return {key: value for key, value in asdict(self).items() if key not in ("time", "boot_id")}


def folder_of(deployment: str) -> str:
    """Name the deployment's folder on a host."""
    return f"{ROOT}/{deployment}"


def lock_of(deployment: str) -> str:
    """Name a deployment's lock on a host; that of syncs lies where no models do, for hosts may share their storage."""
    return f"{ROOT}/.sync/lock" if deployment == SYNCS else f"{folder_of(deployment)}/lock"


def generation_folder(deployment: str, generation: int | str) -> str:
    """Name the folder of one generation."""
    return f"{folder_of(deployment)}/generations/{generation}"


def read_record(data: Mapping[str, Any], host: str) -> DeploymentRecord:
    """Read a plan.json; another schema or a broken file names the host."""
    _expect_schema(data, host, "plan.json")
    try:
        fields = {**data, **{name: tuple(data[name]) for name in ("endpoints", "settings")}}
        fields["ranks"] = tuple(_rank(row) for row in data["ranks"])
        fields["gangs"] = tuple(_gang(row) for row in data["gangs"])
        return DeploymentRecord(**fields)
    except (KeyError, TypeError) as error:
        raise _broken(host, "plan.json", error) from error


def read_current(data: Mapping[str, Any], host: str) -> Current:
    """Read a current.json."""
    _expect_schema(data, host, "current.json")
    try:
        fields = {key: value for key, value in data.items() if key != "schema"}
        return Current(**{**fields, "stopped": tuple(fields.get("stopped", ()))})
    except TypeError as error:
        raise _broken(host, "current.json", error) from error


def _rank(row: Mapping[str, Any]) -> RankRecord:
    return RankRecord(**{**row, "inspect": tuple(row["inspect"]), "stop": tuple(row["stop"])})


def _gang(row: Mapping[str, Any]) -> GangRecord:
    judge = row["judge"]
    return GangRecord(**{**row, "judge": JudgeRecord(**{**judge, "stop": tuple(judge["stop"])})})


def _expect_schema(data: Mapping[str, Any], host: str, name: str) -> None:
    if data.get("schema") != SCHEMA:
        raise HostFailed(
            f"{name} has schema {data.get('schema')!r}, this r1fleet reads {SCHEMA}",
            where=Where(host=host),
            hint="use the r1fleet version that launched it, or stop it there first",
        )


def _broken(host: str, name: str, error: Exception) -> HostFailed:
    return HostFailed(f"{name} cannot be understood: {error}", where=Where(host=host), hint=f"look below {ROOT}")
