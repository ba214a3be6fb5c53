"""One source, every host: a verified swarm between the hosts themselves."""

from r1fleet.weights.swarm.model import STATE, Member, Platform, SwarmSettings, WheelFor, no_wheel
from r1fleet.weights.swarm.spread import Swarm, spread

__all__ = ["STATE", "Member", "Platform", "Swarm", "SwarmSettings", "WheelFor", "no_wheel", "spread"]
