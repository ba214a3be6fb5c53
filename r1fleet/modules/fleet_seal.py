"""Seal a folder where it lies: hash its files and write the manifest beside them; nothing else is touched."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.files import write_bytes
from r1fleet.agent.outcome import ModuleFailed
from r1fleet.agent.swarm_files import flush
from r1fleet.modules._hub_rows import MANIFEST, manifest_of

ARGUMENTS = {
    "folder": {"type": "path", "required": True},
    "model": {"type": "str", "required": True},
    "commit": {"type": "str", "default": ""},
    "origin": {"type": "str", "default": ""},
    "files": {"type": "list", "elements": "dict", "required": True},
    "left_out": {"type": "list", "elements": "str", "default": []},
    "workers": {"type": "int", "default": 8},
}
CHECK_MODE = False

_CHUNK = 1024 * 1024
_TOLD_EVERY = 0.5


def run(ctx: Context) -> dict[str, Any]:
    """Hash the ``files`` as listed; the manifest names what is ``left_out``, too, which stays there unread.

    Each finished file and the bytes so far are told as JSON lines, as by a fetch.
    """
    args, folder = ctx.args, ctx.args["folder"]
    try:
        rows = _Sealing(ctx).run()
        more = {"left_out": args["left_out"]} if args["left_out"] else {}
        text = manifest_of(rows, args["model"], args["commit"], args["origin"], **more)
        write_bytes(os.path.join(folder, MANIFEST), text.encode(), mode=0o644)
        for path in (os.path.join(folder, MANIFEST), folder):
            flush(path)
    except OSError as error:
        text = "cannot seal %s: %s: %s" % (folder, error.filename or folder, error.strerror or error)
        hint = "give the folder to the user that r1fleet logs in as, or use become"
        return ctx.fail(text, reason="target", hint=hint)
    return {"changed": True, "manifest": text, "moved": 0}


class _Sealing:
    """All files of one folder, several at a time."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._stop = threading.Event()
        self._done: dict[str, int] = {}

    def run(self) -> list[dict[str, Any]]:
        """Return the manifest's rows; raise what a file is refused for."""
        rows = []
        with ThreadPoolExecutor(max(1, self._ctx.args["workers"])) as pool:
            waiting = {pool.submit(self._sealed, row) for row in self._ctx.args["files"]}
            try:
                while waiting:
                    finished, waiting = wait(waiting, timeout=_TOLD_EVERY, return_when=FIRST_COMPLETED)
                    for future in finished:
                        rows.append(future.result())
                        self._tell_file(rows[-1])
                    self._ctx.progress(json.dumps({"done": sum(list(self._done.values()))}))
            finally:
                self._stop.set()
        return rows

    def _sealed(self, row: dict[str, Any]) -> dict[str, Any]:
        path = os.path.join(self._ctx.args["folder"], row["path"])
        sha256, git = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % row["size"])
        before = os.stat(path)
        with open(path, "rb", buffering=0) as stream:
            for chunk in iter(lambda: b"" if self._stop.is_set() else stream.read(_CHUNK), b""):
                self._done[path] = self._done.get(path, 0) + len(chunk)
                sha256.update(chunk)
                if row.get("git"):
                    git.update(chunk)
            os.fsync(stream.fileno())
        after = os.stat(path)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or after.st_size != row["size"]:
            hint = "run it again once nothing writes to it any more"
            raise ModuleFailed("%s has changed while it was read" % path, reason="hash", hint=hint)
        for known, found in ((row.get("sha256"), sha256.hexdigest()), (row.get("git"), git.hexdigest())):
            if known and known != found:
                text = "%s has the hash %s in place of %s" % (path, found, known)
                hint = "download that file again: it is damaged, or of another version"
                raise ModuleFailed(text, reason="hash", hint=hint)
        sealed = {"path": row["path"], "size": row["size"], "sha256": sha256.hexdigest()}
        return dict(sealed, git=row["git"]) if row.get("git") else sealed

    def _tell_file(self, row: dict[str, Any]) -> None:
        told = {"file": row["path"], "size": row["size"], "sha256": row["sha256"], "git": row.get("git", "")}
        self._ctx.progress(json.dumps(told))
