"""Which divisions of a model are legal, and which fit; every refusal says why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from r1fleet.topology.gang import Parallelism
from r1fleet.topology.machines import Machine
from r1fleet.topology.models import ModelShape

WEIGHTS_SHARE: Final = 0.88
"""The part of a device's memory that weights may take; the rest is cache, activations and the driver's context."""
TOTAL_SHARE: Final = 0.92
"""The part that weights and the cache of one sequence of full length may take together."""
TIGHT_SHARE: Final = 0.75
"""From this part on, weights are said to be tight."""
GIB: Final = 1024**3


@dataclass(frozen=True, slots=True)
class Ground:
    """What a replica of a deployment is planned on: its hosts' devices, the model, and who serves it."""

    hosts: int
    machine: Machine
    shape: ModelShape | None
    engine: str
    accelerator: str
    max_model_len: int | None = None

    @property
    def devices(self) -> int:
        """Return the number of devices on all hosts together."""
        return self.hosts * self.machine.devices


def refusals(ground: Ground, ways: Parallelism) -> Iterator[str]:
    """Tell everything that stands against a division."""
    yield from _placement(ground, ways)
    yield from _accelerator(ground, ways)
    yield from _engine(ground.engine, ways)
    if ground.shape is not None:
        yield from _divisibility(ground.shape, ways, vastai=ground.accelerator == "vastai")
        yield from _memory(ground, ground.shape, ways)


def world(ways: Parallelism) -> int:
    """Return how many devices a division takes."""
    return ways.tensor * ways.pipeline * ways.data


def weights_per_device(shape: ModelShape, ways: Parallelism) -> int | None:
    """Return the bytes of weights on one device; experts are divided further where expert parallel is on."""
    if shape.weight_bytes is None:
        return None
    experts = min(shape.expert_bytes, shape.weight_bytes)
    parts = ways.tensor * ways.pipeline
    if ways.expert <= ways.tensor or not experts:
        return shape.weight_bytes // parts
    return (shape.weight_bytes - experts) // parts + experts // (ways.expert * ways.pipeline)


def _placement(ground: Ground, ways: Parallelism) -> Iterator[str]:
    taken, sizes = world(ways), _product(ways)
    if taken > ground.devices:
        have = "has" if ground.hosts == 1 else "have"
        yield f"{sizes} needs {taken} devices; {_hosts(ground)} {have} {ground.devices}"
    elif taken % ground.hosts:
        yield f"{sizes} takes {taken} devices, which cannot be spread evenly over {ground.hosts} hosts"
    elif ground.hosts > 1 and ways.data > 1:
        per_replica = ways.tensor * ways.pipeline
        if ways.data % ground.hosts or per_replica > ground.machine.devices:
            yield (
                f"dp {ways.data} over {ground.hosts} hosts needs every data-parallel part within one host "
                f"(tp x pp = {per_replica}, {ground.machine.devices} devices a host)"
            )
        if ground.engine == "sglang":
            yield "SGLang's data parallel does not span hosts; use replicas, or its attention dp through args"


def _accelerator(ground: Ground, ways: Parallelism) -> Iterator[str]:
    if ground.accelerator == "vastai":
        if ground.hosts > 1:
            yield "Vastai cards have no tensor or pipeline parallel across hosts; give every host its own replica"
        if ground.shape is not None and ground.shape.quant_block and ways.tensor != 32:
            yield f"the vendor's vLLM runs DeepSeek's FP8 weights with tp 32 only, not tp {ways.tensor}"
    if ground.accelerator == "cpu":
        if ways.pipeline > 1:
            yield "vLLM on CPU does not serve with pipeline parallel in eager mode"
        if ways.expert > 1:
            yield "vLLM on CPU does not serve with expert parallel: its worker dies at the first request"


def _engine(engine: str, ways: Parallelism) -> Iterator[str]:
    """Tell what an engine lacks; expert parallel regroups the devices that tensor and data parallel already take."""
    if engine == "lmdeploy" and (ways.pipeline, ways.data, ways.expert) != (1, 1, 1):
        yield "LMDeploy is planned with tensor parallel only"
    if ways.expert == 1:
        return
    if engine == "vllm" and ways.expert != ways.tensor * ways.data:
        yield f"vLLM's expert parallel is always tp x dp = {ways.tensor * ways.data}, not {ways.expert}"
    if engine == "sglang" and ways.tensor % ways.expert:
        yield f"SGLang's expert parallel {ways.expert} does not divide tp {ways.tensor}"


