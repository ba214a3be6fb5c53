"""First copies: what this host fetches from the source itself, so that the source sends every piece about once.

The hosts pass pieces on between them in one torrent, the mesh; the source is no seed there. It gives them out in
another torrent with the same pieces, where every host asks for the ones of its own share and for no others. A piece
that has come is put into the mesh.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import Any, Callable, Collection, Deque, Dict, Iterable, List, Optional, Sequence, Set, Tuple
from zlib import crc32

_AHEAD, _LEAST = 2.0, 2
"""For how many seconds pieces are asked for ahead, and how many at least."""
_REVIEW = 1.0
_SETTLED = 2.5
"""For how long it must be a host's turn to take a piece for another: what others have asked for by then has come."""
_STUCK = 6.0
"""After how long an owner whose next piece does not come keeps nothing to itself any more."""
_NEARLY = 2
"""With how many windows left of its own share a host is one that helps: its turns settle before it is through."""
_MOST_LOOKED_AT = 2048
_UNWANTED, _WANTED = 0, 7
_UNDER_WAY = (1, 2)  # of a block: requested, and on its way to the disk
_PIECES = 8  # of libtorrent's status: what is asked for here


class Shares:
    """Who takes which pieces from the source: every host those of its own share, then a part of what others lack."""

    def __init__(self, mine: int, hosts: int) -> None:
        self.mine, self.hosts = mine, hosts

    def owner(self, piece: int) -> int:
        """Return the number of the host that takes this piece."""
        return piece % self.hosts

    def to_help(
        self, missing: Sequence[int], helpers: Sequence[int], reserve: Dict[int, int], depth: int = 2
    ) -> Tuple[List[int], List[int]]:
        """Return which of the pieces that no host has this one may take for their owners, and which if nobody does.

        ``missing`` ascends, and so do owners: the first ``reserve`` pieces of each are left to it. Every other one is
        one helper's, whoever looks at it; helpers begin with the last, and what another's helper leaves is second:
        ``depth`` helpers of each piece are looked at, so that with time somebody takes what dead ones would have.
        """
        seen: Dict[int, int] = {}
        mine: List[int] = []
        second: List[int] = []
        kept: List[int] = []
        for piece in missing[-_MOST_LOOKED_AT:]:
            owner = self.owner(piece)
            seen[owner] = seen.get(owner, 0) + 1
            others = (host for host in helpers if host != owner)
            order = sorted(others, key=lambda host: crc32(b"%d %d" % (piece, host)))[:depth]
            if owner == self.mine or self.mine not in order:
                continue
            if seen[owner] <= reserve.get(owner, 0):
                kept += [piece] if self.mine in order[: depth - 1] else []
            elif order[0] == self.mine:
                mine.append(piece)
            else:
                second.append(piece)
        return mine[::-1], second + kept[::-1]


