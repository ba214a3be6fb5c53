"""One group on one host: from what is there already, over what comes in, to what was verified and passed on."""

from __future__ import annotations

import os
import time
from typing import Any, Dict, List, Set, Tuple

from r1fleet.agent.swarm_files import Group
from r1fleet.agent.swarm_intake import Intake, Shares

TYPE_CHECKING = False
if TYPE_CHECKING:
    from r1fleet.agent.swarm_keeper import Keeper
    from r1fleet.agent.swarm_session import Wire

_CALL_AGAIN = (6, 12, 24, 60)
"""After how many looks a peer that did not answer is called again."""
_QUIET, _FIRST = 3.0, 5.0
"""After how many seconds without sending anything the source looks at how the hosts get on between them, and how many
more it waits to be asked for the first time.
"""


class Task:
    """The state of one group; the main thread looks, the keeper's thread reads files."""

    def __init__(self, group: Group, config: Dict[str, Any], sealed_path: str) -> None:
        self.group, self.config, self.sealed_path = group, config, sealed_path
        self.is_source = config["role"] == "source"
        self.folder: str = config["folder"]
        self.sealed = os.path.exists(sealed_path)
        self.ready = False
        self.have: List[bool] = []
        self.handle: Any = None  # of the mesh
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
        self.others = 0  # thousandths of the group that peers have
        self._sent_at = 0.0
        self._calls: Dict[Tuple[bool, str], List[int]] = {}

    def look(self, wire: Wire, keeper: Keeper) -> None:
        """Take in what libtorrent tells, call peers that are missing, and hand complete files to the keeper."""
        if self.spoilt:
            self._restart(wire, keeper)
        if not self.ready or self.error:
            return
        if self.group.carried:
            if not self._handles():
                self._join(wire)
            self._read(wire, keeper)
            self._call(wire)
        else:
            self.complete = set(self.config["peers"])
        self.whole = len(self.verified) == len(self.group.files)
        self.passed = self.whole and self.complete >= set(self.config["peers"]) - {self.config["source"]}

    @property
    def backlog(self) -> int:
        """How many bytes other hosts have by now, and this one has not."""
        if self.is_source or not self.ready:
            return 0
        nowhere = self.intake.missing * self.group.piece if self.intake is not None else 0
        return max(0, self.group.size - self.done - nowhere)

    def _join(self, wire: Wire) -> None:
        source = self.config["source"]
        if self.is_source:
            self.outlet = wire.source(self.group, self.folder, self.have, [])
            self._sent_at = time.monotonic() + _FIRST
            return
        self.handle = wire.mesh(self.group, self.folder, self.have, self._mesh_peers())
        if not all(self.have):
            targets = self.config["targets"]
            shares = Shares(targets.index(self.config["address"]), len(targets))
            taken = wire.source(self.group, self.folder, self.have, [source])
            self.intake = Intake(taken, self.handle, shares, self.have)

    def _watch(self, wire: Wire) -> None:
        """Join the mesh once nothing is asked of the source any more: what hosts tell costs its link."""
        if self.handle is None and time.monotonic() - self._sent_at > _QUIET:
            self.handle = wire.watch(self.group, self.folder, self._mesh_peers())

    def _mesh_peers(self) -> List[str]:
        """Return whom to call in the mesh: the source, which gives nothing there, comes by itself."""
        return [address for address in self.config["peers"] if address != self.config["source"]]

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
        sent = self.sent
        self.received, self.sent, self.rejected = map(sum, zip(self._past, *map(_moved, states)))
        if self.sent != sent:
            self._sent_at = time.monotonic()
        self.rate = float(sum(status.download_payload_rate for status in states))
        self.sending = float(sum(status.upload_payload_rate for status in states))
        peers = self._handles()[0].get_peer_info()
        self.peers = [peer.ip[0] for peer in peers]
        if self.intake is not None:
            self.intake.pace(self.rate / self.group.piece)
            targets = self.config["targets"]
            self.intake.present = [targets.index(address) for address in self.peers if address in targets]
        self.others = sum(round(peer.progress * 1000) for peer in peers)
        if self.handle is not None:
            self.complete.difference_update(self.peers)  # a peer may find a file spoilt after all
            self.complete.update(peer.ip[0] for peer in peers if peer.progress >= 1.0)
        if self.is_source:
            self.done = self.group.size
            self._watch(wire)
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
        """Call peers that are missing, and the source for what only it gives out."""
        for address in self._mesh_peers() if self.handle is not None else ():
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
