"""Read a model's shape from its own files on this machine: config.json, and the index of its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from r1fleet.errors import SpecError, Where
from r1fleet.topology import ModelShape, lacking, model_shape

CONFIG: Final = "config.json"
INDEX: Final = "model.safetensors.index.json"
LONGEST: Final[Mapping[str, int]] = {CONFIG: 1 << 20, INDEX: 64 << 20}
"""No model's file of this name is longer."""


def read_model(path: Path) -> ModelShape:
    """Read a model's folder, or a config.json alone; what is cut, huge or lacks keys is an error that says so."""
    config_file = path if path.is_file() else path / CONFIG
    config = _object(config_file, CONFIG)
    shape = shape_of(config, weight_bytes=_weight_bytes(config_file.parent), where=Where(str(config_file)))
    if shape is None:
        raise SpecError(
            f"config.json lacks {', '.join(lacking(config))}",
            where=Where(str(config_file)),
            hint="it describes no decoder that can be divided, or it is not whole: fetch it again",
        )
    return shape


def shape_of(config: Mapping[str, Any], *, weight_bytes: int | None, where: Where) -> ModelShape | None:
    """Read a config.json; None for a kind of model that is not known, an error where a known kind lacks keys."""
    missing = lacking(config)
    family = config.get("model_type")
    if missing and (len(missing) < len(_LEAST) or family in _DECODERS):
        raise SpecError(
            f"config.json lacks {', '.join(missing)}, or has there what is no positive whole number",
            where=where,
            hint="it is not whole, or not as its maker published it: fetch it again",
        )
    return model_shape(config, weight_bytes=weight_bytes)


_LEAST: Final = lacking({})
_DECODERS: Final = ("deepseek_v3", "deepseek_v32", "qwen2", "llama")


def _weight_bytes(folder: Path) -> int | None:
    """Return what the index says, else the size of the shards; None where neither is there."""
    index = folder / INDEX
    if index.is_file():
        told = _object(index, INDEX).get("metadata")
        total = told.get("total_size") if isinstance(told, Mapping) else None
        if isinstance(total, (int, float)) and not isinstance(total, bool) and total > 0:
            return int(total)
    shards = [file for file in folder.glob("*.safetensors") if not file.name.startswith("consolidated")]
    return sum(file.stat().st_size for file in shards) or None


def _object(file: Path, kind: str) -> Mapping[str, Any]:
    where = Where(str(file))
    try:
        size = file.stat().st_size
        content = file.read_bytes() if size <= LONGEST[kind] else b""
    except OSError as error:
        reason = error.strerror or str(error)
        raise SpecError(
            f"cannot be read: {reason}", where=where, hint="name a model's folder, or its config.json"
        ) from None
    if size > LONGEST[kind]:
        raise SpecError(
            f"has {size / (1 << 20):.0f} MiB, and no model's {kind} has more than {LONGEST[kind] >> 20}",
            where=where,
            hint="it is another file under that name: fetch it again",
        )
    try:
        told = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        at = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "the start"
        raise SpecError(f"is cut or is no JSON (at {at})", where=where, hint="fetch it again") from None
    if not isinstance(told, dict):
        raise SpecError("holds no JSON object", where=where, hint="fetch it again")
    return told
