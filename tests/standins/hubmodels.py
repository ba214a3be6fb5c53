"""What the stand-in hub holds, and what happens to requests, as tests set it."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from functools import cache
from typing import Any

COMMIT = "8a58a132790c9935686eb97f042afa8013451c9f"


@dataclass
class Model:
    """One model: its files, who may see it, and where its listing lies."""

    files: dict[str, bytes]
    revisions: dict[str, str] = field(default_factory=lambda: {"main": COMMIT})
    gated: bool = False
    private: bool = False
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Keys of the listing that say something else than the truth, by path."""


@dataclass
class Fault:
    """What happens to the next requests whose path contains ``within``: a status, or a cut after some bytes."""

    within: str
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut_after: int = -1
    times: int = 1


@dataclass
class StandInHub:
    """The hub's state, changed by tests while it serves."""

    url: str = ""
    cdn: str = ""
    models: dict[str, Model] = field(default_factory=dict)
    tokens: dict[str, set[str]] = field(default_factory=dict)
    """Tokens that are valid, and the gated or private models each opens."""
    faults: list[Fault] = field(default_factory=list)
    page: int = 1000
    most: int = 3000
    rate: float = 0.0
    ranges: bool = True
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    served: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, model: str, files: dict[str, bytes], **more: Any) -> Model:
        """Publish a model."""
        self.models[model] = Model(files, **more)
        return self.models[model]

    def fault(self, path: str) -> Fault | None:
        """Take the next fault for a path."""
        with self.lock:
            for fault in self.faults:
                if fault.within in path and fault.times:
                    fault.times -= 1
                    return fault
        return None

    def count(self, path: str, size: int) -> None:
        """Note bytes of a file that have gone out."""
        with self.lock:
            self.served[path] = self.served.get(path, 0) + size


@cache
def sha256(content: bytes) -> str:
    """Return the sha256 of a file, worked out once."""
    return hashlib.sha256(content).hexdigest()


@cache
def git_hash(content: bytes) -> str:
    """Return the sha1 by which git knows a blob."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
