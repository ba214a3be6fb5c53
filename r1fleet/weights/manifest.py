"""The seal of a set of files: what belongs to it, with size and sha256."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from r1fleet.errors import HostFailed, Where

MANIFEST = ".r1fleet-manifest.json"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class SealedFile:
    """One file of a sealed folder, by its path inside; ``git`` is the sha1 of its git blob, where a hub told it."""

    path: str
    size: int
    sha256: str
    git: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """All files of a sealed folder; ``digest`` is the same on every host that holds the same content.

    ``revision`` is the commit and ``origin`` the source that they came from; empty where the folder was made here.
    """

    name: str
    files: tuple[SealedFile, ...]
    text: str
    revision: str = ""
    origin: str = ""

    @property
    def digest(self) -> str:
        """The sha256 over all paths and contents."""
        rows = sorted(f"{file.sha256} {file.size} {file.path}" for file in self.files)
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(file.size for file in self.files)


def parse(text: str, where: Where) -> Manifest:
    """Read a manifest that a host holds; its paths never lead out of the folder."""
    try:
        found = json.loads(text)
        files = tuple(_file(row) for row in found["files"])
        _refuse_clashes([file.path for file in files])
        name = str(found["name"])
        revision, origin = str(found.get("revision") or ""), str(found.get("origin") or "")
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise HostFailed(
            f"the manifest of the model is damaged: {error}", where=where, hint="remove the folder and make it again"
        ) from error
    if not files:
        raise HostFailed(
            "the manifest of the model names no file", where=where, hint="remove the folder and make it again"
        )
    return Manifest(name, files, text, revision, origin)


def _file(row: Any) -> SealedFile:
    path, size, sha256 = str(row["path"]), int(row["size"]), str(row["sha256"])
    pure = PurePosixPath(path)
    if row.get("kind", "file") != "file" or "link" in row:
        raise ValueError(f"{path!r} is a link or something else that is no file")
    if pure.is_absolute() or ".." in pure.parts or path in ("", ".", MANIFEST) or str(pure) != path or "\0" in path:
        raise ValueError(f"{path!r} is no path inside the folder")
    path.encode()  # what no file system can name is no path
    if size < 0 or not _SHA256.fullmatch(sha256):
        raise ValueError(f"size or sha256 of {path!r} is none")
    return SealedFile(path, size, sha256, str(row.get("git") or ""))


def _refuse_clashes(paths: Sequence[str]) -> None:
    """Refuse two files of one path, and a file that would have to be a folder, too."""
    seen = set(paths)
    if len(seen) < len(paths):
        raise ValueError("it names a file twice")
    for path in paths:
        above = next((str(one) for one in PurePosixPath(path).parents if str(one) in seen), None)
        if above is not None:
            raise ValueError(f"{above!r} is a file, and {path!r} lies in it")
