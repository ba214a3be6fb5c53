"""Cast a model from block-wise FP8 to BF16: ``python - SOURCE TARGET``, with torch and safetensors, without a GPU.

A weight in FP8 has a neighbour ``..._scale_inv``, one number for each block of it: both become one BF16 tensor. What
config.json says of the quantization goes, so that no engine takes the result for FP8.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

INDEX = "model.safetensors.index.json"
SCALE = "_scale_inv"
FP8 = (torch.float8_e4m3fn, torch.float8_e5m2)


def main(source, target):
    """Cast every shard, copy what else there is, write config.json and the index."""
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    told = config.pop("quantization_config", None) or {}
    if told.get("quant_method") != "fp8" or not told.get("weight_block_size"):
        sys.exit(f"{source} has no block-wise FP8 weights: there is nothing to cast")
    config["torch_dtype"] = "bfloat16"
    target.mkdir(parents=True, exist_ok=True)
    shards = sorted(source.glob("*.safetensors"))
    scales, index, total = find_scales(shards), {}, 0
    for shard in shards:
        made = cast(shard, scales, told["weight_block_size"])
        save_file(made, target / shard.name, metadata={"format": "pt"})
        index.update(dict.fromkeys(made, shard.name))
        total += sum(tensor.numel() * tensor.element_size() for tensor in made.values())
    copy_others(source, target)
    write(target / "config.json", config)
    if len(shards) > 1:
        write(target / INDEX, {"metadata": {"total_size": total}, "weight_map": index})


def find_scales(shards):
    """Return which shard has each weight's scales: the two may lie apart."""
    found = {}
    for shard in shards:
        with safe_open(shard, "pt") as stream:
            found.update({name: shard for name in stream.keys() if name.endswith(SCALE)})  # noqa: SIM118
    return found


def cast(shard, scales, block):
    """Return the shard's tensors without scales, those in FP8 multiplied with theirs."""
    made = {}
    with safe_open(shard, "pt") as stream:
        for name in stream.keys():  # noqa: SIM118
            if name.endswith(SCALE):
                continue
            tensor = stream.get_tensor(name)
            if tensor.dtype in FP8:
                if name + SCALE not in scales:
                    sys.exit(f"{name} of {shard.name} is FP8 and has no scales")
                with safe_open(scales[name + SCALE], "pt") as other:
                    tensor = unscaled(tensor, other.get_tensor(name + SCALE), block)
            made[name] = tensor.contiguous()
    return made


def unscaled(weight, scale, block):
    """Multiply every block of a weight with its scale."""
    wide = scale.float().repeat_interleave(block[0], 0).repeat_interleave(block[1], 1)
    return (weight.float() * wide[: weight.shape[0], : weight.shape[1]]).to(torch.bfloat16)


def copy_others(source, target):
    """Copy tokenizer and the like; hidden files are the download's own."""
    for path in source.rglob("*"):
        inside = path.relative_to(source)
        hidden = any(part.startswith(".") for part in inside.parts)
        if path.is_file() and not hidden and path.suffix != ".safetensors" and path.name not in (INDEX, "config.json"):
            (target / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / inside)


def write(path, value):
    """Write JSON as hubs have it."""
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
