"""libtorrent for the hosts' Python: downloaded once by the controller, so that hosts need no route for it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from r1fleet.cache import cache_dir, cache_lock
from r1fleet.errors import UsageError
from r1fleet.provision.lock import Pin
from r1fleet.provision.pip import download
from r1fleet.provision.target import Target
from r1fleet.provision.wheelhouse import Download, wheel_of
from r1fleet.weights.swarm import Platform

LIBTORRENT = Pin("libtorrent", "2.1.1")


def libtorrent_wheel(platform: Platform, download: Download = download) -> Path | None:
    """Return the wheel that such a host can load, from the cache where it has come before; None if there is none."""
    target = Target(platform.python, platform.machine, platform.glibc)
    folder = cache_dir("wheels", f"{LIBTORRENT.stem}-{LIBTORRENT.version}-{target}")
    with cache_lock(f"wheel-{folder.name}"):
        found = wheel_of(LIBTORRENT, folder)
        if found is not None:
            return found
        with tempfile.TemporaryDirectory(dir=folder) as part:
            try:
                download((LIBTORRENT,), target, Path(part))
            except UsageError as error:
                if "No matching distribution" in error.what:
                    return None
                raise
            fresh = wheel_of(LIBTORRENT, Path(part))
            return None if fresh is None else fresh.replace(folder / fresh.name)
