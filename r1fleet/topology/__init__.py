"""How a model is divided over the accelerators of a fleet."""

from r1fleet.topology.gang import FROM_FACTS, Gang, Node, Parallelism
from r1fleet.topology.gangs import Site, is_loopback, machine_of, plan_gangs
from r1fleet.topology.machines import CARDS, Card, Machine, declared_machine
from r1fleet.topology.models import MODELS, KnownModel, ModelShape, known_shape, model_shape

__all__ = [
    "CARDS",
    "FROM_FACTS",
    "MODELS",
    "Card",
    "Gang",
    "KnownModel",
    "Machine",
    "ModelShape",
    "Node",
    "Parallelism",
    "Site",
    "declared_machine",
    "is_loopback",
    "known_shape",
    "machine_of",
    "model_shape",
    "plan_gangs",
]
