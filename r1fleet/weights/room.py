"""Room on disks, and how it is spelled in an error."""

from __future__ import annotations

from typing import Final

SPARE: Final = 64 << 20
"""What a disk keeps free beside the files themselves."""


def spell(count: int) -> str:
    """Spell bytes in an error's text."""
    for unit, name in ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"
