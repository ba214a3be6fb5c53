"""What a sync will do, as a value: who holds what, who lacks it, where it comes from, and what stands in the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from r1fleet.errors import FleetError
from r1fleet.weights.manifest import Manifest
from r1fleet.weights.models import Model
from r1fleet.weights.room import SPARE, spell
from r1fleet.weights.sources import Listing

HOLDS, LACKS, OTHER, UNSEALED, SHARES, LOST = "holds", "lacks", "other content", "unsealed", "shares", "unreachable"
CONTROLLER = "localhost"
NETWORK = ("nfs", "nfs4", "lustre", "ceph", "gpfs", "beegfs", "cifs", "smb3", "9p", "glusterfs", "fuse.glusterfs")
"""Kinds of file systems that several hosts can have mounted."""


@dataclass(frozen=True, slots=True)
class Room:
    """The file system that a folder lies on, as its host tells."""

    free: int = 0
    kind: str = ""
    source: str = ""
    read_only: bool = False

    @property
    def shared(self) -> bool:
        """Whether it is of a kind that other hosts can have mounted, too."""
        return self.kind in NETWORK


@dataclass(frozen=True, slots=True)
class HostRow:
    """One host of one model: what it has of it, how many bytes it still needs, and the room it has for them.

    ``by`` names the host that receives in its place, where both see the same storage; ``fault`` is what is wrong with
    its seal, which a new one replaces; a ``problem`` is in the way. ``link`` says where the name without a revision
    leads: empty where it is not there, None where there is none to be.
    """

    host: str
    state: str
    digest: str = ""
    needs: int = 0
    room: Room = field(default_factory=Room)
    by: str = ""
    problem: str = ""
    fault: str = ""
    link: str | None = None

    @property
    def waits(self) -> bool:
        """Whether it is without the content yet."""
        return self.state in (LACKS, OTHER, UNSEALED)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the content comes from: a host that holds it, or a source from which ``host`` fetches it first."""

    host: str
    source: str = ""
    commit: str = ""

    @property
    def fetches(self) -> bool:
        """Whether something is downloaded or read in."""
        return bool(self.source)


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """What becomes of one model; ``origin`` is None where nothing has to move, or where nothing can (a ``note``
    says why; ``stuck`` where that is a failure, ``error`` where a source refused).

    The content is told by the ``manifest`` of a host that holds it, else by the ``listing`` of its source.
    """

    model: Model
    size: int
    rows: tuple[HostRow, ...]
    origin: Origin | None = None
    files: int = 0
    note: str = ""
    stuck: bool = False
    error: FleetError | None = None
    manifest: Manifest | None = None
    listing: Listing | None = None

    @property
    def waiting(self) -> tuple[HostRow, ...]:
        """The hosts that receive it."""
        return tuple(row for row in self.rows if row.waits)

    @property
    def moves(self) -> bool:
        """Whether anything has to move."""
        return self.origin is not None and bool(self.waiting)


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """What becomes of all models; ``lost`` are hosts that did not answer."""

    models: tuple[ModelPlan, ...]
    lost: Mapping[str, FleetError] = field(default_factory=dict)

    @property
    def errors(self) -> tuple[FleetError, ...]:
        """What keeps single models from being planned."""
        return tuple(one.error for one in self.models if one.error is not None)

    @property
    def moves(self) -> bool:
        """Whether anything has to move."""
        return any(one.moves for one in self.models)

    def lacks_link(self, one: ModelPlan) -> bool:
        """Whether every host holds a model, and on one its link leads neither there nor to another of the plan."""
        known = {PurePosixPath(each.model.path).name for each in self.models}
        astray = (row.link is not None and row.link not in known for row in one.rows)
        return one.model.repository and all(row.state == HOLDS for row in one.rows) and any(astray)

    def as_json(self) -> dict[str, Any]:
        """Turn into plain data."""
        return {
            "models": [_model_json(one) for one in self.models],
            "lost": {host: error.what for host, error in self.lost.items()},
        }


def problems(plan: SyncPlan) -> Iterator[tuple[str, str]]:
    """Yield what stands in the way of a host, before a byte moves: no room, or nothing can be written there."""
    wanted: dict[tuple[str, str], tuple[int, Room]] = {}
    for one in plan.models if plan.moves else ():
        for row in one.waiting if one.moves else ():
            if row.problem:
                yield row.host, row.problem
            elif row.room.read_only:
                yield row.host, f"{one.model.path} lies on a read-only file system ({row.room.source})"
            else:
                key = (row.host, row.room.source)
                wanted[key] = (wanted.get(key, (0, row.room))[0] + row.needs, row.room)
    for (host, source), (needs, room) in wanted.items():
        if needs and needs + SPARE > room.free:
            yield host, f"{source or 'the disk'} has {spell(room.free)} free, and {spell(needs + SPARE)} are needed"


def _model_json(one: ModelPlan) -> dict[str, Any]:
    origin = one.origin
    return {
        "model": one.model.name,
        "revision": one.model.revision,
        "path": one.model.path,
        "deployments": list(one.model.deployments),
        "bytes": one.size,
        "files": one.files,
        "moves": one.moves,
        "note": one.note,
        "error": one.error.what if one.error else "",
        "origin": {"host": origin.host, "source": origin.source, "commit": origin.commit} if origin else None,
        "hosts": [
            {
                "host": row.host,
                "state": row.state,
                "needs": row.needs,
                "free": row.room.free,
                "storage": row.room.source,
                "kind": row.room.kind,
                "by": row.by,
                "problem": row.problem,
                "fault": row.fault,
            }
            for row in one.rows
        ],
    }
