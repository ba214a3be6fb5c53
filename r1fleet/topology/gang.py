"""Who takes part in a gang: nodes with ranks and addresses, and how the model is divided among them."""

from __future__ import annotations

from dataclasses import dataclass

FROM_FACTS = "<from facts>"
"""Stands where only the host itself knows a value and nobody has asked it yet."""


@dataclass(frozen=True, slots=True)
class Parallelism:
    """How many ways a model is divided: tensor, pipeline, data, expert."""

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    expert: int = 1


@dataclass(frozen=True, slots=True)
class Node:
    """One host of a gang: its node rank, the address and interface that ranks talk on, and its accelerators."""

    rank: int
    host: str
    address: str
    interface: str
    devices: int


@dataclass(frozen=True, slots=True)
class Gang:
    """One replica of a deployment: all nodes start together or not at all; node 0 leads."""

    replica: int
    nodes: tuple[Node, ...]
    parallel: Parallelism
    rendezvous_port: int
    reasons: tuple[str, ...] = ()

    @property
    def leader(self) -> Node:
        """The node with rank 0, which serves."""
        return self.nodes[0]
