"""A staging folder: one fetch at a time, what is complete in it, room for the rest, and the seal at the end."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from typing import Any

from r1fleet.agent.files import write_bytes
from r1fleet.agent.outcome import ModuleFailed
from r1fleet.modules._hub_rows import MANIFEST, WORK, manifest_of
from r1fleet.modules._landing import Job

_SPARE = 64 * 1024 * 1024


class Staging:
    """The folder ``path``; use it with ``with``."""

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        self._work = os.path.join(self.path, WORK)
        self._kept: dict[str, dict[str, Any]] = {}
        self._descriptor = -1
        self._notebook: Any = None

    def __enter__(self) -> Staging:
        self._refuse_other_folders()
        try:
            os.makedirs(self._work, exist_ok=True)
            self._descriptor = os.open(os.path.join(self._work, "lock"), os.O_RDWR | os.O_CREAT, 0o644)
            self._lock()
            self._read()
            self._notebook = open(os.path.join(self._work, "complete"), "a", encoding="utf-8")
            self._notebook.write("\n")  # what was cut in the middle of a line ends here
        except OSError as error:
            text = "cannot write to %s: %s" % (self.path, error.strerror or error)
            hint = "give the folder to the user that r1fleet logs in as, use become, or choose another weights_dir"
            raise ModuleFailed(text, reason="target", hint=hint) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._notebook.close()
        os.close(self._descriptor)

    def holds(self, job: Job) -> bool:
        """Tell whether a file is complete and has not been touched since it was verified."""
        row = self._kept.get(job.path)
        if row is None or row["key"] != job.key:
            return False
        try:
            found = os.stat(os.path.join(self.path, job.path))
        except OSError:
            return False
        return bool(found.st_size == job.size and found.st_mtime_ns == row["mtime"])

    def sha256(self, job: Job) -> str:
        """Return the sha256 of a file that is complete."""
        return str(self._kept[job.path]["sha256"])

    def record(self, job: Job, sha256: str) -> None:
        """Remember that a file is complete and verified."""
        changed = os.stat(os.path.join(self.path, job.path)).st_mtime_ns
        row = {"path": job.path, "key": job.key, "sha256": sha256, "mtime": changed}
        self._kept[job.path] = row
        self._notebook.write(json.dumps(row) + "\n")
        self._notebook.flush()

    def refuse_lack_of_space(self, todo: list[Job]) -> None:
        """Compare what is still to come with what is free, before the first byte."""
        needed = sum(max(0, job.size - self._begun(job)) for job in todo)
        free = shutil.disk_usage(self.path).free
        if needed and needed + _SPARE > free:
            text = "%s has too little room: %s are still to come, %s are free"
            hint = "free %s there, or choose another weights_dir" % _in_words(needed + _SPARE - free)
            words = (self.path, _in_words(needed), _in_words(free))
            raise ModuleFailed(text % words, reason="space", hint=hint)

    def seal(self, jobs: list[Job], model: str, commit: str, origin: str) -> str:
        """Write the manifest, and remove what does not belong to the model."""
        rows = []
        for job in jobs:
            row = {"path": job.path, "size": job.size, "sha256": self.sha256(job)}
            rows.append(dict(row, git=job.git) if job.git else row)
        text = manifest_of(rows, model, commit, origin)
        self._remove_others({job.path for job in jobs})
        write_bytes(os.path.join(self.path, MANIFEST), text.encode(), mode=0o644)
        return text

    def _refuse_other_folders(self) -> None:
        """Never fill, or clear, a folder that a fetch has not made."""
        if not os.path.isdir(self.path) or os.path.isdir(self._work) or not os.listdir(self.path):
            return
        hint = "remove it, or choose another weights_dir"
        raise ModuleFailed("%s holds other files" % self.path, reason="target", hint=hint)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            hint = "wait for its end; it goes on by itself"
            raise ModuleFailed("another fetch is writing to %s" % self.path, reason="locked", hint=hint) from error

    def _read(self) -> None:
        try:
            with open(os.path.join(self._work, "complete"), encoding="utf-8") as stream:
                lines = stream.read().splitlines()
        except OSError:
            return
        for line in lines:
            try:
                row = json.loads(line)
                self._kept[row["path"]] = row
            except (ValueError, KeyError, TypeError):
                continue  # the last line of a fetch that was killed

    def _begun(self, job: Job) -> int:
        try:
            return os.stat(os.path.join(self._work, job.key)).st_size
        except OSError:
            return 0

    def _remove_others(self, kept: set[str]) -> None:
        for folder, folders, names in os.walk(self.path):
            if folder == self.path and WORK in folders:
                folders.remove(WORK)
            for name in names:
                path = os.path.join(folder, name)
                if os.path.relpath(path, self.path) not in kept:
                    os.unlink(path)


def _in_words(size: int) -> str:
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if size >= factor:
            return "%.1f %s" % (size / factor, unit)
    return "%d bytes" % size
