"""The colours of states, for displays that have colours."""

from __future__ import annotations

from typing import Final

COLOURS: Final = {
    "ok": "green",
    "done": "green",
    "ready": "bold green",
    "changed": "yellow",
    "skipped": "cyan",
    "rescued": "cyan",
    "ignored": "magenta",
    "failed": "bold red",
    "unreachable": "bold red",
    "error": "bold red",
    "warning": "yellow",
    "starting": "cyan",
    "running": "cyan",
    "stopping": "yellow",
}
