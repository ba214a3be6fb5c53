"""Divide a set into groups, each sealed and spread by itself, so that hosts begin before the source has everything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from r1fleet.weights.manifest import Manifest, SealedFile

MOST_GROUPS = 32
"""Every group costs a connection between any two hosts."""

_LEAST_PIECE, _MOST_PIECE = 1 << 16, 1 << 21
_PIECES = 1024


def piece_size(manifest: Manifest) -> int:
    """Return how long pieces are: small sets have pieces enough to share, big ones not too many to count."""
    piece = _LEAST_PIECE
    while piece < _MOST_PIECE and manifest.size // (piece * 2) >= _PIECES:
        piece *= 2
    return piece


class Divider:
    """Gathers files until a group is worth its connections."""

    def __init__(self, manifest: Manifest, group_bytes: int) -> None:
        self._wanted = {file.path: file for file in manifest.files}
        self._least = max(group_bytes, manifest.size // MOST_GROUPS)
        self._waiting: list[SealedFile] = []

    @property
    def missing(self) -> tuple[str, ...]:
        """Files that the source has not got yet."""
        return tuple(self._wanted)

    def take(self, paths: Iterable[str]) -> None:
        """Note files that are whole at the source; those noted before, and strangers, are passed over."""
        self._waiting += [self._wanted.pop(path) for path in paths if path in self._wanted]

    def forget(self) -> None:
        """Leave out what was noted: it is in a group of an earlier time."""
        self._waiting = []

    def groups(self) -> Sequence[tuple[SealedFile, ...]]:
        """Return the groups that are ready; the last one when nothing is missing any more."""
        ready, group, size = [], list[SealedFile](), 0
        for file in self._waiting:
            group.append(file)
            size += file.size
            if size >= self._least:
                ready.append(tuple(group))
                group, size = [], 0
        if group and not self._wanted:
            ready.append(tuple(group))
            group = []
        self._waiting = group
        return ready
