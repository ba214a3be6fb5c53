"""What makes a folder of weights unfit to be loaded or spread; headers are read, never the tensors behind them."""

from __future__ import annotations

import json
import os
import struct
from typing import Iterator, Optional

_POINTER = b"version https://git-lfs.github.com/spec/"
_HEADER_LIMIT = 100 * 1000 * 1000
_ALIGNED = 8


def problems(folder: str) -> Iterator[str]:
    """Yield one line for each file that no engine could load."""
    names = sorted(
        os.path.relpath(os.path.join(place, name), folder) for place, _, found in os.walk(folder) for name in found
    )
    for name in names:
        path = os.path.join(folder, name)
        if os.path.islink(path) and not os.path.exists(path):
            yield "%s is a link to a file that is not there" % name
        elif os.path.isfile(path):
            found = _of_file(path)
            if found:
                yield "%s %s" % (name, found)
    for name in names:
        if name.endswith(".safetensors.index.json") and os.sep not in name:
            yield from _missing_shards(folder, name)


def _of_file(path: str) -> Optional[str]:
    with open(path, "rb") as stream:
        if stream.read(len(_POINTER)) == _POINTER:
            return "is a git-lfs pointer, not the file itself"
    return _of_safetensors(path) if path.endswith(".safetensors") else None


def _of_safetensors(path: str) -> Optional[str]:
    """Check the header against the file's end: a truncated download has a good header and lacks tensors."""
    size = os.path.getsize(path)
    with open(path, "rb") as stream:
        head = stream.read(_ALIGNED)
        length = struct.unpack("<Q", head)[0] if len(head) == _ALIGNED else _HEADER_LIMIT + 1
        if length > min(size - _ALIGNED, _HEADER_LIMIT):
            return "is no safetensors file, or was cut short in its header"
        try:
            header = json.loads(stream.read(length).decode("utf-8"))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return "has a damaged safetensors header"
    expected = _ALIGNED + length + max(ends, default=0)
    return None if expected == size else "has %d bytes where its header says %d" % (size, expected)


def _missing_shards(folder: str, index: str) -> Iterator[str]:
    try:
        with open(os.path.join(folder, index), encoding="utf-8") as stream:
            shards = set(json.load(stream)["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError):
        yield "%s is damaged" % index
        return
    for shard in sorted(shards):
        if not os.path.isfile(os.path.join(folder, str(shard))):
            yield "%s, which %s names, is missing" % (shard, index)
