"""The controller's cache folder: where it is, and how two processes share it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from r1fleet.errors import UsageError


def cache_dir(*parts: str) -> Path:
    """Return ``${R1FLEET_CACHE:-~/.cache/r1fleet}/parts...``, made if absent (0700)."""
    base = os.environ.get("R1FLEET_CACHE")
    path = Path(base).expanduser() if base else Path.home() / ".cache" / "r1fleet"
    path = path.joinpath(*parts)
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UsageError(f"cannot use the cache folder {path}: {error.strerror}", hint="set R1FLEET_CACHE") from error
    return path


@contextmanager
def cache_lock(name: str, *, shared: bool = False) -> Iterator[None]:
    """Hold the cache's lock called ``name``, alone or with others who share it.

    Waits for another holder, and ends with the process.
    """
    with _lock_file(name) as stream:
        fcntl.flock(stream, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


@contextmanager
def cache_lock_if_free(name: str) -> Iterator[bool]:
    """Hold the cache's lock called ``name`` where nobody else does, and tell whether; waits for nobody."""
    with _lock_file(name) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_free = True
        except BlockingIOError:
            is_free = False
        yield is_free


def _lock_file(name: str) -> TextIO:
    return (cache_dir("locks") / f"{name}.lock").open("w")


def write_atomic(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write ``text`` to ``path`` by way of a neighbour file and a rename."""
    neighbour = path.with_name(f".{path.name}.{os.getpid()}")
    neighbour.touch(mode=mode)
    neighbour.write_text(text, encoding="utf-8")
    neighbour.chmod(mode)
    neighbour.replace(path)
