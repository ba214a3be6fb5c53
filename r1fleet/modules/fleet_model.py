"""Read what a model's folder says of itself: its config.json, and how many bytes its weights have."""

from __future__ import annotations

import json
import os
from typing import Any

from r1fleet.agent.context import Context

ARGUMENTS = {"path": {"type": "path", "required": True}}
LOCAL = True
CHECK_MODE = True

_LONGEST = 1024 * 1024


def run(ctx: Context) -> dict[str, Any]:
    """Answer with ``config`` and ``weight_bytes``, each None where the folder does not tell, and why the first is."""
    path = ctx.args["path"]
    config, problem = _config(path)
    return {"changed": False, "config": config, "problem": problem, "weight_bytes": _weight_bytes(path)}


def _config(folder: str) -> tuple[dict[str, Any] | None, str]:
    try:
        with open(os.path.join(folder, "config.json"), "rb") as stream:
            text = stream.read(_LONGEST + 1)
    except OSError:
        return None, ""
    if len(text) > _LONGEST:
        return None, "config.json has more than 1 MiB"
    try:
        config = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):
        return None, "config.json is cut or is no JSON"
    return (config, "") if isinstance(config, dict) else (None, "config.json holds no JSON object")


def _weight_bytes(folder: str) -> int | None:
    """Add up the shards; some models carry the same weights a second time, consolidated."""
    try:
        names = [name for name in os.listdir(folder) if name.endswith(".safetensors")]
        shards = [name for name in names if not name.startswith("consolidated")]
        return sum(os.stat(os.path.join(folder, name)).st_size for name in shards) or None
    except OSError:
        return None
