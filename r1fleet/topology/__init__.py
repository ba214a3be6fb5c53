"""How a model is divided over the accelerators of a fleet."""

from r1fleet.topology.divide import Division, Undivided, divide
from r1fleet.topology.gang import FROM_FACTS, Considered, Gang, Node, Parallelism
from r1fleet.topology.gangs import Site, machine_of, plan_gangs
from r1fleet.topology.ground import Demand, Ground, demand_of
from r1fleet.topology.known import MODELS, KnownModel, known_shape
from r1fleet.topology.machines import CARDS, Card, Machine, declared_machine
from r1fleet.topology.memory import gib
from r1fleet.topology.models import ModelShape, lacking, model_shape

__all__ = [
    "CARDS",
    "FROM_FACTS",
    "MODELS",
    "Card",
    "Considered",
    "Demand",
    "Division",
    "Gang",
    "Ground",
    "KnownModel",
    "Machine",
    "ModelShape",
    "Node",
    "Parallelism",
    "Site",
    "Undivided",
    "declared_machine",
    "demand_of",
    "divide",
    "gib",
    "known_shape",
    "lacking",
    "machine_of",
    "model_shape",
    "plan_gangs",
]
