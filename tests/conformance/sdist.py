"""ansible-core's own integration targets, fetched from its source distribution; GPL text that stays in the cache."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from r1fleet.cache import cache_dir, cache_lock
from tests.differential.oracle import Oracle

_INSIDE = "test/integration/targets/"
_LIMIT = 600


def ensure_targets(oracle: Oracle) -> Path:
    """Return the folder of targets of the oracle's own release; fetched when it is not there."""
    folder = cache_dir("conformance") / f"targets-{oracle.version}"
    with cache_lock("conformance"):
        if not folder.is_dir():
            _fetch(oracle, folder)
    return folder


def _fetch(oracle: Oracle, folder: Path) -> None:
    with TemporaryDirectory(dir=folder.parent) as scratch:
        argv = (
            *(str(oracle.folder / "bin" / "python"), "-m", "pip", "download", "-qq", "--disable-pip-version-check"),
            *("--no-deps", "--no-binary", "ansible-core", "--dest", scratch, f"ansible-core=={oracle.version}"),
        )
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_LIMIT, check=False)
        archives = list(Path(scratch).glob("*.tar.gz"))
        if done.returncode or not archives:
            raise RuntimeError(f"cannot fetch ansible-core's source distribution: {done.stderr[-2000:]}")
        with tarfile.open(archives[0]) as archive:
            wanted = [member for member in archive if _INSIDE in member.name]
            archive.extractall(scratch, wanted, filter="data")
        found = next(Path(scratch).glob(f"*/{_INSIDE}"))
        shutil.move(found, folder)
