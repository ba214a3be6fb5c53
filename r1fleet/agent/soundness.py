"""What makes a folder of weights unfit to be loaded or spread; headers are read, never the tensors behind them."""

from __future__ import annotations

import json
import os
import struct
from typing import Any, Callable, Dict, Iterator, NamedTuple, Optional

_POINTER = b"version https://git-lfs.github.com/spec/"
_HEADER_LIMIT = 100 * 1000 * 1000
_ALIGNED = 8
_INDEX = ".safetensors.index.json"
_ZIP, _ZIP_END, _ZIP_TAIL = b"PK\x03\x04", b"PK\x05\x06", 65557
_UNFINISHED = (".incomplete", ".aria2", ".part", ".partial", ".crdownload", ".download")
_AGAIN = "download it again"


class Fault(NamedTuple):
    """Why one file is unfit, and what to do about it."""

    path: str
    text: str
    todo: str

    def __str__(self) -> str:
        """Say which file it is, and what is wrong with it."""
        return "%s%s %s" % (self.path, "," if self.text.startswith("which ") else "", self.text)


def problems(folder: str) -> Iterator[str]:
    """Yield one line for each file that no engine could load."""
    for fault in faults(folder):
        yield str(fault)


def faults(folder: str) -> Iterator[Fault]:
    """Yield what is wrong with a folder, file by file."""
    names = sorted(_names(folder))
    for name in names:
        path = os.path.join(folder, name)
        if os.path.islink(path) and not os.path.exists(path):
            yield Fault(name, "is a link to a file that is not there", "copy the file itself, or download it again")
        elif os.path.isfile(path):
            found = of_file(path, name)
            if found:
                yield found
    for name in names:
        if name.endswith(_INDEX) and os.sep not in name:
            yield from of_index(os.path.join(folder, name), name, lambda shard: _is_file(folder, shard))


def _names(folder: str) -> Iterator[str]:
    """Yield the files, without those in hidden folders: tools leave there what no engine reads."""
    for place, folders, found in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in found:
            yield os.path.relpath(os.path.join(place, name), folder)


def of_file(path: str, name: str) -> Optional[Fault]:
    """Return what is wrong with one file, which is called ``name`` in its folder."""
    if name.endswith(_UNFINISHED):
        return Fault(name, "is an unfinished download", "let it finish, or remove it and download the file again")
    with open(path, "rb") as stream:
        start = stream.read(len(_POINTER))
    if start == _POINTER:
        todo = "run `git lfs pull` there, or put the file itself in its place"
        return Fault(name, "is a git-lfs pointer, not the file itself", todo)
    if name.endswith(".safetensors"):
        text = _of_safetensors(path)
    elif start.startswith(_ZIP) and name.endswith((".bin", ".pt", ".pth")):
        text = _of_zip(path)
    else:
        return None
    return Fault(name, text, _AGAIN) if text else None


def of_index(path: str, name: str, is_there: Callable[[str], bool]) -> Iterator[Fault]:
    """Yield the shards that an index names and that are not there."""
    try:
        with open(path, encoding="utf-8") as stream:
            shards = {str(shard) for shard in json.load(stream)["weight_map"].values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        yield Fault(name, "is damaged", _AGAIN)
        return
    for shard in sorted(shards):
        if not is_there(shard):
            yield Fault(shard, "which %s names, is missing" % name, _AGAIN)


def _is_file(folder: str, name: str) -> bool:
    return os.path.isfile(os.path.join(folder, name))


def _of_safetensors(path: str) -> Optional[str]:
    """Check the header against the file's end: a truncated download has a good header and lacks tensors."""
    size = os.path.getsize(path)
    with open(path, "rb") as stream:
        head = stream.read(_ALIGNED)
        length = struct.unpack("<Q", head)[0] if len(head) == _ALIGNED else _HEADER_LIMIT + 1
        if length > min(size - _ALIGNED, _HEADER_LIMIT):
            return "is no safetensors file, or was cut short in its header"
        try:
            expected = _ALIGNED + length + _end(json.loads(stream.read(length).decode("utf-8")))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            return "has a damaged safetensors header"
    return None if expected == size else "has %d bytes where its header says %d" % (size, expected)


def _end(header: Dict[str, Any]) -> int:
    """Return where the last tensor ends; tensors follow each other without a gap, or the header is damaged."""
    spans = sorted(tuple(entry["data_offsets"]) for name, entry in header.items() if name != "__metadata__")
    end = 0
    for start, stop in spans:
        if start != end or stop < start:
            raise ValueError
        end = stop
    return end


def _of_zip(path: str) -> Optional[str]:
    """Look for the directory at a zip's end, which a truncated one lacks (torch writes its weights as zips)."""
    size = os.path.getsize(path)
    with open(path, "rb") as stream:
        stream.seek(max(0, size - _ZIP_TAIL))
        return None if _ZIP_END in stream.read(_ZIP_TAIL) else "was cut short: its end is not there"
