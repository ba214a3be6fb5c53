"""Run one module in this process, as the agent does."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from r1fleet.agent import calls
from r1fleet.agent.context import Line


class Store(Line):
    """A controller that has content to give, and counts how often it was asked."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.told: list[str] = []

    def output(self, text: str) -> None:
        """Keep one line of progress."""
        self.told.append(text)

    def receive(self, sha256: str, path: str) -> None:
        """Give content."""
        self.asked.append(sha256)
        Path(path).write_bytes(self.contents[sha256])

    def offer(self, path: str, content: bytes, mode: str = "0644") -> dict[str, Any]:
        """Have content at hand; return the entry that an action sends."""
        sha256 = hashlib.sha256(content).hexdigest()
        self.contents[sha256] = content
        return {"path": path, "kind": "file", "sha256": sha256, "size": len(content), "mode": mode}


def invoke(
    module: str,
    *,
    check: bool = False,
    diff: bool = False,
    controller: Line | None = None,
    cache: dict[str, Any] | None = None,
    **args: Any,
) -> dict[str, Any]:
    """Run a module with ``args``; a traceback in the reply is a bug."""
    reply = calls.invoke(module, args, check=check, diff=diff, line=controller, cache=cache)
    assert "exception" not in reply, reply["exception"]
    return reply


def well(module: str, **args: Any) -> dict[str, Any]:
    """Run a module that must not fail."""
    reply = invoke(module, **args)
    assert not reply.get("failed"), reply
    return reply


def changes(module: str, **args: Any) -> list[bool]:
    """Run a module in check mode, then twice for real; return what each run calls changed."""
    return [well(module, check=True, **args)["changed"], *(well(module, **args)["changed"] for _ in range(2))]
