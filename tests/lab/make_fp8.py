"""Write a tiny model with block-wise FP8 weights, as DeepSeek-V3's are: run by an environment with torch."""

import json
import sys
from pathlib import Path

import torch  # type: ignore[import-not-found]
from safetensors.torch import save_file  # type: ignore[import-not-found]

BLOCK = 128
folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
torch.manual_seed(0)
# 200 and 300 are no multiples of the block: the last ones are cut.
wanted = torch.randn(200, 300)
tiles = torch.nn.functional.pad(wanted, (0, 84, 0, 56)).reshape(2, BLOCK, 3, BLOCK).abs().amax((1, 3))
scale = tiles / 448.0
wide = scale.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)[:200, :300]
weight = (wanted / wide).to(torch.float8_e4m3fn)
names = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
save_file({"proj.weight": weight, "norm.weight": torch.ones(4, dtype=torch.bfloat16)}, folder / names[0])
save_file({"proj.weight_scale_inv": scale}, folder / names[1])
save_file({"proj.weight": wanted}, folder.parent / "wanted.safetensors")
where = {"proj.weight": names[0], "norm.weight": names[0], "proj.weight_scale_inv": names[1]}
(folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
quantized = {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [BLOCK, BLOCK]}
(folder / "config.json").write_text(json.dumps({"model_type": "small", "quantization_config": quantized}))
(folder / "tokenizer.json").write_text("{}")
