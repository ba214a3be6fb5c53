"""What the vendor's own documents allow on Vastai cards, as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from r1fleet.topology.gang import Parallelism
from r1fleet.topology.ground import Ground
from r1fleet.topology.models import ModelShape


@dataclass(frozen=True, slots=True)
class Limit:
    """One way in which the vendor's vLLM runs DeepSeek's FP8 weights."""

    tensor: int
    pipeline: int
    length: int
    sequences: int | None
    speculates: bool


LIMITS: Final = (
    Limit(32, 1, 65536, sequences=4, speculates=True),
    Limit(32, 2, 131072, sequences=None, speculates=False),
)
FAMILY: Final = "deepseek_v3"
"""The vendor lists V3, V3.1, R1 and R1-0528, and no V3.2."""
DISTILLED: Final = ("qwen2", "llama")
"""Families that the vendor compiles (vamc) and serves with an engine of its own."""

COMPILED: Final = ("vastgenx", "llmdeploy")
"""The vendor's engines that serve what vamc has compiled."""


def limit_of(ways: Parallelism) -> Limit | None:
    """Return the vendor's row for a division."""
    return next((row for row in LIMITS if (row.tensor, row.pipeline) == (ways.tensor, ways.pipeline)), None)


def refusals(ground: Ground, shape: ModelShape | None, ways: Parallelism) -> Iterator[str]:
    """Tell what the vendor's stack does not do."""
    if ground.hosts > 1:
        yield "Vastai cards have no tensor or pipeline parallel across hosts; give every host its own replica"
    if ground.engine in COMPILED:
        yield from _compiled(ground.engine, shape, ways)
    elif shape is not None and shape.family in DISTILLED:
        yield "the vendor documents distilled models on its own engine only: use engine: vastgenx"
    elif shape is not None and shape.quant_block:
        yield from _fp8(ground, shape, ways)


def _compiled(engine: str, shape: ModelShape | None, ways: Parallelism) -> Iterator[str]:
    if shape is not None and shape.family and shape.family not in DISTILLED:
        yield f"{engine} serves compiled Qwen and Llama models, not {shape.family}: use engine: vllm"
    if ways.pipeline > 1 or ways.data > 1:
        yield f"{engine} divides a model by tensor parallel only"


def _fp8(ground: Ground, shape: ModelShape, ways: Parallelism) -> Iterator[str]:
    if shape.family and shape.family != FAMILY:
        yield f"the vendor's vLLM is not said to run {shape.family}: it lists DeepSeek V3, V3.1, R1 and R1-0528"
    if ways.tensor != 32:
        yield f"the vendor's vLLM runs DeepSeek's FP8 weights with tp 32 only, not tp {ways.tensor}"
        return
    row = limit_of(ways)
    if row is None:
        yield f"the vendor's vLLM runs tp 32 with pp 1 or 2, not pp {ways.pipeline}"
        return
    if ground.demand.length is not None and ground.demand.length > row.length:
        yield f"{ways} holds at most {row.length} tokens a sequence, not {ground.demand.length}"
    if row.sequences is not None and ground.demand.sequences > row.sequences:
        yield f"{ways} serves at most {row.sequences} sequences at once, not {ground.demand.sequences}"
    if ground.demand.speculates and not row.speculates:
        yield f"{ways} has no speculative decoding"
