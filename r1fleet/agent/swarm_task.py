"""One group on one host: from what is there already, over what comes in, to what was verified and passed on."""

from __future__ import annotations

import os
import threading
import time
from queue import SimpleQueue
from typing import Any, Dict, List, Set

from r1fleet.agent.swarm_files import (
    Group,
    Record,
    Unsound,
    flush,
    sha256_of,
    take_over,
    write_json,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from r1fleet.agent.swarm_session import Wire

_CALL_AGAIN = (6, 12, 24, 60)
"""After how many looks a peer that did not answer is called again."""
_MOST_REPAIRS = 3
_WRITE_LOOKS, _WRITE_PAUSE = 100, 0.1


class Task:
    """The state of one group; the main thread looks, the keeper's thread reads files."""

    def __init__(self, group: Group, config: Dict[str, Any], sealed_path: str) -> None:
        self.group, self.config, self.sealed_path = group, config, sealed_path
        self.is_source = config["role"] == "source"
        self.folder: str = config["folder"]
        self.sealed = os.path.exists(sealed_path)
        self.ready = False
        self.have: List[bool] = []
        self.handle: Any = None
        self.whole = self.passed = False
        self.error = ""
        self.verified: Set[str] = set()
        self.asked: Set[str] = set()
        self.repairs = 0
        self.complete: Set[str] = set()
        self.peers: List[str] = []
        self.done = self.received = self.sent = self.rejected = 0
        self.rate = self.sending = 0.0
        self.spoilt = False
        self._before = (0, 0, 0)
        self._calls: Dict[str, List[int]] = {}

    def look(self, wire: Wire, keeper: Keeper) -> None:
        """Take in what libtorrent tells, call peers that are missing, and hand complete files to the keeper."""
        if self.spoilt:
            self._restart(wire, keeper)
        if not self.ready or self.error:
            return
        if self.handle is None and self.group.carried:
            stripe = -1 if self.is_source else self.config["targets"].index(self.config["address"])
            self.handle = wire.add(self.group, self.folder, self.have, stripe)
        if self.handle is not None:
            self._read(keeper)
            self._call(wire)
        else:
            self.complete = set(self.config["peers"])
        self.whole = len(self.verified) == len(self.group.files)
        self.passed = self.whole and self.complete >= set(self.config["peers"]) - {self.config["source"]}

    def _restart(self, wire: Wire, keeper: Keeper) -> None:
        """Look at the files again: one of them is not what its pieces were when they came."""
        self.spoilt = self.ready = False
        self.repairs += 1
        if self.handle is not None:
            wire.remove(self.handle)
            self.handle = None
        self._before = (self.received, self.sent, self.rejected)
        self.asked = set(self.verified)
        keeper.put(self)

    def _read(self, keeper: Keeper) -> None:
        status = self.handle.status()
        if status.errc.value():
            place = self.folder
            self.error = "%s: %s" % (place, status.errc.message())
            return
        old_received, old_sent, old_rejected = self._before
        self.received = old_received + status.total_payload_download
        self.sent = old_sent + status.total_payload_upload
        self.rejected = old_rejected + status.total_failed_bytes
        self.rate, self.sending = float(status.download_payload_rate), float(status.upload_payload_rate)
        peers = self.handle.get_peer_info()
        self.peers = [peer.ip[0] for peer in peers]
        self.complete.difference_update(self.peers)  # a peer may find a file spoilt after all
        self.complete.update(peer.ip[0] for peer in peers if peer.progress >= 1.0)
        progress = self.handle.file_progress(1)
        self.done = 0
        for index, row in self.group.indexed():
            self.done += progress[index]
            if progress[index] == row["size"] and row["path"] not in self.asked:
                self.asked.add(row["path"])
                self.handle.flush_cache()
                keeper.verify(self, row)

    def _call(self, wire: Wire) -> None:
        for address in self.config["peers"]:
            if address in self.peers:
                self._calls.pop(address, None)
                continue
            row = self._calls.setdefault(address, [0, 0])  # looks until the next call, calls so far
            row[0] -= 1
            if row[0] < 0:
                wire.connect(self.handle, address)
                row[0] = _CALL_AGAIN[min(row[1], len(_CALL_AGAIN) - 1)]
                row[1] += 1


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
