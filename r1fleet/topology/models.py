"""How models are shaped: what decides how one can be divided and where it fits, read from its own config.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

Weights = Literal["bf16", "fp8", "int8", "int4", "w4afp8", "nvfp4", "mxfp4", "other"]
"""How the numbers of the weights are written."""

BYTES: Final[Mapping[Weights, float]] = {
    "bf16": 2,
    "fp8": 1,
    "int8": 1,
    "int4": 0.5,
    "w4afp8": 0.5,
    "nvfp4": 0.5625,
    "mxfp4": 0.53125,
}
"""Bytes of one weight, with the scales that lie beside it."""

NEEDED: Final = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
"""Keys of a config.json without which nothing can be said."""

_METHODS: Final[Mapping[str, Weights]] = {
    "fp8": "fp8",
    "blockwise_int8": "int8",
    "w8a8_int8": "int8",
    "awq": "int4",
    "gptq": "int4",
    "moe_wna16": "int4",
    "w4afp8": "w4afp8",
    "modelopt": "nvfp4",
    "modelopt_fp4": "nvfp4",
    "nvfp4": "nvfp4",
    "quark": "mxfp4",
    "mxfp4": "mxfp4",
}


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What decides how a model can be divided and where it fits.

    ``quant_block`` is the side of its weights' blocks or groups that no division may cut, None without. ``latent_kv``
    is the width per layer and token that multi-head latent attention keeps whole on every tensor rank, None with
    ordinary heads. ``positions`` is the longest sequence it was made for.
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
    family: str = ""
    weights: Weights = "bf16"
    positions: int | None = None

    @property
    def expert_bytes(self) -> int:
        """Return the bytes of all routed experts, 0 for a dense model and where the weights are of an unknown kind."""
        if not self.experts or not self.moe_intermediate:
            return 0
        each = 3 * self.hidden * self.moe_intermediate
        return int((self.layers - self.dense_layers) * self.experts * each * BYTES.get(self.weights, 0))

    def kv_bytes(self, tokens: int, tensor: int, pipeline: int, *, each: int = 2) -> int:
        """Return the bytes that the cache of ``tokens`` tokens takes on one device; ``each`` is a number's bytes."""
        layers = -(-self.layers // pipeline)
        if self.latent_kv is not None:
            return tokens * layers * self.latent_kv * each
        heads = max(1, -(-self.kv_heads // tensor))
        return tokens * layers * heads * self.head_dim * 2 * each


def as_bf16(shape: ModelShape | None) -> ModelShape | None:
    """Return what a cast of FP8 weights to BF16 makes of a model."""
    if shape is None or shape.weights != "fp8":
        return shape
    size = shape.weight_bytes * 2 if shape.weight_bytes else None
    return replace(shape, weights="bf16", quant_block=None, weight_bytes=size)


def model_shape(config: Mapping[str, Any], *, weight_bytes: int | None = None) -> ModelShape | None:
    """Read a model's own config.json; None when it does not describe a decoder that we know how to divide."""
    if lacking(config):
        return None
    hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
    shape = ModelShape(
        hidden=hidden,
        layers=int(config["num_hidden_layers"]),
        heads=heads,
        kv_heads=_number(config, "num_key_value_heads") or heads,
        head_dim=_number(config, "head_dim") or hidden // heads,
        intermediate=int(config["intermediate_size"]),
        vocab=_number(config, "vocab_size") or 0,
        weight_bytes=weight_bytes,
        family=str(config.get("model_type") or ""),
        positions=_number(config, "max_position_embeddings"),
    )
    return _with_quantization(_with_latent_attention(_with_experts(shape, config), config), config)


def lacking(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the keys that a config.json needs and does not have as a positive whole number."""
    return tuple(key for key in NEEDED if _number(config, key) is None)


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
    rope = _number(config, "qk_rope_head_dim") or 0
    head = (_number(config, "qk_nope_head_dim") or 0) + rope
    return replace(shape, latent_kv=rank + rope, head_dim=_number(config, "head_dim") or head or shape.head_dim)


def _with_quantization(shape: ModelShape, config: Mapping[str, Any]) -> ModelShape:
    """Read how the weights are written; a BF16 cast must not keep ``quantization_config``."""
    told = config.get("quantization_config")
    if not isinstance(told, Mapping):
        return shape
    method = str(told.get("quant_method") or "")
    sides = told.get("weight_block_size")
    block = sides[0] if isinstance(sides, list) and sides and isinstance(sides[0], int) else None
    if block is None and _METHODS.get(method) == "int4":
        block = _number(told, "group_size")
    return replace(shape, weights=_METHODS.get(method, "other"), quant_block=block)


def _number(config: Mapping[str, Any], key: str) -> int | None:
    value = config.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