def _divisibility(shape: ModelShape, ways: Parallelism, *, vastai: bool) -> Iterator[str]:
    tp = ways.tensor
    if shape.heads % tp:
        yield f"{shape.heads} attention heads cannot be divided by tp {tp}"
    elif shape.latent_kv is None and shape.kv_heads % tp and tp % shape.kv_heads:
        yield f"{shape.kv_heads} key-value heads and tp {tp} do not divide each other"
    if shape.intermediate % tp:
        yield f"the intermediate size {shape.intermediate} cannot be divided by tp {tp}"
    elif shape.quant_block and not vastai:
        yield from _blocks(shape, ways, shape.quant_block)
    if ways.pipeline > shape.layers:
        yield f"{shape.layers} layers cannot make {ways.pipeline} pipeline stages"
    if ways.expert > 1:
        if not shape.experts:
            yield f"expert parallel {ways.expert} needs a model with experts"
        elif shape.experts % ways.expert:
            yield f"{shape.experts} experts cannot be divided by ep {ways.expert}"


def _blocks(shape: ModelShape, ways: Parallelism, block: int) -> Iterator[str]:
    part = shape.intermediate // ways.tensor
    if part % block:
        yield f"FP8 blocks of {block}: {shape.intermediate}/{ways.tensor} = {part} is not divisible by {block}"
    expert_ways = max(1, ways.tensor // ways.expert)
    if shape.moe_intermediate and (shape.moe_intermediate / expert_ways) % block:
        part = shape.moe_intermediate // expert_ways
        yield f"FP8 blocks of {block}: {shape.moe_intermediate}/{expert_ways} = {part} is not divisible by {block}"


def _memory(ground: Ground, shape: ModelShape, ways: Parallelism) -> Iterator[str]:
    memory, weights = ground.machine.memory_bytes, weights_per_device(shape, ways)
    if memory is None or weights is None:
        return
    if weights > memory * WEIGHTS_SHARE:
        yield (
            f"{_gib(weights)} of weights per device do not fit: {ground.machine.name} has {_gib(memory)}, "
            f"of which weights may take {WEIGHTS_SHARE:.0%}"
        )
    elif ground.max_model_len:
        cache = shape.kv_bytes(ground.max_model_len, ways.tensor, ways.pipeline)
        if weights + cache > memory * TOTAL_SHARE:
            yield (
                f"{_gib(weights)} of weights and {_gib(cache)} of cache for one sequence of {ground.max_model_len} "
                f"tokens exceed {TOTAL_SHARE:.0%} of the {_gib(memory)} of {ground.machine.name}"
            )


def notes(ground: Ground, ways: Parallelism) -> Iterator[str]:
    """Explain a legal division."""
    yield f"{_product(ways)} on {_hosts(ground)} with {ground.machine.devices} x {ground.machine.name} each"
    idle = ground.devices - world(ways)
    if idle:
        yield f"{idle} of {ground.devices} devices stay idle"
    if ground.shape is None:
        yield "the model's shape is not known: divisibility and memory were not checked"
        return
    if ways.pipeline > 1 and ground.shape.layers % ways.pipeline:
        yield f"{ground.shape.layers} layers do not divide evenly into {ways.pipeline} stages"
    weights, memory = weights_per_device(ground.shape, ways), ground.machine.memory_bytes
    if weights is None:
        yield "the size of the weights is not known: memory was not checked"
    elif ground.accelerator == "cpu" and memory is None:
        yield f"{_gib(weights)} of weights per device, in the host's own memory"
    elif memory is None:
        yield f"{_gib(weights)} of weights per device; the memory of {ground.machine.name} is not known"
    else:
        tight = ": tight" if weights > memory * TIGHT_SHARE else ""
        yield f"{_gib(weights)} of weights per device, {weights / memory:.0%} of {_gib(memory)}{tight}"
    if ground.shape.quant_block and ground.machine.native_fp8 is False:
        yield f"{ground.machine.name} has no native FP8: use weights cast to BF16, INT8 or AWQ"


def _product(ways: Parallelism) -> str:
    text = f"tp {ways.tensor}"
    if ways.pipeline > 1:
        text += f" x pp {ways.pipeline}"
    return f"{text} x dp {ways.data}" if ways.data > 1 else text


def _hosts(ground: Ground) -> str:
    return "1 host" if ground.hosts == 1 else f"{ground.hosts} hosts"


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB / 10 else f"{size / 1024**2:.0f} MiB"
