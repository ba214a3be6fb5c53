"""What process serves a model: pure functions from a plan to a command."""

from r1fleet.engines.interface import Engine, Kind, Preparation, RankRequest
from r1fleet.engines.jobs import FAREWELL, is_interactive
from r1fleet.engines.phases import PHASES, Progress, progress
from r1fleet.engines.registry import engine_of, takes_key
from r1fleet.engines.spellings import beyond, refuse_unknown

__all__ = [
    "FAREWELL",
    "PHASES",
    "Engine",
    "Kind",
    "Preparation",
    "Progress",
    "RankRequest",
    "beyond",
    "engine_of",
    "is_interactive",
    "progress",
    "refuse_unknown",
    "takes_key",
]
