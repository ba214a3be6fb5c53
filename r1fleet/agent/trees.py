"""Whole folders: a file of its own, because ``shutil`` is slow to import and few calls need it."""

from __future__ import annotations

import shutil


def copy(source: str, target: str) -> None:
    """Copy a folder with all that is in it; links stay links."""
    shutil.copytree(source, target, symlinks=True)


def remove(path: str) -> None:
    """Remove a folder with all that is in it; OSError where something stays."""
    shutil.rmtree(path)
