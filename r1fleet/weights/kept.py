"""Sets that the controller keeps while it copies them: where they lie, who reads them, and when they may go."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from r1fleet.cache import cache_dir, cache_lock, cache_lock_if_free
from r1fleet.errors import FleetError, Where
from r1fleet.modules._hub_rows import WORK
from r1fleet.weights.manifest import MANIFEST, Manifest, parse
from r1fleet.weights.sources import Listing


def folder_of(digest: str) -> Path:
    """Name the folder of a set."""
    return cache_dir("weights") / digest


@contextmanager
def read(digest: str) -> Iterator[None]:
    """See that no other run of this controller takes a set away meanwhile."""
    with cache_lock(_readers(digest), shared=True):
        yield


@contextmanager
def filled(digest: str) -> Iterator[None]:
    """Be the only one that adds to a set."""
    with cache_lock(f"weights-{digest[:16]}"):
        yield


def keep(staging: Path, manifest: Manifest) -> Path:
    """Give what a fetch has made the name of its content, where copies look for it; return the folder.

    What another run reads there already is replaced file by file, each by its like.
    """
    folder = folder_of(manifest.digest)
    with filled(manifest.digest):
        if not folder.exists():
            return staging.rename(folder)
        for path in (*(file.path for file in manifest.files), MANIFEST):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (staging / path).replace(folder / path)
        shutil.rmtree(staging, ignore_errors=True)
    return folder


def give_back(digest: str, staging: Path) -> None:
    """Make a set that no host has taken a fetch's again, which then finds nothing missing; unless another run reads it.

    A fetch that has begun anew since keeps its folder.
    """
    folder = folder_of(digest)
    with cache_lock_if_free(_readers(digest)) as is_free:
        if is_free and folder.is_dir() and not staging.exists():
            (folder / WORK).mkdir(exist_ok=True)
            folder.rename(staging)


def give_back_listed(listing: Listing, staging: Path) -> None:
    """Give a fetch the set that a killed run has left, if it is what a source lists."""
    for folder in cache_dir("weights").iterdir():
        manifest = _manifest(folder)
        if manifest is not None and manifest.digest == folder.name and listing.is_held_by(manifest):
            give_back(folder.name, staging)


def forget(digest: str) -> None:
    """Take a set away; where another run still reads it, that one will."""
    with cache_lock_if_free(_readers(digest)) as is_free:
        if is_free:
            shutil.rmtree(folder_of(digest), ignore_errors=True)


def _readers(digest: str) -> str:
    return f"weights-{digest[:16]}-readers"


def _manifest(folder: Path) -> Manifest | None:
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8", errors="replace")
        return parse(text, Where(path=str(folder / MANIFEST)))
    except (OSError, FleetError):
        return None
