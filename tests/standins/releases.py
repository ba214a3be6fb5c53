"""What distributions write below /etc about themselves, by a short name: ``rocky9``, ``ubuntu24``."""

from __future__ import annotations

from pathlib import Path

import yaml

RELEASES: dict[str, dict[str, str]] = yaml.safe_load(Path(__file__).with_suffix(".yml").read_text())["releases"]
"""File names below /etc, and their content."""

FILES = frozenset(name for files in RELEASES.values() for name in files)
