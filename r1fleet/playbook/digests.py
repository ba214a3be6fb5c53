"""Hashes of the controller's files: remembered, and big ones never made where other hosts wait for it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

_CHUNK = 1 << 20
_BIG = 4 << 20
_Made = TypeVar("_Made")
_Known = tuple[str, int, int]


class Unhashed(Exception):
    """The hash of a big file is not known yet; making it takes a while."""

    def __init__(self, path: Path, known: _Known) -> None:
        super().__init__(str(path))
        self.path = path
        self.known = known


_big: dict[_Known, str] = {}
_hashing = threading.Lock()


def digest_of(path: Path, info: os.stat_result) -> str:
    """Return a file's hash; raise Unhashed for a big one that was not hashed before."""
    known = (str(path), info.st_mtime_ns, info.st_size)
    if info.st_size < _BIG:
        return _small(*known)
    if known not in _big:
        raise Unhashed(path, known)
    return _big[known]


async def with_digests(make: Callable[[], _Made]) -> _Made:
    """Return what is made, after hashing in a thread what it turns out to need."""
    while True:
        try:
            return make()
        except Unhashed as missing:
            await asyncio.to_thread(_hash_big, missing)


def sha256_of(path: Path) -> str:
    """Read a file piece by piece and return its hash."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@lru_cache(maxsize=4096)
def _small(path: str, changed: int, size: int) -> str:
    """Return a file's hash; time and size are there so that a changed file is read again."""
    del changed, size
    return sha256_of(Path(path))


def _hash_big(missing: Unhashed) -> None:
    """Hash one big file at a time: many hosts want the same."""
    with _hashing:
        if missing.known not in _big:
            _big[missing.known] = sha256_of(missing.path)
