"""What process serves a model: pure functions from a plan to a command."""

from r1fleet.engines.interface import Engine, Kind, Preparation, RankRequest
from r1fleet.engines.registry import engine_of
from r1fleet.engines.spellings import beyond, refuse_unknown

__all__ = ["Engine", "Kind", "Preparation", "RankRequest", "beyond", "engine_of", "refuse_unknown"]
