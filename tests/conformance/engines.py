"""The two engines, as folders that a lab host's own Python can run."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from r1fleet.cache import cache_dir, cache_lock
from tests.differential.case import REQUIREMENT
from tests.differential.oracle import Oracle
from tests.environments import ensure_environment

ROOT = Path(__file__).parents[2]
_HOST_PYTHON = "3.11"  # Debian 12, the lab's hosts
_LIMIT = 900


@dataclass(frozen=True, slots=True)
class Engine:
    """A program that plays ``python3 -m WORDS PLAYBOOK -i INVENTORY`` with ``folders`` beside each other."""

    name: str
    words: tuple[str, ...]
    folders: tuple[Path, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False  # refuses what it does not know before it runs anything


def core_oracle() -> Oracle:
    """Return the oracle that plays without collections."""
    folder = ensure_environment("oracle", (REQUIREMENT,))
    return Oracle(folder, (folder / "ready").read_text().strip())


def ansible(oracle: Oracle) -> Engine:
    """Return the one that is right."""
    settings = {
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_PIPELINING": "1",
    }
    # Its password_hash needs passlib where the controller's libc alone does not do.
    folder = _installed("ansible", [f"ansible-core=={oracle.version}", "passlib"])
    return Engine(f"ansible-core {oracle.version}", ("ansible", "playbook"), (folder,), settings)


def r1fleet() -> Engine:
    """Return ours, as it is in this checkout."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    folder = _installed("r1fleet", project["dependencies"])
    words = ("r1fleet", "play", "--output", "ansible")
    return Engine("r1fleet", words, (folder, ROOT / "r1fleet"), strict=True)


def _installed(name: str, requirements: Sequence[str]) -> Path:
    """Return a folder with packages for a lab host's Python; made when it is not there."""
    key = hashlib.sha256(" ".join([_HOST_PYTHON, *requirements]).encode()).hexdigest()[:16]
    folder = cache_dir("conformance") / f"{name}-{key}"
    with cache_lock(f"conformance-{name}"):
        if not folder.is_dir():
            unfinished = folder.with_name(f".{folder.name}")
            shutil.rmtree(unfinished, ignore_errors=True)
            _install(unfinished, requirements)
            unfinished.rename(folder)
    return folder


def _install(folder: Path, requirements: Sequence[str]) -> None:
    argv = (
        *(sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-compile"),
        *("--target", str(folder), "--python-version", _HOST_PYTHON, "--only-binary", ":all:", *requirements),
    )
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_LIMIT, check=False)
    if done.returncode:
        raise RuntimeError(f"cannot install {', '.join(requirements)}: {done.stderr[-2000:]}")
