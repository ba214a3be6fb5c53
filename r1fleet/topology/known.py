"""The models that people serve, as a table: their shapes, and where the numbers come from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from r1fleet.topology.models import ModelShape


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A row of the table: which repositories it stands for, its shape, and where the numbers come from."""

    names: tuple[str, ...]
    shape: ModelShape
    source: str
    certain: bool = True


_DEEPSEEK = ModelShape(
    hidden=7168,
    layers=61,
    heads=128,
    kv_heads=128,
    head_dim=192,
    intermediate=18432,
    vocab=129280,
    experts=256,
    moe_intermediate=2048,
    dense_layers=3,
    quant_block=128,
    latent_kv=576,
    weight_bytes=688_586_727_753,
    family="deepseek_v3",
    weights="fp8",
    positions=163840,
)
# Without the layer that predicts a second token, which a cast leaves out: 671 billion parameters, two bytes each.
_CAST = replace(_DEEPSEEK, quant_block=None, weights="bf16", weight_bytes=1_342_000_000_000)
_INT8 = replace(_DEEPSEEK, weights="int8")
_FOUR_BITS = replace(_DEEPSEEK, weights="int4", weight_bytes=365_000_000_000)


def _distilled(numbers: tuple[int, int, int, int, int, int], weight_bytes: int, family: str) -> ModelShape:
    hidden, layers, heads, kv_heads, intermediate, vocab = numbers
    return ModelShape(
        hidden, layers, heads, kv_heads, 128, intermediate, vocab,
        weight_bytes=weight_bytes, family=family, positions=131072,
    )  # fmt: skip


# fmt: off
MODELS: Final[tuple[KnownModel, ...]] = (
    KnownModel(("deepseek-ai/DeepSeek-R1", "deepseek-ai/DeepSeek-V3"), _DEEPSEEK,
               "config.json and model.safetensors.index.json of the repositories"),
    KnownModel(("deepseek-ai/DeepSeek-R1-0528", "deepseek-ai/DeepSeek-R1-Zero", "deepseek-ai/DeepSeek-V3-0324",
                "deepseek-ai/DeepSeek-V3-Base"), _DEEPSEEK,
               "config.json; bytes taken from R1, whose shape they share", certain=False),
    KnownModel(("deepseek-ai/DeepSeek-V3.1", "deepseek-ai/DeepSeek-V3.1-Base", "deepseek-ai/DeepSeek-V3.1-Terminus"),
               _DEEPSEEK, "config.json; bytes taken from R1 (not published where we looked)", certain=False),
    KnownModel(("deepseek-ai/DeepSeek-V3.2", "deepseek-ai/DeepSeek-V3.2-Exp", "deepseek-ai/DeepSeek-V3.2-Exp-Base"),
               replace(_DEEPSEEK, family="deepseek_v32"),
               "config.json; bytes taken from R1; its sparse attention's index is not counted", certain=False),
    KnownModel(("unsloth/DeepSeek-R1-BF16", "unsloth/DeepSeek-V3-bf16"), _CAST,
               "671 billion parameters x 2; what fp8_cast_bf16.py makes", certain=False),
    KnownModel(("meituan/DeepSeek-R1-Block-INT8",), _INT8, "bytes taken from R1: one byte a weight", certain=False),
    KnownModel(("meituan/DeepSeek-R1-Channel-INT8",), replace(_INT8, quant_block=None),
               "bytes taken from R1: one byte a weight", certain=False),
    KnownModel(("cognitivecomputations/DeepSeek-R1-AWQ", "cognitivecomputations/DeepSeek-V3-AWQ"),
               replace(_FOUR_BITS, quant_block=64), "four bits a weight and its scales", certain=False),
    KnownModel(("novita/Deepseek-R1-0528-W4AFP8",), replace(_FOUR_BITS, weights="w4afp8"),
               "four bits an expert's weight, one byte any other", certain=False),
    KnownModel(("nvidia/DeepSeek-R1-FP4", "nvidia/DeepSeek-R1-NVFP4", "nvidia/DeepSeek-R1-0528-FP4"),
               replace(_DEEPSEEK, quant_block=16, weights="nvfp4", weight_bytes=424_000_000_000),
               "four bits a weight, its scales, and attention in BF16", certain=False),
    KnownModel(("amd/DeepSeek-R1-MXFP4-Preview", "amd/DeepSeek-R1-0528-MXFP4-Preview"),
               replace(_DEEPSEEK, quant_block=32, weights="mxfp4", weight_bytes=400_000_000_000),
               "four bits a weight, its scales, and attention in BF16", certain=False),
    KnownModel(("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B",),
               _distilled((1536, 28, 12, 2, 8960, 151936), 3_554_176_000, "qwen2"),
               "config.json; bytes = parameters x 2, as the shard sizes show"),
    KnownModel(("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B",),
               _distilled((3584, 28, 28, 4, 18944, 152064), 15_231_233_024, "qwen2"),
               "config.json; bytes = parameters x 2, as the shard sizes show"),
    KnownModel(("deepseek-ai/DeepSeek-R1-Distill-Llama-8B",),
               _distilled((4096, 32, 32, 8, 14336, 128256), 16_060_522_496, "llama"),
               "config.json; bytes equal the published index of the base model"),
    KnownModel(("meta-llama/Meta-Llama-3-8B-Instruct",),
               replace(_distilled((4096, 32, 32, 8, 14336, 128256), 16_060_522_496, "llama"), positions=8192),
               "published index; its shape is the distilled Llama-8B's"),
    KnownModel(("deepseek-ai/DeepSeek-R1-Distill-Qwen-14B",),
               _distilled((5120, 48, 40, 8, 13824, 152064), 29_540_067_328, "qwen2"),
               "config.json; bytes = parameters x 2, as the shard sizes show"),
    KnownModel(("deepseek-ai/DeepSeek-R1-Distill-Qwen-32B",),
               _distilled((5120, 64, 40, 8, 27648, 152064), 65_527_752_704, "qwen2"),
               "config.json; bytes = parameters x 2"),
    KnownModel(("deepseek-ai/DeepSeek-R1-Distill-Llama-70B",),
               _distilled((8192, 80, 64, 8, 28672, 128256), 141_107_412_992, "llama"),
               "config.json; bytes = parameters x 2"),
)
# fmt: on


def known_shape(model: str) -> ModelShape | None:
    """Return the shape of a model from the table, by its repository's name."""
    wanted = model.lower()
    return next((row.shape for row in MODELS for name in row.names if name.lower() == wanted), None)
