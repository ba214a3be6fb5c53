"""Make a tiny model with random weights, complete enough for an engine to load and answer.

Runs in the engine's own environment and needs only numpy and tokenizers from it: the files are written directly,
which takes a second where building the model with the engine's libraries takes ten. The folder appears under its
final name in one rename, with a manifest of sha256 sums beside the files.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import struct
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

MANIFEST = ".r1fleet-manifest.json"
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
# No word stands here twice: see Values.
ANSWER = (
    "Two hosts computed this answer together: each rank holds its own slice of every tensor, "
    "and what you read could not come from only one."
)
OTHERS = [
    "What is the answer to the question?",
    "for node in nodes: print(node.rank, node.address)",
    "0 1 2 3 4 5 6 7 8 9",
]
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
COMMON = {
    "vocab_size": 1024,
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "intermediate_size": 256,
    "max_position_embeddings": 2048,
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "use_cache": True,
}
FAMILIES = {
    "qwen2": {
        **COMMON,
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
    },
    # The attention's head sizes are those of the real DeepSeek-V3: CPU kernels for it take no others.
    "deepseek_v3": {
        **COMMON,
        "architectures": ["DeepseekV3ForCausalLM"],
        "model_type": "deepseek_v3",
        "attention_bias": False,
        "first_k_dense_replace": 1,
        "kv_lora_rank": 512,
        "moe_intermediate_size": 64,
        "moe_layer_freq": 1,
        "n_group": 2,
        "n_routed_experts": 8,
        "n_shared_experts": 1,
        "norm_topk_prob": True,
        "num_experts_per_tok": 2,
        "q_lora_rank": 64,
        "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64,
        "routed_scaling_factor": 2.5,
        "scoring_func": "sigmoid",
        "topk_group": 1,
        "topk_method": "noaux_tc",
        "v_head_dim": 128,
    },
}
Shapes = Iterator[tuple[str, tuple[int, ...]]]


def main() -> None:
    """Make the model that the command line names, unless it is there already."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("family", choices=sorted(FAMILIES))
    parser.add_argument("target", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if is_sealed(given.target):
        print(f"{given.target} is there already")
        return
    staging = given.target.with_name(f".{given.target.name}.part-{os.getpid()}")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    write_model(given.family, staging, given.seed)
    seal(staging, given.family)
    publish(staging, given.target)
    print(f"made {given.target}")


def write_model(family: str, folder: Path, seed: int) -> None:
    """Write configuration, tokenizer and two shards of weights."""
    config = FAMILIES[family]
    write_json(folder / "config.json", config)
    write_json(folder / "generation_config.json", {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0})
    said = write_tokenizer(folder, config["vocab_size"], config["max_position_embeddings"])
    write_weights(folder, list(tensors(config)), Values(np.random.default_rng(seed), said))


def write_tokenizer(folder: Path, vocabulary: int, longest: int) -> list[int]:
    """Train a byte-level tokenizer, write it with its chat template, return the tokens of a whole reply."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([ANSWER, *OTHERS], trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    described = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": longest,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    write_json(folder / "tokenizer_config.json", described)
    return tokenizer.encode(f"<|im_start|>assistant\n{ANSWER}<|im_end|>").ids


def tensors(config: dict) -> Shapes:
    """Name every tensor of the model with its shape."""
    hidden = config["hidden_size"]
    attention = latent_attention if "kv_lora_rank" in config else plain_attention
    yield "model.embed_tokens.weight", (config["vocab_size"], hidden)
    for number in range(config["num_hidden_layers"]):
        layer = f"model.layers.{number}"
        yield f"{layer}.input_layernorm.weight", (hidden,)
        yield f"{layer}.post_attention_layernorm.weight", (hidden,)
        yield from attention(config, f"{layer}.self_attn")
        if number < config.get("first_k_dense_replace", config["num_hidden_layers"]):
            yield from feed_forward(f"{layer}.mlp", hidden, config["intermediate_size"])
        else:
            yield from experts(config, f"{layer}.mlp")
    yield "model.norm.weight", (hidden,)
    yield "lm_head.weight", (config["vocab_size"], hidden)


def plain_attention(config: dict, name: str) -> Shapes:
    """Name the tensors of Qwen2's attention, whose first three projections have biases."""
    hidden = config["hidden_size"]
    for part in ("q_proj", "k_proj", "v_proj"):
        yield f"{name}.{part}.weight", (hidden, hidden)
        yield f"{name}.{part}.bias", (hidden,)
    yield f"{name}.o_proj.weight", (hidden, hidden)


def latent_attention(config: dict, name: str) -> Shapes:
    """Name the tensors of DeepSeek's multi-head latent attention."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    query_rank, latent = config["q_lora_rank"], config["kv_lora_rank"]
    plain, rotary, value = config["qk_nope_head_dim"], config["qk_rope_head_dim"], config["v_head_dim"]
    yield f"{name}.q_a_proj.weight", (query_rank, hidden)
    yield f"{name}.q_a_layernorm.weight", (query_rank,)
    yield f"{name}.q_b_proj.weight", (heads * (plain + rotary), query_rank)
    yield f"{name}.kv_a_proj_with_mqa.weight", (latent + rotary, hidden)
    yield f"{name}.kv_a_layernorm.weight", (latent,)
    yield f"{name}.kv_b_proj.weight", (heads * (plain + value), latent)
    yield f"{name}.o_proj.weight", (hidden, heads * value)


def feed_forward(name: str, hidden: int, width: int) -> Shapes:
    """Name the tensors of one gated feed-forward block."""
    yield f"{name}.gate_proj.weight", (width, hidden)
    yield f"{name}.up_proj.weight", (width, hidden)
    yield f"{name}.down_proj.weight", (hidden, width)


def experts(config: dict, name: str) -> Shapes:
    """Name the tensors of one mixture of experts with its router and shared expert."""
    hidden, width = config["hidden_size"], config["moe_intermediate_size"]
    yield f"{name}.gate.weight", (config["n_routed_experts"], hidden)
    yield f"{name}.gate.e_score_correction_bias", (config["n_routed_experts"],)
    for number in range(config["n_routed_experts"]):
        yield from feed_forward(f"{name}.experts.{number}", hidden, width)
    yield from feed_forward(f"{name}.shared_experts", hidden, width * config["n_shared_experts"])


class Values:
    """What the tensors hold: norms are one, biases zero, everything else random, but for one thing.

    The output layer answers each token of ``said`` with the next one: a rank that computes wrongly spoils a known text.
    """

    def __init__(self, random: np.random.Generator, said: list[int]) -> None:
        self.random = random
        self.said = said
        self.embedding = np.zeros((0, 0), dtype="<f4")

    def of(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Return one tensor's values as float32."""
        if name.endswith("norm.weight"):
            return np.ones(shape, dtype="<f4")
        if name.endswith("bias"):
            return np.zeros(shape, dtype="<f4")
        if name.endswith("embed_tokens.weight"):
            self.embedding = self.random.normal(0.0, 1.0, shape).astype("<f4")
            return self.embedding
        values = self.random.normal(0.0, 0.02, shape).astype("<f4")
        if name == "lm_head.weight":
            for token, following in pairwise(self.said):
                values[following] += self.embedding[token] / 4
        return values


def write_weights(folder: Path, shapes: list[tuple[str, tuple[int, ...]]], values: Values) -> None:
    """Write the tensors into two shards and the index that names them."""
    half = (len(shapes) + 1) // 2
    index, total = {}, 0
    for number, part in enumerate((shapes[:half], shapes[half:]), start=1):
        shard = f"model-{number:05d}-of-00002.safetensors"
        total += write_shard(folder / shard, part, values)
        index.update({name: shard for name, _ in part})
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": index})


def write_shard(path: Path, shapes: list[tuple[str, tuple[int, ...]]], values: Values) -> int:
    """Write one safetensors file; return the size of its data."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    contents, offset = [], 0
    for name, shape in shapes:
        kind, content = encode(name, values.of(name, shape))
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [offset, offset + len(content)]}
        contents.append(content)
        offset += len(content)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(contents))
    return offset


def encode(name: str, values: np.ndarray) -> tuple[str, bytes]:
    """Return a tensor's type and bytes: the router's correction in full precision, the rest as bfloat16."""
    if name.endswith("e_score_correction_bias"):
        return "F32", values.tobytes()
    # bfloat16 is the upper half of a float32.
    return "BF16", (values.view("<u4") >> 16).astype("<u2").tobytes()


def seal(folder: Path, name: str) -> None:
    """Write the manifest of all files, so that any host can check its copy."""
    files = []
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        files.append({"path": path.name, "size": len(content), "sha256": sha256(content)})
    write_json(folder / MANIFEST, {"schema": 1, "name": f"tiny {name}", "recipe": recipe(), "files": files})


def is_sealed(folder: Path) -> bool:
    """Tell whether this very program made the folder and every file is as the manifest says."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest.get("recipe") != recipe():
            return False
        return all(sha256((folder / row["path"]).read_bytes()) == row["sha256"] for row in manifest["files"])
    except (OSError, ValueError, KeyError):
        return False


def recipe() -> str:
    """Return this program's sha256: another program makes another model."""
    return sha256(Path(__file__).read_bytes())


def sha256(content: bytes) -> str:
    """Return the sha256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def publish(staging: Path, target: Path) -> None:
    """Flush the staged folder to disk and give it its name; what stood there unsealed goes."""
    for path in [*staging.iterdir(), staging]:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    if target.exists():
        shutil.rmtree(target)
    staging.rename(target)


def write_json(path: Path, value: object) -> None:
    """Write one JSON file, readable by people."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
