"""What process serves a model: pure functions from a plan to a command."""

from r1fleet.engines.interface import Engine, RankRequest
from r1fleet.engines.registry import engine_of

__all__ = ["Engine", "RankRequest", "engine_of"]
