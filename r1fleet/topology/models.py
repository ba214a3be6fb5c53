"""How models are shaped: a table of the ones people serve, and reading a model's own config.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What decides how a model can be divided and where it fits.

    ``quant_block`` is the side of its FP8 weight blocks, None without. ``latent_kv`` is the width per layer and token
    that multi-head latent attention keeps whole on every tensor rank, None with ordinary heads.
    """

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    experts: int | None = None
    moe_intermediate: int | None = None
    dense_layers: int = 0
    quant_block: int | None = None
    latent_kv: int | None = None
    weight_bytes: int | None = None

    @property
    def expert_bytes(self) -> int:
        """Return the bytes of all routed experts, 0 for a dense model."""
        if not self.experts or not self.moe_intermediate:
            return 0
        each = 3 * self.hidden * self.moe_intermediate
        return (self.layers - self.dense_layers) * self.experts * each * (1 if self.quant_block else 2)

    def kv_bytes(self, tokens: int, tensor: int, pipeline: int) -> int:
        """Return the bytes that the cache of ``tokens`` tokens takes on one device, in BF16."""
        layers = -(-self.layers // pipeline)
        if self.latent_kv is not None:
            return tokens * layers * self.latent_kv * 2
        heads = max(1, -(-self.kv_heads // tensor))
        return tokens * layers * heads * self.head_dim * 2 * 2


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
)

# fmt: off
MODELS: Final[tuple[KnownModel, ...]] = (
    KnownModel(("deepseek-ai/DeepSeek-R1", "deepseek-ai/DeepSeek-V3"), _DEEPSEEK,
               "config.json and model.safetensors.index.json of the repositories"),
    KnownModel(("deepseek-ai/DeepSeek-R1-0528", "deepseek-ai/DeepSeek-R1-Zero", "deepseek-ai/DeepSeek-V3-0324",
                "deepseek-ai/DeepSeek-V3-Base"), _DEEPSEEK,
               "config.json; bytes taken from R1, whose shape they share", certain=False),
    KnownModel(("deepseek-ai/DeepSeek-V3.1", "deepseek-ai/DeepSeek-V3.1-Base", "deepseek-ai/DeepSeek-V3.1-Terminus"),
               _DEEPSEEK, "config.json; bytes taken from R1 (not published where we looked)", certain=False),
    KnownModel(("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B",),
               ModelShape(1536, 28, 12, 2, 128, 8960, 151936, weight_bytes=3_554_176_000),
               "config.json; bytes = parameters x 2, as the shard sizes show"),
    KnownModel(("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B",),
               ModelShape(3584, 28, 28, 4, 128, 18944, 152064, weight_bytes=15_231_233_024),
               "config.json; bytes = parameters x 2, as the shard sizes show"),
    KnownModel(("deepseek-ai/DeepSeek-R1-Distill-Llama-8B",),
               ModelShape(4096, 32, 32, 8, 128, 14336, 128256, weight_bytes=16_060_522_496),
               "config.json; bytes equal the published index of the base model"),
    KnownModel(("deepseek-ai/DeepSeek-R1-Distill-Qwen-14B",),
               ModelShape(5120, 48, 40, 8, 128, 13824, 152064, weight_bytes=29_540_067_328),
               "config.json; bytes = parameters x 2, as the shard sizes show"),
    KnownModel(("deepseek-ai/DeepSeek-R1-Distill-Qwen-32B",),
               ModelShape(5120, 64, 40, 8, 128, 27648, 152064, weight_bytes=65_527_752_704),
               "config.json; bytes = parameters x 2"),
    KnownModel(("deepseek-ai/DeepSeek-R1-Distill-Llama-70B",),
               ModelShape(8192, 80, 64, 8, 128, 28672, 128256, weight_bytes=141_107_412_992),
               "config.json; bytes = parameters x 2"),
)
# fmt: on


def known_shape(model: str) -> ModelShape | None:
    """Return the shape of a model from the table, by its repository's name."""
    wanted = model.lower()
    return next((row.shape for row in MODELS for name in row.names if name.lower() == wanted), None)


def model_shape(config: Mapping[str, Any], *, weight_bytes: int | None = None) -> ModelShape | None:
    """Read a model's own config.json; None when it does not describe a decoder that we know how to divide."""
    hidden, layers = _number(config, "hidden_size"), _number(config, "num_hidden_layers")
    heads, intermediate = _number(config, "num_attention_heads"), _number(config, "intermediate_size")
    if hidden is None or layers is None or heads is None or intermediate is None:
        return None
    shape = ModelShape(
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_heads=_number(config, "num_key_value_heads") or heads,
        head_dim=_number(config, "head_dim") or hidden // heads,
        intermediate=intermediate,
        vocab=_number(config, "vocab_size") or 0,
        quant_block=_quant_block(config),
        weight_bytes=weight_bytes,
    )
    return _with_latent_attention(_with_experts(shape, config), config)


def _with_experts(shape: ModelShape, config: Mapping[str, Any]) -> ModelShape:
    experts = _number(config, "n_routed_experts") or _number(config, "num_experts")
    if experts is None:
        return shape
    return replace(
        shape,
        experts=experts,
        moe_intermediate=_number(config, "moe_intermediate_size"),
        dense_layers=_number(config, "first_k_dense_replace") or 0,
    )


def _with_latent_attention(shape: ModelShape, config: Mapping[str, Any]) -> ModelShape:
    rank = _number(config, "kv_lora_rank")
    if rank is None:
        return shape
    return replace(shape, latent_kv=rank + (_number(config, "qk_rope_head_dim") or 0))


def _quant_block(config: Mapping[str, Any]) -> int | None:
    """Return the block side of block-FP8 weights; a BF16 cast must not keep ``quantization_config``."""
    quantization = config.get("quantization_config")
    block = quantization.get("weight_block_size") if isinstance(quantization, Mapping) else None
    return block[0] if isinstance(block, list) and block and isinstance(block[0], int) else None


def _number(config: Mapping[str, Any], key: str) -> int | None:
    value = config.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
