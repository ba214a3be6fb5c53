"""Which divisions of a model are legal; every refusal says why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from r1fleet.topology import memory, vendor
from r1fleet.topology.gang import Parallelism
from r1fleet.topology.ground import Ground
from r1fleet.topology.models import ModelShape

CASTS: Final = "use weights cast to BF16, INT8 or AWQ"
CAST_SHARE: Final = 1.6
"""From this many times the bytes of the experts alone on, FP8 weights are none."""


def refusals(ground: Ground, ways: Parallelism) -> Iterator[str]:
    """Tell everything that stands against a division."""
    yield from _placement(ground, ways)
    yield from _accelerator(ground, ways)
    yield from _engine(ground, ways)
    if ground.shape is not None:
        yield from _numbers(ground, ground.shape)
        yield from _divisibility(ground.shape, ways, blocks=ground.accelerator != "vastai")
        yield from memory.refusals(ground, ground.shape, ways)


def notes(ground: Ground, ways: Parallelism) -> Iterator[str]:
    """Explain a legal division."""
    machine = ground.machine
    carried = f"{machine.devices} dies of" if machine.vendor == "vastai" else f"{machine.devices} x"
    yield f"{ways} on {_hosts(ground)} with {carried} {machine.name} each"
    idle = ground.devices - ways.world
    if idle:
        yield f"{idle} of {ground.devices} devices stay idle"
    if ground.shape is None:
        yield "the model's shape is not known: divisibility and memory were not checked"
        return
    if ways.pipeline > 1 and ground.shape.layers % ways.pipeline:
        yield f"{ground.shape.layers} layers do not divide evenly into {ways.pipeline} stages"
    yield from memory.notes(ground, ways)
    if ground.shape.weights == "fp8" and ground.demand.to_fp8:
        yield "leave `quantization: fp8` out: these weights are FP8 already and say so themselves"


def _placement(ground: Ground, ways: Parallelism) -> Iterator[str]:
    taken = ways.world
    if taken > ground.devices:
        have = "has" if ground.hosts == 1 else "have"
        yield f"{_product(ways)} needs {taken} devices; {_hosts(ground)} {have} {ground.devices}"
    elif taken % ground.hosts:
        yield f"{_product(ways)} takes {taken} devices, which cannot be spread evenly over {ground.hosts} hosts"
    elif ground.hosts > 1 and ways.data > 1:
        per_replica = ways.tensor * ways.pipeline
        if ways.data % ground.hosts or per_replica > ground.machine.devices:
            yield (
                f"dp {ways.data} over {ground.hosts} hosts needs every data-parallel part within one host "
                f"(tp x pp = {per_replica}, {ground.machine.devices} devices a host)"
            )


def _accelerator(ground: Ground, ways: Parallelism) -> Iterator[str]:
    if ground.accelerator == "vastai":
        yield from vendor.refusals(ground, ground.shape, ways)
    if ground.accelerator == "cpu" and ground.engine == "vllm":
        if ways.pipeline > 1:
            yield "vLLM on CPU does not serve with pipeline parallel in eager mode"
        if ways.expert > 1:
            yield "vLLM on CPU does not serve with expert parallel: its worker dies at the first request"


def _engine(ground: Ground, ways: Parallelism) -> Iterator[str]:
    """Tell what an engine lacks; expert parallel regroups the devices that tensor and data parallel already take."""
    wanted = {
        "hosts": ground.hosts,
        "tensor": ways.tensor,
        "pipeline": ways.pipeline,
        "data": ways.data,
        "expert": ways.expert,
        "attention": ways.attention,
    }
    yield from (why for kind, why in ground.lacks.items() if wanted[kind] > 1)
    if ground.engine == "sglang":
        yield from _sglang(ground, ways)
    if ground.engine == "vllm" and ways.expert not in (1, ways.tensor * ways.data):
        yield f"vLLM's expert parallel is always tp x dp = {ways.tensor * ways.data}, not {ways.expert}"


def _sglang(ground: Ground, ways: Parallelism) -> Iterator[str]:
    if ground.hosts > 1 and ways.data > 1:
        yield "SGLang's data parallel does not span hosts: use replicas, or attention_data_parallel"
    if ways.tensor % ways.expert:
        yield f"SGLang's expert parallel {ways.expert} does not divide tp {ways.tensor}"
    if ways.tensor % ways.attention:
        yield f"attention dp {ways.attention} does not divide tp {ways.tensor}"


def _numbers(ground: Ground, shape: ModelShape) -> Iterator[str]:
    """Tell what the devices cannot multiply, and lengths that the model was not made for."""
    machine, length = ground.machine, ground.demand.length
    needs_fp8 = shape.weights in ("fp8", "w4afp8") or (shape.weights == "bf16" and ground.demand.to_fp8)
    if needs_fp8 and machine.native_fp8 is False:
        yield f"{machine.name} has no native FP8: {CASTS}"
    if shape.weights in ("nvfp4", "mxfp4") and machine.fp4 not in (None, shape.weights):
        yield f"{machine.name} does not multiply {shape.weights.upper()}: use other weights"
    if shape.weights == "fp8" and shape.expert_bytes and (shape.weight_bytes or 0) > CAST_SHARE * shape.expert_bytes:
        yield (
            f"config.json says FP8, but {memory.gib(shape.weight_bytes or 0)} are BF16 weights: "
            "a cast must drop `quantization_config` from it"
        )
    if length is not None and shape.positions is not None and length > shape.positions:
        yield f"max_model_len {length} is longer than the {shape.positions} tokens that the model was made for"


def _divisibility(shape: ModelShape, ways: Parallelism, *, blocks: bool) -> Iterator[str]:
    tp = ways.tensor
    heads = max(1, tp // ways.attention)
    if shape.heads % heads:
        yield f"{shape.heads} attention heads cannot be divided by tp {heads}"
    elif shape.latent_kv is None and shape.kv_heads % heads and heads % shape.kv_heads:
        yield f"{shape.kv_heads} key-value heads and tp {heads} do not divide each other"
    if shape.intermediate % tp:
        yield f"the intermediate size {shape.intermediate} cannot be divided by tp {tp}"
    elif shape.quant_block and blocks:
        yield from _blocks(shape, ways, shape.quant_block)
    if ways.pipeline > shape.layers:
        yield f"{shape.layers} layers cannot make {ways.pipeline} pipeline stages"
    if ways.expert > 1:
        if not shape.experts:
            yield f"expert parallel {ways.expert} needs a model with experts"
        elif shape.experts % ways.expert:
            yield f"{shape.experts} experts cannot be divided by ep {ways.expert}"


def _blocks(shape: ModelShape, ways: Parallelism, block: int) -> Iterator[str]:
    kind = f"{shape.weights.upper()} blocks of {block}"
    part = shape.intermediate // ways.tensor
    if part % block:
        yield f"{kind}: {shape.intermediate}/{ways.tensor} = {part} is not divisible by {block}"
    expert_ways = max(1, ways.tensor // ways.expert)
    if shape.moe_intermediate and (shape.moe_intermediate / expert_ways) % block:
        part = shape.moe_intermediate // expert_ways
        yield f"{kind}: {shape.moe_intermediate}/{expert_ways} = {part} is not divisible by {block}"


def _product(ways: Parallelism) -> str:
    return str(Parallelism(ways.tensor, ways.pipeline, ways.data))


def _hosts(ground: Ground) -> str:
    return "1 host" if ground.hosts == 1 else f"{ground.hosts} hosts"
