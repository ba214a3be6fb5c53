"""What makes a folder of weights unfit to be spread: found before a byte travels to other hosts."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

_POINTER = b"version https://git-lfs.github.com/spec/"
_HEADER_LIMIT = 100 * 1000 * 1000
_ALIGNED = 8


def problems(folder: Path) -> tuple[str, ...]:
    """Return one line for each file that no engine could load."""
    return tuple(_of_folder(folder))


def _of_folder(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink() and not path.exists():
            yield f"{name} is a link to a file that is not there"
        elif path.is_file():
            found = _of_file(path)
            if found:
                yield f"{name} {found}"
    yield from _missing_shards(folder)


def _of_file(path: Path) -> str | None:
    with path.open("rb") as stream:
        if stream.read(len(_POINTER)) == _POINTER:
            return "is a git-lfs pointer, not the file itself"
    return _of_safetensors(path) if path.suffix == ".safetensors" else None


def _of_safetensors(path: Path) -> str | None:
    """Check the header against the file's end: a truncated download has a good header and lacks tensors."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(_ALIGNED)
        length = struct.unpack("<Q", head)[0] if len(head) == _ALIGNED else _HEADER_LIMIT + 1
        if length > min(size - _ALIGNED, _HEADER_LIMIT):
            return "is no safetensors file, or was cut short in its header"
        try:
            header = json.loads(stream.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return "has a damaged safetensors header"
    expected = _ALIGNED + length + max(ends, default=0)
    return None if expected == size else f"has {size} bytes where its header says {expected}"


def _missing_shards(folder: Path) -> Iterator[str]:
    for index in sorted(folder.glob("*.safetensors.index.json")):
        try:
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, AttributeError):
            yield f"{index.name} is damaged"
            continue
        for shard in sorted(shards):
            if not (folder / str(shard)).is_file():
                yield f"{shard}, which {index.name} names, is missing"