class Intake:
    """What one host takes from the source for one group: asks for it piece by piece, and puts it into the mesh."""

    def __init__(
        self, source: Any, mesh: Any, shares: Shares, have: Sequence[bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.source, self._mesh, self._shares, self._clock = source, mesh, shares, clock
        self._own: Deque[int] = deque(
            piece for piece, there in enumerate(have) if not there and shares.owner(piece) == shares.mine
        )
        self._others: Deque[int] = deque()
        self._asked: Set[int] = set()
        self._reading: Set[int] = set()
        self.window = _LEAST
        self.missing = len(have) - sum(have)  # pieces that no host has
        self.present: Optional[Collection[int]] = None  # hosts that are there right now, where that is known
        self._reviewed = 0.0
        self._next: Dict[int, Tuple[int, float]] = {}  # every owner's next piece, and since when it is
        self._turn: Dict[int, float] = {}  # since when it has been this host's turn to take a piece for its owner
        self._alone: Dict[int, float] = {}  # since when only one host has had a piece
        self._idle = 0.0

    def step(self) -> None:
        """Read what has come, and ask for more."""
        now = self._clock()
        for piece in [piece for piece in self._asked if self.source.have_piece(piece)]:
            self._asked.discard(piece)
            self._reading.add(piece)
            self.source.read_piece(piece)
        if now - self._reviewed > _REVIEW:
            self._reviewed = now
            self._review()
        self._ask(self._own or self._others, self.window - len(self._asked))

    def pace(self, pieces: float) -> None:
        """Note how many pieces this host gets in a second, from whomever: as fast as its link is its share here."""
        self.window = max(_LEAST, int(pieces * _AHEAD / self._shares.hosts) + 1)

    def put(self, piece: int, data: Any) -> None:
        """Give a piece that was read to the others; one that could not be read is asked for again."""
        self._reading.discard(piece)
        if data:
            self._mesh.add_piece(piece, data, 0)

    def is_through(self, pieces: Sequence[int]) -> bool:
        """Tell whether nothing that comes from the source can still be written to these pieces."""
        open_blocks = {
            row["piece_index"]
            for row in self.source.get_download_queue()
            if any(block["state"] in _UNDER_WAY for block in row["blocks"])
        }
        return not (self._asked | self._reading | open_blocks).intersection(pieces)

    def _ask(self, pieces: Deque[int], room: int) -> None:
        new = [pieces.popleft() for _ in range(min(room, len(pieces)))]
        if new:
            self._asked.update(new)
            self.source.prioritize_pieces([(piece, _WANTED) for piece in new])

    def _review(self) -> None:
        """Leave alone what has come from others meanwhile; help those that are behind when its own has nearly come."""
        missing, scarce = self._lacking()
        self.missing = len(missing)
        wanted = missing or scarce
        self._forget(self._asked.difference(wanted))
        self._next = self._fronts(missing)
        busy = self._asked | self._reading
        mine = [piece for piece in missing if self._shares.owner(piece) == self._shares.mine]
        self._own = deque(piece for piece in mine if piece not in busy)
        near = len(mine) <= _NEARLY * self.window
        self._others = deque(piece for piece in self._to_help(wanted) if piece not in busy) if near else deque()

    def _to_help(self, missing: Sequence[int]) -> List[int]:
        """Return what to take for others: pieces it has been this host's turn to take for a while.

        Before that another host may have asked for them already, which cannot be seen.
        """
        now, shares = self._clock(), self._shares
        left = Counter(map(shares.owner, missing))
        here = range(shares.hosts) if self.present is None else sorted({shares.mine, *self.present})
        helpers = [host for host in here if left[host] <= _NEARLY * self.window]
        fronts = self._next.items()
        reserve = {owner: self.window for owner, (_, since) in fronts if owner in here and now - since < _STUCK}
        mine, rest = shares.to_help(missing, helpers, reserve, 1 + max(1, int((now - self._idle) / _SETTLED)))
        self._turn = {piece: self._turn.get(piece, now) for piece in mine}
        if mine or self._asked:
            self._idle = now
        ripe = [piece for piece in mine if piece in self._alone or now - self._turn[piece] > _SETTLED]
        return ripe or (rest if now - self._idle > _SETTLED else [])

    def _fronts(self, missing: Sequence[int]) -> Dict[int, Tuple[int, float]]:
        """Return every owner's next piece that nobody has, and since when it is the next."""
        fronts: Dict[int, Tuple[int, float]] = {}
        for piece in missing:
            owner = self._shares.owner(piece)
            if owner not in fronts:
                before = self._next.get(owner)
                fronts[owner] = before if before and before[0] == piece else (piece, self._clock())
        return fronts

    def _lacking(self) -> Tuple[List[int], List[int]]:
        """Return the pieces that no host has, and those that only one has had for a while, but not this one.

        The second kind comes from that host, unless it is too slow: when there is nothing else to be had from the
        source, others take it from there, too.
        """
        here = self._mesh.status(_PIECES).pieces
        now = self._clock()
        found: Tuple[List[int], List[int]] = ([], [])
        for piece, hosts in enumerate(self._mesh.piece_availability()):
            if hosts < 2 and not (here and here[piece]):
                found[hosts].append(piece)
        self._alone = {piece: self._alone.get(piece, now) for piece in found[1]}
        return found[0], [piece for piece, since in self._alone.items() if now - since > _SETTLED]

    def _forget(self, pieces: Iterable[int]) -> None:
        old = [piece for piece in pieces if not self.source.have_piece(piece)]
        self._asked.difference_update(old)
        if old:
            self.source.prioritize_pieces([(piece, _UNWANTED) for piece in old])
