"""Which GPUs ranks hold and how full those are, as nvidia-smi tells; where it does not, nothing is told."""

from __future__ import annotations

import contextlib
import subprocess
import time
from typing import Any

from r1fleet.agent.context import Context

PATIENCE = 5.0
MIB = 1 << 20
_WSL = "/usr/lib/wsl/lib/nvidia-smi"
_QUERIES = ("--query-gpu=index,uuid,memory.used,memory.total", "--query-compute-apps=gpu_uuid,pid")


def asked(ctx: Context) -> list[subprocess.Popen[bytes]]:
    """Start to ask; the answers are read when the rest has been looked at."""
    program = ctx.which("nvidia-smi") or ctx.which(_WSL)
    if not program:
        return []
    return [
        subprocess.Popen(
            [program, query, "--format=csv,noheader,nounits"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for query in _QUERIES
    ]


def give(queries: list[subprocess.Popen[bytes]], ranks: list[dict[str, Any]], pids: dict[str, list[int]]) -> None:
    """Add ``gpus`` to ranks: those on which one of their processes computes.

    Where nothing tells who computes, as in WSL2, a rank that is alone on its host is taken to hold all of them.
    """
    deadline = time.monotonic() + PATIENCE
    cards, users = (_rows(query, deadline) for query in queries)
    found = {}
    for row in cards:
        if len(row) == 4 and row[0].isdigit() and row[2].isdigit() and row[3].isdigit():
            found[row[1]] = {"index": int(row[0]), "used": int(row[2]) * MIB, "total": int(row[3]) * MIB}
    holders = {(row[0], int(row[1])) for row in users if len(row) == 2 and row[1].isdigit()}
    running = [rank for rank in ranks if pids[rank["name"]]]
    for rank in running:
        own = set(pids[rank["name"]])
        held = {uuid for uuid, pid in holders if pid in own}
        if not holders and len(running) == 1:
            held = set(found)
        rank["gpus"] = sorted((found[uuid] for uuid in held if uuid in found), key=lambda gpu: gpu["index"])


def _rows(query: subprocess.Popen[bytes], deadline: float) -> list[list[str]]:
    try:
        text, _ = query.communicate(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:  # a card that has fallen off the bus can hold it for ever
        query.kill()
        if query.stdout:
            query.stdout.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            query.wait(0.2)
        return []
    return [[cell.strip() for cell in line.split(",")] for line in text.decode("utf-8", "replace").splitlines()]
