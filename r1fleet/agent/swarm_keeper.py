"""Reads a group's files beside what moves: seals them, looks at what is there, verifies what has come."""

from __future__ import annotations

import os
import threading
import time
from queue import SimpleQueue
from typing import Any, Dict, List

from r1fleet.agent.swarm_files import Record, Unsound, flush, sha256_of, take_over, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from r1fleet.agent.swarm_task import Task

_MOST_REPAIRS = 3
_WRITE_LOOKS, _WRITE_PAUSE = 100, 0.1


class Keeper(threading.Thread):
    """Reads files, one after the other, while the main thread goes on."""

    def __init__(self, config: Dict[str, Any], record: str) -> None:
        super().__init__(daemon=True)
        self.config = config
        self.record = Record(record)
        self.doing: List[str] = []
        self._jobs: "SimpleQueue[Any]" = SimpleQueue()

    def put(self, task: Task) -> None:
        """Have a group sealed or checked."""
        self._jobs.put((task, None))

    def verify(self, task: Task, row: Dict[str, Any]) -> None:
        """Have one file of a group verified."""
        self._jobs.put((task, row))

    def run(self) -> None:
        """Work until the process ends."""
        while True:
            task, row = self._jobs.get()
            try:
                self._do(task, row)
            except (OSError, Unsound) as error:
                task.error = str(error)
            self.doing = []

    def _do(self, task: Task, row: Any) -> None:
        if row is not None:
            self.doing = [row["path"]]
            self._verify(task, row)
            return
        self.doing = [row["path"] for row in task.group.files]
        if task.is_source:
            self._seal(task)
        else:
            self._check(task)
        task.sealed = task.ready = True

    def _seal(self, task: Task) -> None:
        group, folder = task.group, task.folder
        known = task.sealed and all(
            self.record.holds(os.path.join(folder, r["path"]), r["sha256"]) for r in group.files
        )
        if not known:
            group.seal(folder)
            write_json(task.sealed_path, group.told())
            for row in group.files:
                self.record.note(os.path.join(folder, row["path"]), row["sha256"])
        task.verified = task.asked = {row["path"] for row in group.files}
        task.have = [True] * sum(group.pieces(row) for row in group.carried)

    def _check(self, task: Task) -> None:
        have: List[bool] = []
        for row in task.group.files:
            path = os.path.join(task.folder, row["path"])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if not row["size"]:
                open(path, "wb").close()
            if self._is_there(path, row):
                task.verified.add(row["path"])
                task.asked.add(row["path"])
                have += [True] * task.group.pieces(row)
            else:
                have += task.group.present(task.folder, row)
        task.have = have

    def _is_there(self, path: str, row: Dict[str, Any]) -> bool:
        """Tell whether a file was verified before, or can be had whole from another folder of this host."""
        if self.record.holds(path, row["sha256"]):
            return True
        candidates = [os.path.join(folder, row["path"]) for folder in self.config["reuse"]]
        if row["size"] and (os.path.exists(path) or not take_over(path, candidates, row)):
            return False
        return self._proved(path, row)

    def _verify(self, task: Task, row: Dict[str, Any]) -> None:
        path = os.path.join(task.folder, row["path"])
        _await_written(path, row["size"])
        if self._proved(path, row):
            task.verified.add(row["path"])
        elif task.repairs < _MOST_REPAIRS:
            task.spoilt = True
        else:
            raise Unsound("%s is not what its manifest says, though all of its pieces were" % path)

    def _proved(self, path: str, row: Dict[str, Any]) -> bool:
        if sha256_of(path) != row["sha256"]:
            return False
        flush(path)
        self.record.note(path, row["sha256"])
        return True


def _await_written(path: str, size: int) -> None:
    """Wait a moment for what the library has checked and not yet written: a flush returns before it is done."""
    for _ in range(_WRITE_LOOKS):
        if os.path.exists(path) and os.path.getsize(path) >= size:
            return
        time.sleep(_WRITE_PAUSE)
