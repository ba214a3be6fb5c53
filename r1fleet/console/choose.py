"""Which renderer shows a run."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from typing import TextIO

from r1fleet.console.interface import Renderer
from r1fleet.errors import UsageError

# Loaded when chosen: only the live display needs rich, which takes long to import.
_RENDERERS = {
    "rich": ("r1fleet.console.live", "LiveRenderer"),
    "plain": ("r1fleet.console.plain", "PlainRenderer"),
    "ansible": ("r1fleet.console.ansible", "AnsibleRenderer"),
    "json": ("r1fleet.console.jsonlines", "JsonRenderer"),
}
KINDS = ("auto", *_RENDERERS)


def renderer(kind: str = "auto", *, stream: TextIO | None = None, verbosity: int = 0, diff: bool = False) -> Renderer:
    """Make the renderer called ``kind``; ``auto`` is rich in a terminal that can do it, else plain."""
    target = sys.stdout if stream is None else stream
    if kind == "auto":
        kind = "rich" if can_be_live(target, os.environ) else "plain"
    if kind not in _RENDERERS:
        raise UsageError(f'no output is called "{kind}"', hint=f"it can be {', '.join(KINDS)}")
    module, name = _RENDERERS[kind]
    made = getattr(importlib.import_module(module), name)(target, verbosity=verbosity, diff=diff)
    assert isinstance(made, Renderer)
    return made


def can_be_live(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Tell whether ``stream`` is a terminal that takes colours and moves its cursor."""
    if environ.get("NO_COLOR") or environ.get("TERM", "dumb") in ("", "dumb", "unknown"):
        return False
    return stream.isatty()
