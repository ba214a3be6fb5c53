"""Who takes part in a gang: nodes with ranks and addresses, and how the model is divided among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FROM_FACTS: Final = "<from facts>"
"""Stands where only the host itself knows a value and nobody has asked it yet."""


@dataclass(frozen=True, slots=True)
class Parallelism:
    """How many ways a model is divided: tensor, pipeline, data, expert.

    ``attention`` is into how many groups the attention of one tensor parallel is divided, each with its own sequences.
    """

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    expert: int = 1
    attention: int = 1

    @property
    def world(self) -> int:
        """Return how many devices it takes."""
        return self.tensor * self.pipeline * self.data

    def __str__(self) -> str:
        """Write it short: ``tp 8 x pp 2, ep 8``."""
        product = [f"tp {self.tensor}"]
        product += [f"{name} {count}" for name, count in (("pp", self.pipeline), ("dp", self.data)) if count > 1]
        regrouped = [f"{name} {n}" for name, n in (("ep", self.expert), ("attention dp", self.attention)) if n > 1]
        return ", ".join([" x ".join(product), *regrouped])


@dataclass(frozen=True, slots=True)
class Node:
    """One host of a gang: its node rank, the address and interface that ranks talk on, and its accelerators.

    ``chosen`` are the numbers of its devices where not all are meant; ``hcas`` are its RDMA adapters and
    ``gid_index`` the entry of their GID table, where they are written or told.
    """

    rank: int
    host: str
    address: str
    interface: str
    devices: int
    chosen: tuple[int, ...] = ()
    hcas: tuple[str, ...] = ()
    gid_index: int | None = None


@dataclass(frozen=True, slots=True)
class Considered:
    """One division that was looked at, and everything that stands against it."""

    ways: Parallelism
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Gang:
    """One replica of a deployment: all nodes start together or not at all; node 0 leads.

    ``reasons`` and ``considered`` explain the division and are no part of it.
    """

    replica: int
    nodes: tuple[Node, ...]
    parallel: Parallelism
    rendezvous_port: int
    reasons: tuple[str, ...] = ()
    considered: tuple[Considered, ...] = ()

    @property
    def leader(self) -> Node:
        """The node with rank 0, which serves."""
        return self.nodes[0]
