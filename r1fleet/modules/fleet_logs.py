"""Read what ranks of this host wrote: from the last lines or a moment on, or what is new since the last time."""

from __future__ import annotations

import json
import os
import time
from typing import Any, BinaryIO

from r1fleet.agent import stamps
from r1fleet.agent.context import Context
from r1fleet.agent.holes import data_from, without_holes

ARGUMENTS = {
    "root": {"type": "path", "default": "/var/lib/r1fleet"},
    "deployment": {"type": "str", "required": True},
    "generation": {"type": "int"},
    "ranks": {"type": "list", "elements": "int", "default": []},
    "offsets": {"type": "dict", "default": {}},
    "lines": {"type": "int"},
    "since": {"type": "float"},
    "age": {"type": "float"},
    "wait": {"type": "float", "default": 0},
    "seen": {"type": "int", "default": 0},
    "partial": {"type": "bool", "default": False},
}
LOCAL = True

CHUNK = 128 * 1024
TICK = 0.1
FEW = 50
FRESH = 5.0


def run(ctx: Context) -> dict[str, Any]:
    """Tell each rank's text from its offset on; ``wait`` is how long to wait for some."""
    folder = os.path.join(ctx.args["root"], ctx.args["deployment"])
    deadline = time.monotonic() + ctx.args["wait"]
    while True:
        told = _look(ctx.args, folder)
        news = (told["generation"] or 0) > ctx.args["seen"] or any(row["text"] for row in told["logs"])
        if news or time.monotonic() >= deadline:
            return dict(told, changed=False)
        time.sleep(TICK)


def _look(args: dict[str, Any], folder: str) -> dict[str, Any]:
    current = _json(os.path.join(folder, "current.json"))
    number = args["generation"] if args["generation"] is not None else current.get("generation")
    plan = _json(os.path.join(folder, "generations", str(number), "plan.json"))
    here = current.get("host")
    mine = [rank for rank in plan.get("ranks", ()) if rank["host"] == here]
    wanted = [rank for rank in mine if not args["ranks"] or rank["rank"] in args["ranks"]]
    utc = plan.get("runtime") == "docker"  # containers have no time zone of their own
    return {"generation": number, "plan": plan or None, "logs": [_rank(args, rank, utc=utc) for rank in wanted]}


def _rank(args: dict[str, Any], rank: dict[str, Any], *, utc: bool) -> dict[str, Any]:
    row = {"rank": rank["rank"], "replica": rank["replica"], "log": rank["log"], "timeless": False}
    known = args["offsets"].get(rank["log"])
    try:
        stream = open(rank["log"], "rb")
    except OSError:
        return dict(row, text="", offset=0, id="", more=False)
    with stream:
        about = os.fstat(stream.fileno())
        ident = "%d:%d" % (about.st_dev, about.st_ino)
        text = b""
        if known is None:
            start, row["timeless"] = _start(args, stream, about, utc=utc)
        else:
            start = known["offset"]
            if known["id"] not in ("", ident) or start > about.st_size:
                text, start = _rest(rank["log"], start, known["id"]), 0
        more, end = _read(stream, start, partial=args["partial"])
    return dict(row, text=(text + more).decode("utf-8", "replace"), offset=end, id=ident, more=end < about.st_size)


def _start(args: dict[str, Any], stream: BinaryIO, about: os.stat_result, *, utc: bool) -> tuple[int, bool]:
    """Return where to begin, and whether that could not be told from the log's times."""
    size = about.st_size
    start = 0 if args["lines"] is None else _last(stream, size, args["lines"])
    moment = args["since"] if args["age"] is None else time.time() - args["age"]
    if moment is None:
        return start, False
    if about.st_mtime < moment:
        return size, False
    found = stamps.find(stream, size, moment, utc=utc)
    if found is not None:
        return max(start, found), False
    return (_last(stream, size, FEW) if args["lines"] is None else start), size > 0


def _last(stream: BinaryIO, size: int, lines: int) -> int:
    """Return where the last lines begin."""
    end, wanted = size, lines + 1
    stream.seek(max(0, size - 1))
    if size and stream.read(1) != b"\n":
        wanted -= 1  # the last one has not ended yet
    while end > 0 and wanted > 0:
        start = max(0, end - CHUNK)
        stream.seek(start)
        raw = stream.read(end - start)
        while wanted > 0:
            cut = raw.rfind(b"\n")
            if cut < 0:
                break
            wanted, raw = wanted - 1, raw[:cut]
            if not wanted:
                return start + cut + 1
        end = start
    return 0 if lines else size


def _read(stream: BinaryIO, start: int, *, partial: bool) -> tuple[bytes, int]:
    """Read from ``start``; up to the last line's end, unless a line that has not ended yet is wanted, too."""
    start = data_from(stream, start)
    stream.seek(start)
    raw = stream.read(CHUNK)
    cut = len(raw) if partial and len(raw) < CHUNK else raw.rfind(b"\n") + 1
    if not cut and len(raw) == CHUNK:
        cut = len(raw)
    return without_holes(raw[:cut]), start + cut


def _rest(path: str, offset: int, ident: str) -> bytes:
    """Read what a log said behind ``offset`` before it was put away, by renaming or by copying it."""
    folder, name = os.path.split(path)
    for one in os.listdir(folder):
        older = os.path.join(folder, one)
        if one.startswith(name + ".") and _was(os.stat(older), offset, ident):
            with open(older, "rb") as stream:
                stream.seek(offset)
                return bytes(stream.read(CHUNK))
    return b""


def _was(about: os.stat_result, offset: int, ident: str) -> bool:
    """Tell whether a file is what the log was: the same one by another name, or a copy made just now."""
    renamed = "%d:%d" % (about.st_dev, about.st_ino) == ident
    return renamed or (about.st_size >= offset and time.time() - about.st_mtime < FRESH)


def _json(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as stream:
            return dict(json.load(stream))
    except (OSError, ValueError):
        return {}
