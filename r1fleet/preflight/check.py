"""What a check is, what it looks at, and what it finds: all pure, over what hosts have told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from r1fleet.facts.report import Report

FEW: Final = 4


def few(names: Sequence[str], joint: str = ", ") -> str:
    """Name a few, and say how many more there are."""
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return joint.join(names[:FEW]) + more


class Verdict(StrEnum):
    """How a check ended; what is not known is SKIP, never OK."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"
    SKIP = "SKIP"


@dataclass(frozen=True, slots=True)
class Port:
    """A TCP port that a deployment will listen on, and what for."""

    number: int
    purpose: str


@dataclass(frozen=True, slots=True)
class Want:
    """What one deployment wants of one host; ``devices`` are counted, ``chosen`` their numbers where not all are meant.

    ``image_cuda`` is the CUDA version in an ``nvidia/cuda`` image's tag. ``room`` maps paths to the bytes that must be
    free there. ``address`` and ``interface`` are those that ranks talk on; ``bind`` is the one that an endpoint
    here listens on, empty where any or the loopback will do.
    """

    deployment: str
    accelerator: str = "nvidia"
    devices: int = 0
    chosen: tuple[int, ...] = ()
    machine: str = ""
    nodes: int = 1
    address: str = ""
    interface: str = ""
    bind: str = ""
    hcas: tuple[str, ...] = ()
    gid_index: int | None = None
    ports: tuple[Port, ...] = ()
    rendezvous: int | None = None
    runtime: str = ""
    image: str = ""
    image_cuda: str = ""
    shm_bytes: int | None = None
    host_ipc: bool = False
    gives_rdma: bool = True
    memlock_unlimited: bool | None = None
    weights: str = ""
    room: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reached:
    """One attempt to connect from ``source`` to ``target``; ``problem`` is empty where it was answered."""

    source: str
    target: str
    address: str
    port: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a host answered to a look of its own (model, executable, user ...): see ``fleet_check``."""

    kind: str
    ok: bool
    detail: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Ground:
    """All that is known: reports, wants, connections that were tried, answers to looks."""

    reports: Mapping[str, Report]
    wants: Mapping[str, Want] = field(default_factory=dict)
    reached: tuple[Reached, ...] | None = None
    answers: Mapping[str, tuple[Answer, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Site:
    """One host as a check sees it."""

    host: str
    report: Report
    want: Want | None
    ground: Ground

    @property
    def gpus(self) -> bool:
        """Whether NVIDIA's devices matter here: a deployment wants them, or none is asked about and they are there."""
        if self.want is not None:
            return self.want.accelerator == "nvidia" and self.want.devices > 0
        return self.report.nvidia.present or any(row["vendor"] == "nvidia" for row in self.report.pci)

    @property
    def dies(self) -> bool:
        """Whether Vastai's devices matter here."""
        return self.want.accelerator == "vastai" if self.want is not None else self.report.vastai.dies > 0

    @property
    def switched(self) -> bool:
        """Whether this machine's GPUs meet over NVSwitch: the switches are on the bus, or the fabric has a state."""
        bridges = any(row["vendor"] == "nvidia" and row["class"] == "0680" for row in self.report.pci)
        return bridges or any(gpu.fabric_state for gpu in self.report.nvidia.gpus)

    @property
    def several(self) -> bool:
        """Whether ranks on several hosts will meet."""
        return self.want is not None and self.want.nodes > 1


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look found: ``ok`` None is unknown; ``values`` fill the remedy's braces."""

    ok: bool | None
    evidence: str
    values: Mapping[str, str] = field(default_factory=dict)


Look = Callable[[Site], Seen | None]
"""Looks at one host; None where the check does not apply there."""

LookAtAll = Callable[[Ground], Iterable[tuple[str, Seen]]]
"""Looks at all hosts together; yields what it found, by host."""


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the table: ``severity`` is the verdict where it is not ok; ``remedy`` the command that mends it."""

    name: str
    applies: str
    severity: Verdict
    cause: str
    remedy: str
    look: Look | None = None
    look_at_all: LookAtAll | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """How one check ended on one host; cause and remedy are empty where it is OK."""

    host: str
    check: str
    verdict: Verdict
    evidence: str
    cause: str = ""
    remedy: str = ""
