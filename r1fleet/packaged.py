"""Where the roles, playbooks and inventories that come with r1fleet lie."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def packaged(kind: str) -> Path:
    """Return the folder of ``kind`` (roles, playbooks, inventories): from the wheel, else from the source tree."""
    in_wheel = _PACKAGE / "_data" / kind
    return in_wheel if in_wheel.is_dir() else _PACKAGE.parent / kind
