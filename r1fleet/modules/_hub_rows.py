"""The files of a listing: paths that stay inside the folder, and no weights twice."""

from __future__ import annotations

import fnmatch
import json
import os
from typing import Any, Iterable, Iterator

from r1fleet.agent.soundness import Fault

WORK = ".r1fleet-fetch"
"""The folder inside a staging folder that holds what is not complete yet."""

MANIFEST = ".r1fleet-manifest.json"

DOUBLES = ("original/*", "pytorch_model*.bin", "tf_model*.h5", "flax_model*.msgpack", "rust_model.ot")
"""Names under which hubs hold the same weights in formats that no engine reads where there are safetensors."""

BIG = 64 * 1024 * 1024
"""From this size on a file comes after the small ones, may be dropped in by hand, and is linked where it can be."""

_LONGEST = 255


def without_doubles(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the rows to take, and the paths that are left out because the same weights come as safetensors."""
    if not any(row["path"].endswith(".safetensors") and "/" not in row["path"] for row in rows):
        return rows, []
    names = (*DOUBLES, "pytorch_model.bin.index.json")
    left = {row["path"] for row in rows if any(fnmatch.fnmatchcase(row["path"], name) for name in names)}
    return [row for row in rows if row["path"] not in left], sorted(left)


def manifest_of(rows: list[dict[str, Any]], model: str, commit: str, origin: str, **more: Any) -> str:
    """Return the text of the seal over some files."""
    told = {"schema": 1, "name": model, "revision": commit, "origin": origin, **more}
    return json.dumps(dict(told, files=sorted(rows, key=lambda row: str(row["path"]))), indent=1) + "\n"


def misplaced(rows: Iterable[dict[str, Any]]) -> Iterator[Fault]:
    """Yield each path that would lead out of the folder, hide another, or be no name here."""
    seen: set[str] = set()
    folders: set[str] = set()
    rows = list(rows)
    for row in rows:
        parts = row["path"].split("/")
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
    for row in rows:
        text = _wrong(row["path"]) or (
            "is listed twice" if row["path"] in seen else "is a file and a folder" if row["path"] in folders else ""
        )
        if not text and row["size"] < 0:
            text = "has a size below zero"
        if text:
            yield Fault(ascii(row["path"]), text, "take another source: this one is broken, or means harm")
        seen.add(row["path"])


def _wrong(path: str) -> str:
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or "\\" in path:
        return "leads out of the folder"
    if "" in parts or "." in parts or any(ord(letter) < 32 or letter == "\x7f" for letter in path):
        return "is no name of a file"
    try:
        longest = max(len(os.fsencode(part)) for part in parts)
    except UnicodeEncodeError:
        return "is no name of a file"
    if longest > _LONGEST:
        return "has a name longer than %d bytes" % _LONGEST
    return "has a name that r1fleet keeps for itself" if parts[0] in (WORK, MANIFEST) else ""


def told(faults: Iterable[Fault], most: int = 20) -> str:
    """Say what is wrong and what to do, a line for each file."""
    rows = list(faults)
    lines = ["  %s: %s" % (fault, fault.todo) for fault in rows[:most]]
    return "\n".join(lines + (["  and %d more" % (len(rows) - most)] if len(rows) > most else []))
