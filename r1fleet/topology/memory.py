"""Where weights and cache fit; every refusal shows its arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from r1fleet.topology.gang import Parallelism
from r1fleet.topology.ground import Ground
from r1fleet.topology.models import ModelShape

WEIGHTS_SHARE: Final = 0.88
"""The part of a device's memory that weights may take; the rest is cache, activations and the driver's context."""
TOTAL_SHARE: Final = 0.92
"""The part that weights and the wanted cache may take together, where the engine is not told another."""
TIGHT_SHARE: Final = 0.75
"""From this part on, weights are said to be tight."""
GIB: Final = 1024**3


def weights_per_device(ground: Ground, ways: Parallelism) -> int | None:
    """Return the bytes of weights on one device; experts are divided further where expert parallel is on."""
    shape = ground.shape
    if shape is None or shape.weight_bytes is None:
        return None
    halved = 2 if ground.demand.to_fp8 and shape.weights == "bf16" else 1
    experts = min(shape.expert_bytes, shape.weight_bytes)
    parts = ways.tensor * ways.pipeline * halved
    if ways.expert <= ways.tensor or not experts:
        return shape.weight_bytes // parts
    return (shape.weight_bytes - experts) // parts + experts // (ways.expert * ways.pipeline * halved)


def cache_per_device(ground: Ground, ways: Parallelism) -> int | None:
    """Return the bytes that the wanted sequences take on one device, None where no length is wanted."""
    length, shape = ground.demand.length, ground.shape
    if length is None or shape is None:
        return None
    sequences = -(-ground.demand.sequences // (ways.data * ways.attention))
    tensor = max(1, ways.tensor // ways.attention)
    return shape.kv_bytes(length * sequences, tensor, ways.pipeline, each=ground.demand.cache_number)


def refusals(ground: Ground, shape: ModelShape, ways: Parallelism) -> Iterator[str]:
    """Tell what does not fit."""
    memory, weights = ground.machine.memory_bytes, weights_per_device(ground, ways)
    if memory is None or weights is None:
        return
    demand, cache = ground.demand, cache_per_device(ground, ways)
    if demand.share is not None and weights > memory * demand.share:
        yield (
            f"{gib(weights)} of weights per device leave nothing for the cache under {demand.share_option} "
            f"{demand.share:g}: that is {gib(int(memory * demand.share))} of the {gib(memory)} of {ground.machine.name}"
        )
    elif weights > memory * WEIGHTS_SHARE:
        yield (
            f"{gib(weights)} of weights per device do not fit: {ground.machine.name} has {gib(memory)}, "
            f"of which weights may take {WEIGHTS_SHARE:.0%}"
        )
    elif cache is not None and weights + cache > memory * (demand.share or TOTAL_SHARE):
        yield (
            f"{gib(weights)} of weights and {gib(cache)} of cache for {_sequences(ground)} "
            f"exceed {demand.share or TOTAL_SHARE:.0%} of the {gib(memory)} of {ground.machine.name}"
        )


def notes(ground: Ground, ways: Parallelism) -> Iterator[str]:
    """Explain what a legal division takes, and what could not be looked at."""
    weights, memory = weights_per_device(ground, ways), ground.machine.memory_bytes
    if weights is None:
        yield "the size of the weights is not known: memory was not checked"
        return
    if ground.accelerator == "cpu" and memory is None:
        yield f"{gib(weights)} of weights per device, in the host's own memory"
    elif memory is None:
        yield f"{gib(weights)} of weights per device; the memory of {ground.machine.name} is not known"
    else:
        tight = ": tight" if weights > memory * TIGHT_SHARE else ""
        yield f"{gib(weights)} of weights per device, {weights / memory:.0%} of {gib(memory)}{tight}"
    cache = cache_per_device(ground, ways)
    if cache is not None:
        yield f"{gib(cache)} of cache per device for {_sequences(ground)}"


def gib(size: int) -> str:
    """Write a size of memory."""
    return f"{size / GIB:.1f} GiB" if size >= GIB / 10 else f"{size / 1024**2:.0f} MiB"


def _sequences(ground: Ground) -> str:
    count = ground.demand.sequences
    return f"{'one sequence' if count == 1 else f'{count} sequences'} of {ground.demand.length} tokens"
