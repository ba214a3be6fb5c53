"""The controller's cache folder: where it is, and how two processes share it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
def cache_lock(name: str) -> Iterator[None]:
    """Hold the cache's lock called ``name``; waits for the other holder, ends with the process."""
    path = cache_dir("locks") / f"{name}.lock"
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def write_atomic(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write ``text`` to ``path`` by way of a neighbour file and a rename."""
    neighbour = path.with_name(f".{path.name}.{os.getpid()}")
    neighbour.touch(mode=mode)
    neighbour.write_text(text, encoding="utf-8")
    neighbour.chmod(mode)
    neighbour.replace(path)
