"""What is streamed to a host: the agent and all modules, as one compressed piece."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import r1fleet

_PARTS = ("agent", "modules")


@cache
def _own_sources() -> dict[str, str]:
    root = Path(r1fleet.__file__).parent
    return {"r1fleet": "", **dict(_sources(root))}


def _sources(root: Path) -> Iterator[tuple[str, str]]:
    for part in _PARTS:
        for path in sorted((root / part).rglob("*.py")):
            words = ["r1fleet", *path.relative_to(root).with_suffix("").parts]
            name = ".".join(words[:-1] if words[-1] == "__init__" else words)
            yield name, path.read_text(encoding="utf-8")


def pack(modules: Mapping[str, str] | None = None) -> bytes:
    """Compress the agent, r1fleet's modules and ``modules`` (name to source), with the length in front."""
    return _packed(tuple(sorted((modules or {}).items())))


@cache
def _packed(modules: tuple[tuple[str, str], ...]) -> bytes:
    extra = {f"r1fleet.modules.{name}": source for name, source in modules}
    data = zlib.compress(json.dumps(_own_sources() | extra).encode(), 9)
    return len(data).to_bytes(4, "big") + data
