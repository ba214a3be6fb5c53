"""The plan of a launch: every rank's exact command, made before anything starts."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from r1fleet.command import Command
from r1fleet.engines import Kind, Preparation, is_interactive
from r1fleet.errors import SpecError, UsageError
from r1fleet.runtimes.interface import HostFile, Process
from r1fleet.spec import Deployment
from r1fleet.topology.gang import FROM_FACTS, Gang, Node

SCHEMA: Final = 1


@dataclass(frozen=True, slots=True)
class RankPlan:
    """One rank: its node, the engine's own command, and the process that the runtime keeps alive.

    ``files`` are what the command reads beside the model.
    """

    node: Node
    replica: int
    command: Command
    process: Process
    files: tuple[HostFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A deployment, planned: ``digest`` is a sha256 over everything that makes two launches the same.

    ``deployment`` has its defaults resolved; ``notes`` say what a person should know before starting it, and
    ``explanation`` what the plan was chosen from. ``preparations`` make of the download what the engine reads;
    ``clients`` are programs of the engine's own that talk to the first endpoint; ``without_systemd`` names hosts.
    """

    cluster: str
    name: str
    deployment: Deployment
    gangs: tuple[Gang, ...]
    ranks: tuple[RankPlan, ...]
    endpoints: tuple[str, ...]
    digest: str
    notes: tuple[str, ...] = ()
    kind: Kind = "service"
    preparations: tuple[Preparation, ...] = ()
    explanation: tuple[str, ...] = ()
    clients: tuple[Command, ...] = ()
    without_systemd: frozenset[str] = frozenset()

    @property
    def complete(self) -> bool:
        """Whether nothing waits for facts, so that it could start."""
        words = (word for rank in self.ranks for word in (*rank.command.argv, *dict(rank.command.env).values()))
        return not any(FROM_FACTS in text for text in (*self.endpoints, *words))

    def as_json(self) -> dict[str, Any]:
        """Return plain data for programs; it holds references to secrets, never secrets."""
        return {
            "schema": SCHEMA,
            **described(self),
            "digest": self.digest,
            "notes": list(self.notes),
            "explanation": list(self.explanation),
            "clients": [list(client.argv) for client in self.clients],
        }


def startable(plan: Plan, *, attached: bool = False, detached: bool = False) -> None:
    """Refuse a way to start that this plan does not have."""
    if plan.kind == "service":
        if attached:
            raise UsageError(f"{plan.name} is a service: it has no input", hint=f"r1fleet ask -d {plan.name}")
        return
    if not is_interactive(plan.deployment):
        if attached:
            raise UsageError(f"{plan.name} reads its prompts from a file: nobody types", hint="leave --attach out")
        return
    if len(plan.gangs) > 1:
        raise SpecError(f"{plan.name} asks a person, and has {len(plan.gangs)} replicas", hint="leave replicas out")
    if detached or not attached:
        raise UsageError(
            f"{plan.name} asks a person what to generate",
            hint="r1fleet launch --attach, or give it job.input or job.prompts",
        )


def described(plan: Plan) -> dict[str, Any]:
    """Return what makes two launches the same, as plain data."""
    return {
        "cluster": plan.cluster,
        "name": plan.name,
        "deployment": plan.deployment.model_dump(mode="json"),
        "kind": plan.kind,
        "gangs": [_plain(asdict(replace(gang, reasons=(), considered=()))) for gang in plan.gangs],
        "ranks": [
            {
                "host": rank.node.host,
                "rank": rank.node.rank,
                "replica": rank.replica,
                "argv": list(rank.command.argv),
                "env": dict(rank.command.env),
                "process": rank.process.name,
                "user": rank.process.user,
                "image": rank.process.image.name if rank.process.image else None,
                "files": {file.path: file.content for file in rank.files},
            }
            for rank in plan.ranks
        ],
        "preparations": [
            {"why": one.why, "argv": list(one.command.argv), "files": dict(one.files)} for one in plan.preparations
        ],
        "endpoints": list(plan.endpoints),
    }


def digest_of(plan: Plan) -> str:
    """Return the sha256 over what makes two launches the same."""
    text = json.dumps(described(plan), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Turn tuples into lists, as JSON will."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
