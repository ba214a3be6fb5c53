"""What a sync is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from r1fleet.inventory import Host
from r1fleet.inventory.model import LOCAL
from r1fleet.launch.options import who
from r1fleet.weights.plan import CONTROLLER, SyncPlan
from r1fleet.weights.prepare import PlanOf
from r1fleet.weights.sources import Source, parse_source
from r1fleet.weights.swarm import SwarmSettings

Show = Callable[[SyncPlan], None]

_MOMENT = 5  # seconds


def unseen(plan: SyncPlan) -> None:
    """Show a plan to nobody."""


@dataclass(frozen=True, slots=True)
class SyncOptions:
    """How to sync.

    ``again`` asks the source also where hosts hold a model already; ``on`` is where to fetch, empty to choose: the
    first host that lacks it, else the controller. ``leave_unsealed`` takes folders without a seal as they are, where
    every host has one. ``plan_of`` plans a deployment whose download is still to be prepared; None prepares nothing.
    Up to ``small`` bytes, the controller's own copy is there before a swarm would have begun.
    """

    source: Source = field(default_factory=lambda: parse_source(None))
    again: bool = False
    on: str = ""
    check: bool = False
    leave_unsealed: bool = False
    plan_of: PlanOf | None = None
    small: int = 64 << 20
    swarm: SwarmSettings = field(default_factory=SwarmSettings)
    controller: Host = field(default_factory=lambda: Host(CONTROLLER, LOCAL))
    by: str = field(default_factory=who)

    def is_small(self, size: int) -> bool:
        """Tell whether a set goes by the controller: at a rate, only what that lets through in a moment."""
        return size <= min(self.small, self.swarm.rate * _MOMENT or self.small)
