"""First copies: the source sends every piece about once, however unequal and unreliable the hosts are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import pytest

from r1fleet.agent.swarm_intake import Intake, Shares

TICK = 0.1
NEWS = 1.0
"""Seconds until the others know of a piece that has come."""


@dataclass
class World:
    """One link from the source, shared by weight between the hosts that wait for something."""

    pieces: int
    seconds: float
    now: float = 0.0
    came: dict[int, float] = field(default_factory=dict)
    silent: set[int] = field(default_factory=set)
    sent: float = 0.0

    def hosts(self, piece: int) -> int:
        """Count who has a piece: one for a while, then all, unless it came to a host that passes nothing on."""
        since = self.now - self.came.get(piece, self.now)
        return 0 if since < NEWS else 1 if since < 2 * NEWS or piece in self.silent else 9


@dataclass
class Source:
    """The source's torrent as one host sees it."""

    weight: float
    queue: list[int] = field(default_factory=list)
    part: float = 0.0
    here: set[int] = field(default_factory=set)
    read: list[int] = field(default_factory=list)

    def have_piece(self, piece: int) -> bool:
        return piece in self.here

    def read_piece(self, piece: int) -> None:
        self.read.append(piece)

    def prioritize_pieces(self, rows: list[tuple[int, int]]) -> None:
        for piece, priority in rows:
            if priority:
                self.queue.append(piece)
            elif piece in self.queue[1:]:
                self.queue.remove(piece)

    def get_download_queue(self) -> list[dict[str, Any]]:
        return [{"piece_index": piece, "blocks": [{"state": 1}]} for piece in self.queue[:1]]

    def take(self, pieces: float) -> float:
        """Let so many pieces come; return how many did."""
        before = self.part
        self.part += pieces
        done = 0
        while self.queue and self.part >= 1:
            self.part -= 1
            done += 1
            self.here.add(self.queue.pop(0))
        if not self.queue:
            self.part = 0.0
        return done + self.part - before


@dataclass
class Mesh:
    """The hosts' torrent as one of them sees it."""

    world: World
    own: set[int] = field(default_factory=set)
    passes_on: bool = True

    @property
    def pieces(self) -> list[bool]:
        return [piece in self.own or self.world.hosts(piece) > 1 for piece in range(self.world.pieces)]

    def piece_availability(self) -> list[int]:
        return [self.world.hosts(piece) for piece in range(self.world.pieces)]

    def status(self, _: int) -> Mesh:
        return self

    def add_piece(self, piece: int, data: bytes, flags: int) -> None:
        assert data
        self.own.add(piece)
        if self.passes_on and piece in self.world.silent:
            self.world.silent.discard(piece)
        elif not self.passes_on and piece not in self.world.came:
            self.world.silent.add(piece)
        self.world.came.setdefault(piece, self.world.now)


def shared_out(
    weights: list[float],
    *,
    dead: Collection[int] = (),
    seen: bool = False,
    silent: Collection[int] = (),
    pieces: int = 800,
    seconds: float = 60,
) -> tuple[float, float]:
    """Return how long first copies take, over what the link needs for one, and how many the source sent.

    ``dead`` hosts take nothing, which the others know if it was ``seen``; ``silent`` ones pass nothing on.
    """
    world = World(pieces, seconds)
    sources = [Source(weight) for weight in weights]
    meshes = [Mesh(world, passes_on=number not in silent) for number in range(len(weights))]
    intakes = [
        Intake(source, mesh, Shares(number, len(weights)), [False] * pieces, lambda: world.now)
        for number, (source, mesh) in enumerate(zip(sources, meshes, strict=True))
    ]
    living = [number for number in range(len(weights)) if number not in dead]
    for number in living if seen else ():
        intakes[number].present = [host for host in living if host != number]
    while len(world.came) < pieces or world.silent:
        assert world.now < 3 * seconds, f"{pieces - len(world.came)} pieces do not come"
        world.now += TICK
        waiting = [sources[number] for number in living if sources[number].queue]
        for source in waiting:
            share = source.weight / sum(one.weight for one in waiting)
            world.sent += source.take(pieces / seconds * TICK * share)
        for number in living:
            intakes[number].pace(pieces / seconds)
            intakes[number].step()
            while sources[number].read:
                intakes[number].put(sources[number].read.pop(), b"data")
    return world.now / seconds, world.sent / pieces


@pytest.mark.parametrize("hosts", [1, 2, 4, 16])
def test_equal_hosts_cost_one_copy(hosts: int) -> None:
    took, sent = shared_out([1.0] * hosts)
    assert sent <= 1.01
    assert took <= 1.03


@pytest.mark.parametrize("weights", [[0.3, 0.3, 0.5, 1, 1, 1, 1, 2], [0.2] * 5 + [1.0] * 8 + [2.0] * 3])
def test_hosts_that_are_through_help_others_without_taking_what_those_take(weights: list[float]) -> None:
    took, sent = shared_out(weights)
    assert sent <= 1.08
    assert took <= 1.1


@pytest.mark.parametrize("seen", [False, True])
def test_the_pieces_of_a_host_that_is_gone_are_taken_by_the_others(seen: bool) -> None:
    took, sent = shared_out([1.0] * 8, dead=[3], seen=seen)
    assert sent <= 1.05
    assert took <= 1.15


def test_what_only_a_host_has_that_passes_nothing_on_is_taken_from_the_source_in_the_end() -> None:
    took, sent = shared_out([0.25] + [1.0] * 7, silent=[0])
    assert 1.01 < sent <= 1.1
    assert took <= 1.2


@pytest.mark.parametrize("dead", [(0, 1), (1, 2), (0, 2)])
@pytest.mark.parametrize("seen", [False, True])
def test_one_host_that_is_left_of_three_takes_all(dead: tuple[int, int], seen: bool) -> None:
    took, sent = shared_out([1.0] * 3, dead=dead, seen=seen, pieces=48, seconds=10)
    assert sent == pytest.approx(1.0)
    assert took <= (1.3 if seen else 2.0)


def test_every_piece_has_one_helper_whoever_looks() -> None:
    missing = list(range(400))
    helpers = [0, 2, 5, 7]
    taken = [Shares(mine, 8).to_help(missing, helpers, {1: 3})[0] for mine in helpers]
    found = sorted(piece for pieces in taken for piece in pieces)
    owned = {mine: [piece for piece in missing if piece % 8 == mine] for mine in range(8)}
    for mine, pieces in zip(helpers, taken, strict=True):
        assert pieces == sorted(pieces, reverse=True)
        assert not set(pieces) & set(owned[mine])
    assert len(found) == len(set(found))
    assert not set(found) & set(owned[1][:3])
    assert set(owned[1][3:] + owned[3]) <= set(found)


def test_what_has_come_from_others_is_asked_for_no_more() -> None:
    world = World(8, 1.0)
    source, mesh = Source(1.0), Mesh(world)
    intake = Intake(source, mesh, Shares(0, 2), [False] * 8, lambda: world.now)
    world.now = 2.0
    intake.step()
    assert source.queue == [0, 2]
    world.came = {0: 0.0, 2: 0.0}
    world.now = 4.0
    intake.step()
    assert source.queue == [0, 4, 6]
    assert not intake.is_through([0])
    assert intake.is_through([2])
    assert not intake.is_through([4])
