"""List what folders of models hold, hash a sealed one again, take its seal off, or take folders away."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from typing import Any, Iterator

from r1fleet.agent.context import Context
from r1fleet.modules import _folders

ARGUMENTS = {
    "action": {"type": "str", "required": True, "choices": ["list", "verify", "unseal", "remove"]},
    "folders": {"type": "list", "elements": "path", "required": True},
    "paths": {"type": "list", "elements": "path", "default": []},
    "named": {"type": "list", "elements": "str", "default": []},
}
LOCAL = True
CHECK_MODE = False

_CHUNK = 1024 * 1024
_TELL = 256 * 1024 * 1024
_DOUBLED = re.compile(r"/(?:\.?/)+")


def run(ctx: Context) -> dict[str, Any]:
    """List every folder below ``folders``; verify, unseal or remove ``paths``, which lie directly in one of them.

    A listing says of each path ``named`` that leads into one of the folders by another name where it leads.
    """
    action, shelves = ctx.args["action"], [os.path.normpath(path) for path in ctx.args["folders"]]
    if action == "list":
        told = {"entries": list(_entries(shelves)), "busy": _words_of_processes(shelves)}
        return dict(told, changed=False, leads=_leads(shelves, ctx.args["named"]))
    paths = [os.path.normpath(path) for path in ctx.args["paths"]]
    for path in paths:
        if os.path.dirname(path) not in shelves:
            ctx.fail("%s does not lie in %s" % (path, ", ".join(shelves)))
    if action == "verify":
        return {"changed": False, "verified": [{"path": path, "problems": _problems(ctx, path)} for path in paths]}
    if action == "unseal":
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(path, _folders.MANIFEST))
        return {"changed": True}
    removed = [path for path in paths if os.path.lexists(path)]
    for path in removed:
        _remove(ctx, path)
    return {"changed": bool(removed), "removed": removed}


def _entries(shelves: list[str]) -> Iterator[dict[str, Any]]:
    for shelf in shelves:
        try:
            names = sorted(os.listdir(shelf))
        except OSError:
            continue
        storage = _folders.room(shelf)["kind"]
        for name in names:
            row = _entry(os.path.join(shelf, name), name)
            if row is not None:
                yield dict(row, storage=storage)


def _entry(path: str, name: str) -> dict[str, Any] | None:
    if os.path.islink(path):
        return {"path": path, "kind": "link", "to": os.readlink(path), "bytes": 0, "touched": 0.0}
    if not os.path.isdir(path) or not _is_ours(name):
        return None
    told, given, touched = _folders.measure(path)
    partial = name.startswith(".")
    manifest = None if partial else _folders.manifest_text(path)
    kind = "partial" if partial else "sealed" if manifest else "unsealed"
    return {"path": path, "kind": kind, "bytes": given if partial else told, "touched": touched, "manifest": manifest}


def _is_ours(name: str) -> bool:
    """Leave out hidden folders that are no staging."""
    return not name.startswith(".") or name.endswith(".part")


def _words_of_processes(shelves: list[str]) -> list[str]:
    """Return every word of a command line that lies below one of the shelves."""
    heads = tuple(shelf + "/" for shelf in shelves)
    found = set()
    for pid in os.listdir("/proc"):
        if not pid.isdigit():
            continue
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as stream:
                words = stream.read().decode("utf-8", "replace").split("\0")
        except OSError:
            continue
        for word in (_DOUBLED.sub("/", word) for word in words):
            for head in heads:
                if head in word:
                    found.add(word[word.index(head) :])
    return sorted(found)


def _leads(shelves: list[str], named: list[str]) -> dict[str, str]:
    """Say where named paths lie in a shelf, where a link gives them, or the shelf, another name."""
    heads = [(os.path.realpath(shelf) + "/", shelf + "/") for shelf in shelves]
    found = {}
    for path in named:
        place = os.path.realpath(path)
        for head, shelf in heads:
            if place.startswith(head) and shelf + place[len(head) :] != path:
                found[path] = shelf + place[len(head) :]
    return found


def _problems(ctx: Context, folder: str) -> list[dict[str, str]]:
    text = _folders.manifest_text(folder)
    if text is None:
        return [{"file": "", "problem": "has no seal: there is nothing to hold it against"}]
    try:
        told = json.loads(text)
        rows = {row["path"]: (int(row["size"]), str(row["sha256"])) for row in told["files"]}
        known = tuple(str(path) for path in told.get("left_out") or ())
    except (ValueError, KeyError, TypeError) as error:
        return [{"file": "", "problem": "has a damaged seal: %s" % error}]
    progress, found = _Told(ctx, folder, sum(size for size, _ in rows.values())), []
    for path, (size, sha256) in sorted(rows.items()):
        problem = _problem(os.path.join(folder, path), size, sha256, progress)
        if problem:
            found.append({"file": path, "problem": problem})
    extra = sorted(_names(folder) - set(rows) - {_folders.MANIFEST})
    unknown = [path for path in extra if not any(path == one or path.startswith(one + "/") for one in known)]
    return found + [{"file": path, "problem": "is not in the manifest"} for path in unknown]


def _problem(path: str, size: int, sha256: str, told: _Told) -> str:
    if os.path.islink(path) or not os.path.isfile(path):
        return "is a link, not a file" if os.path.islink(path) else "is missing"
    found = os.path.getsize(path)
    if found != size:
        told.add(size)
        return "has %d bytes, and the manifest says %d" % (found, size)
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            for chunk in iter(lambda: stream.read(_CHUNK), b""):
                digest.update(chunk)
                told.add(len(chunk))
    except OSError as error:
        return "cannot be read: %s" % (error.strerror or error)
    return "" if digest.hexdigest() == sha256 else "is not what the manifest says (sha256 %s)" % digest.hexdigest()


class _Told:
    """Tell the controller how far the hashing is."""

    def __init__(self, ctx: Context, folder: str, total: int) -> None:
        self._ctx, self._folder, self._total = ctx, folder, total
        self._done = self._told = 0

    def add(self, count: int) -> None:
        self._done += count
        if self._done - self._told >= _TELL:
            self._told = self._done
            self._ctx.progress(json.dumps({"path": self._folder, "done": self._done, "total": self._total}))


def _names(folder: str) -> set[str]:
    return {os.path.relpath(os.path.join(place, name), folder) for place, _, names in os.walk(folder) for name in names}


def _remove(ctx: Context, path: str) -> None:
    """Take the name away first, so that nothing reads what is half gone."""
    if os.path.islink(path):
        os.unlink(path)
        return
    parent, name = os.path.split(path)
    gone = os.path.join(parent, ".%s.gone.part" % name.strip("."))
    try:
        shutil.rmtree(gone, ignore_errors=True)  # of an earlier time
        os.rename(path, gone)
        shutil.rmtree(gone)
    except FileNotFoundError:
        return  # a host that shares this storage was first
    except OSError as error:
        ctx.fail("cannot remove %s: %s" % (path, error.strerror))
