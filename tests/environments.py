"""Python environments of their own under the cache, for programs that r1fleet never imports."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from r1fleet.cache import cache_dir, cache_lock


def ensure_environment(kind: str, wanted: tuple[str, ...]) -> Path:
    """Return the folder of an environment that holds ``wanted``; made when there is none."""
    key = hashlib.sha256(f"{' '.join(wanted)} {sys.version}".encode()).hexdigest()[:16]
    folder = cache_dir(kind) / key
    with cache_lock(kind):
        if not (folder / "ready").exists():
            _make(folder, wanted)
        return folder


def run(*argv: str) -> str:
    """Return what a program says; raise RuntimeError where it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)} failed: {done.stderr[-2000:]}")
    return done.stdout


def _make(folder: Path, wanted: tuple[str, ...]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    run(sys.executable, "-m", "venv", str(folder))
    python = str(folder / "bin" / "python")
    run(python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *wanted)
    read = "import importlib.metadata as m; print(*(d.version for d in m.distributions() if d.name == 'ansible-core'))"
    (folder / "ready").write_text(run(python, "-c", read))
