"""One group on one host: from what is there already, over what comes in, to what was verified and passed on."""

from __future__ import annotations

import os
import threading
import time
from queue import SimpleQueue
from typing import Any, Dict, List, Set, Tuple

from r1fleet.agent.swarm_files import (
    Group,
    Record,
    Unsound,
    flush,
    sha256_of,
    take_over,
    write_json,
)
from r1fleet.agent.swarm_intake import Intake, Shares

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
        self.outlet: Any = None  # the source's own torrent, at the source
        self.intake: Any = None  # the same, at a target that still takes from it
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
        self._past = (0, 0, 0)  # moved by torrents that were left
        self._calls: Dict[Tuple[bool, str], List[int]] = {}

    def look(self, wire: Wire, keeper: Keeper) -> None:
        """Take in what libtorrent tells, call peers that are missing, and hand complete files to the keeper."""
        if self.spoilt:
            self._restart(wire, keeper)
        if not self.ready or self.error:
            return
        if self.handle is None and self.group.carried:
            self._join(wire)
        if self.handle is not None:
            self._read(wire, keeper)
            self._call(wire)
        else:
            self.complete = set(self.config["peers"])
        self.whole = len(self.verified) == len(self.group.files)
        self.passed = self.whole and self.complete >= set(self.config["peers"]) - {self.config["source"]}

    def _join(self, wire: Wire) -> None:
        peers, source = self.config["peers"], self.config["source"]
        if self.is_source:
            self.outlet = wire.source(self.group, self.folder, self.have, [])
            self.handle = wire.watch(self.group, self.folder, peers)
            return
        self.handle = wire.mesh(self.group, self.folder, self.have, peers)
        if not all(self.have):
            targets = self.config["targets"]
            shares = Shares(targets.index(self.config["address"]), len(targets))
            taken = wire.source(self.group, self.folder, self.have, [source])
            self.intake = Intake(taken, self.handle, shares, self.have)

    def _restart(self, wire: Wire, keeper: Keeper) -> None:
        """Look at the files again: one of them is not what its pieces were when they came."""
        self.spoilt = self.ready = False
        self.repairs += 1
        for handle in self._handles():
            self._leave(wire, handle)
        self.handle = self.intake = self.outlet = None
        self.asked = set(self.verified)
        keeper.put(self)

    def _handles(self) -> List[Any]:
        own = self.intake.source if self.intake is not None else self.outlet
        return [handle for handle in (self.handle, own) if handle is not None]

    def _leave(self, wire: Wire, handle: Any) -> None:
        received, sent, rejected = map(sum, zip(self._past, _moved(handle.status())))
        self._past = (received, sent, rejected)
        wire.remove(handle)

    def _read(self, wire: Wire, keeper: Keeper) -> None:
        states = [handle.status() for handle in self._handles()]
        for status in states:
            if status.errc.value():
                self.error = "%s: %s" % (self.folder, status.errc.message())
                return
        self.received, self.sent, self.rejected = map(sum, zip(self._past, *map(_moved, states)))
        self.rate = float(sum(status.download_payload_rate for status in states))
        self.sending = float(sum(status.upload_payload_rate for status in states))
        if self.intake is not None:
            self.intake.pace(self.rate / self.group.piece)
        peers = self.handle.get_peer_info()
        self.peers = [peer.ip[0] for peer in peers]
        self.complete.difference_update(self.peers)  # a peer may find a file spoilt after all
        self.complete.update(peer.ip[0] for peer in peers if peer.progress >= 1.0)
        if self.is_source:
            self.done = self.group.size
        else:
            self._progress(wire, keeper)

    def _progress(self, wire: Wire, keeper: Keeper) -> None:
        """See which files are whole; nothing is asked of the source any more when all are."""
        progress = self.handle.file_progress(1)
        self.done = sum(progress[index] for index, _ in self.group.indexed())
        if self.intake is not None and self.done == self.group.size:
            self._leave(wire, self.intake.source)
            self.intake = None
        for index, row in self.group.indexed():
            first, count = self.group.first(row), self.group.pieces(row)
            if progress[index] < row["size"] or row["path"] in self.asked:
                continue
            if self.intake is None or self.intake.is_through(range(first, first + count)):
                self.asked.add(row["path"])
                self.handle.flush_cache()
                keeper.verify(self, row)

    def _call(self, wire: Wire) -> None:
        """Call peers that are missing, and the source a second time, for what only it gives out."""
        for address in self.config["peers"]:
            self._call_one(wire, self.handle, address, self.peers)
        if self.intake is not None:
            source = self.intake.source
            self._call_one(wire, source, self.config["source"], [peer.ip[0] for peer in source.get_peer_info()])

    def _call_one(self, wire: Wire, handle: Any, address: str, peers: List[str]) -> None:
        key = (handle is self.handle, address)
        if address in peers:
            self._calls.pop(key, None)
            return
        row = self._calls.setdefault(key, [0, 0])  # looks until the next call, calls so far
        row[0] -= 1
        if row[0] < 0:
            wire.connect(handle, address)
            row[0] = _CALL_AGAIN[min(row[1], len(_CALL_AGAIN) - 1)]
            row[1] += 1


def _moved(status: Any) -> Tuple[int, int, int]:
    """Return how many bytes a torrent took in, gave out and found wrong."""
    return status.total_payload_download, status.total_payload_upload, status.total_failed_bytes


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
