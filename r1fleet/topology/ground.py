"""What a replica is planned on: its hosts' devices, the model, who serves it, and what for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from r1fleet.spec import Deployment
from r1fleet.topology.machines import Machine
from r1fleet.topology.models import ModelShape

SHARE_OPTIONS: Final[Mapping[str, str]] = {"sglang": "mem-fraction-static", "vllm": "gpu-memory-utilization"}
"""The option that says which part of a device's memory weights and cache may take together."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What the cache must hold, and how much of a device it may have.

    ``share`` is the part that weights and cache may take together, as ``args`` say it; ``cache_number`` is the bytes of
    one number of the cache; ``to_fp8`` says that BF16 weights are rewritten while they load.
    """

    length: int | None = None
    sequences: int = 1
    share: float | None = None
    share_option: str = ""
    cache_number: int = 2
    to_fp8: bool = False
    speculates: bool = False


@dataclass(frozen=True, slots=True)
class Ground:
    """What a replica of a deployment is planned on.

    ``lacks`` says in words which kinds of division the engine's version does not have, by kind: ``hosts``, ``tensor``,
    ``pipeline``, ``data``, ``expert``, ``attention``.
    """

    hosts: int
    machine: Machine
    shape: ModelShape | None
    engine: str
    accelerator: str
    demand: Demand = Demand()
    lacks: Mapping[str, str] = field(default_factory=dict)

    @property
    def devices(self) -> int:
        """Return the number of devices on all hosts together."""
        return self.hosts * self.machine.devices


def demand_of(deployment: Deployment) -> Demand:
    """Read from a deployment and its ``args`` what the cache must hold and may take."""
    args = {key.lstrip("-").replace("_", "-"): value for key, value in deployment.args.items()}
    option = SHARE_OPTIONS.get(deployment.engine, "")
    return Demand(
        length=deployment.max_model_len,
        sequences=deployment.concurrency,
        share=_share(args.get(option)),
        share_option=option,
        cache_number=1 if str(args.get("kv-cache-dtype", "")).startswith("fp8") else 2,
        to_fp8=args.get("quantization") == "fp8",
        speculates=any(key.startswith("speculative") for key in args),
    )


def _share(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        told = float(value)
    except (TypeError, ValueError):
        return None
    return told if 0 < told <= 1 else None
