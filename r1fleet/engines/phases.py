"""How far a rank is on its way to serving, read from what its engine writes.

vLLM's lines were taken from a run (0.32.0, CPU, two hosts), but for those of CUDA graphs; SGLang's, LMDeploy's and
transformers' from documents and public logs: no such engine was run here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

PHASES: Final = ("beginning", "rendezvous", "loading", "capturing", "serving")
"""In order; a rank whose engine tells nothing stays at the first."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A phase, and how many of its parts are done, where the engine counts them."""

    phase: str
    done: int = 0
    total: int = 0

    def __str__(self) -> str:
        """Spell it as people read it: loading 12/163."""
        return f"{self.phase} {self.done}/{self.total}" if self.total else self.phase

    @property
    def order(self) -> tuple[int, float]:
        """Compare: a rank that is further has a greater order."""
        return PHASES.index(self.phase), self.done / self.total if self.total else 0.0


_SHARDS: Final = r"(?:shards|[Ll]oading weights\b[^|]*):.*\|\s*(?P<done>\d+)/(?P<total>\d+) \["
_SERVES: Final = r"Application startup complete|Uvicorn running on"

# fmt: off
_ROWS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "vllm": (
        ("rendezvous", r"\bworld_size=\d+ rank=\d+ .*distributed_init_method="),
        ("loading", r"rank \d+ in world size \d+ is assigned as|Starting to load model|Loading weights took"),
        ("loading", _SHARDS),
        ("capturing", r"Capturing CUDA graphs.*\|\s*(?P<done>\d+)/(?P<total>\d+) \["),
        ("capturing", r"KV cache size: |Graph capturing finished"),
        ("serving", r"Starting vLLM (?:API )?server|" + _SERVES),
    ),
    "sglang": (
        ("rendezvous", r"Init torch distributed begin"),
        ("loading", r"Init torch distributed ends|Load weight begin|Load weight end"),
        ("loading", _SHARDS),
        ("capturing", r"Capturing batches.*\|\s*(?P<done>\d+)/(?P<total>\d+) \["),
        ("capturing", r"Capture (?:cuda|CUDA) graph (?:begin|end)"),
        ("serving", r"The server is fired up and ready to roll|" + _SERVES),
    ),
    "lmdeploy": (
        ("loading", _SHARDS),
        ("serving", _SERVES),
    ),
    "transformers": (
        ("loading", _SHARDS),
        ("serving", _SERVES),
    ),
}
# fmt: on
_TABLE: Final = {
    engine: tuple((phase, re.compile(pattern)) for phase, pattern in rows) for engine, rows in _ROWS.items()
}


def progress(engine: str, lines: Iterable[str], before: Progress | None = None) -> Progress | None:
    """Return how far the rank is after ``lines``; ``before`` where they tell nothing, and never a step back.

    >>> str(progress("vllm", ["Loading safetensors checkpoint shards:  25% Completed | 41/163 [00:12<00:35, 3.4it/s]"]))
    'loading 41/163'
    """
    found = before
    for line in lines:
        for phase, pattern in _TABLE.get(engine, ()):
            match = pattern.search(line)
            if match is None:
                continue
            counts = match.groupdict()
            new = Progress(phase, int(counts.get("done") or 0), int(counts.get("total") or 0))
            if found is None or new.order > found.order:
                found = new
    return found
