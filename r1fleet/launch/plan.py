"""The plan of a launch: every rank's exact command, made before anything starts."""

from __future__ import annotations

from dataclasses import dataclass

from r1fleet.command import Command
from r1fleet.runtimes.interface import Process
from r1fleet.spec import Deployment
from r1fleet.topology.gang import Gang, Node


@dataclass(frozen=True, slots=True)
class RankPlan:
    """One rank: its node, the engine's own command, and the process that the runtime keeps alive."""

    node: Node
    replica: int
    command: Command
    process: Process


@dataclass(frozen=True, slots=True)
class Plan:
    """A deployment, planned: ``digest`` is a sha256 over everything that makes two launches the same."""

    cluster: str
    name: str
    deployment: Deployment
    gangs: tuple[Gang, ...]
    ranks: tuple[RankPlan, ...]
    endpoints: tuple[str, ...]
    digest: str
