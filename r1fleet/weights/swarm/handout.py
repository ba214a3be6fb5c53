"""Hand out a set group by group: the source seals what it has got, every target is told."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from r1fleet.errors import FleetError, HostFailed, HostUnreachable, Where
from r1fleet.weights.cargo import Cargo
from r1fleet.weights.swarm.groups import Divider, piece_size
from r1fleet.weights.swarm.model import SwarmSettings
from r1fleet.weights.swarm.party import Answer, Party


class Handout:
    """The groups of one transfer: wished for, sealed at the source, given to every target."""

    def __init__(
        self, party: Party, cargo: Cargo, source: str, targets: Sequence[str], settings: SwarmSettings
    ) -> None:
        self._party, self._cargo, self._source = party, cargo, source
        self._divider = Divider(cargo.manifest, settings.group_bytes)
        self.news = threading.Event()
        self._lock = threading.Lock()
        self._closed = False
        self._wishes: dict[int, dict[str, Any]] = {}
        self._count = 0
        self._given: dict[str, set[int]] = {host: set() for host in targets}
        self._told: set[str] = set()

    def take_up(self, numbers: Collection[int]) -> None:
        """Go on with the groups that the source has from an earlier time."""
        if not numbers:
            return
        taken = self._party.ask("take", {self._source: {"numbers": sorted(numbers)}})[self._source]
        if isinstance(taken, FleetError):
            raise taken  # without them, files would be handed out a second time
        for group in taken["groups"]:
            self._divider.take(row["path"] for row in group["files"])
        self._divider.forget()
        self._count = max(numbers) + 1

    def add(self, paths: Iterable[str]) -> None:
        """Note files that are whole at the source."""
        with self._lock:
            self._divider.take(paths)
        self.news.set()

    def close(self) -> None:
        """No more files will come; raise HostFailed where the manifest names some that never did."""
        with self._lock:
            missing = self._divider.missing
            self._closed = True
        self.news.set()
        if missing:
            raise HostFailed(
                f"{len(missing)} files of {self._cargo.place} never came to the source, {missing[0]} for one",
                where=Where(host=self._source),
                hint="bring them there, then run it again",
            )

    def step(self, sealed: Collection[int]) -> None:
        """Wish for new groups, and pass on those that are ``sealed`` by now."""
        with self._lock:
            ready = self._divider.groups()
            closed = self._closed
        for group in ready:
            rows = [asdict(file) for file in group]
            self._wishes[self._count] = {
                "number": self._count,
                "piece": piece_size(self._cargo.manifest),
                "files": rows,
            }
            self._count += 1
        self._wish(sealed)
        self._pass_on(set(sealed))
        if closed and not self._wishes:
            self._seal()

    @property
    def is_over(self) -> bool:
        """Tell whether all there is has been sealed, and more will not come."""
        return self._closed and not self._wishes

    @property
    def is_busy(self) -> bool:
        """Tell whether the source seals something right now."""
        return bool(self._wishes)

    def _wish(self, sealed: Collection[int]) -> None:
        self._wishes = {number: wish for number, wish in self._wishes.items() if number not in sealed}
        if self._wishes:
            files = [{"name": f"want-{number}.json", "content": wish} for number, wish in self._wishes.items()]
            self._of_source(self._party.ask("give", {self._source: {"files": files}}))

    def _pass_on(self, sealed: set[int]) -> None:
        lacking = {
            host: sealed - given
            for host, given in self._given.items()
            if sealed - given and host not in self._party.lost
        }
        if not lacking:
            return
        numbers = sorted(set().union(*lacking.values()))
        taken = self._of_source(self._party.ask("take", {self._source: {"numbers": numbers}}))
        groups = {group["number"]: group for group in taken["groups"]}
        rows = {host: {"files": _files(groups, wanted)} for host, wanted in lacking.items()}
        for host, answer in self._party.ask("give", rows).items():
            if not isinstance(answer, FleetError):
                self._given[host] |= lacking[host] & set(groups)

    def _seal(self) -> None:
        """Say how many groups there are, so that hosts know when they have everything."""
        ready = [host for host, given in self._given.items() if len(given) == self._count]
        if len(ready) == len(self._given) - len([host for host in self._given if host in self._party.lost]):
            ready.append(self._source)
        count = {"files": [{"name": "sealed.json", "content": {"groups": self._count}}]}
        for host, answer in self._party.ask("give", {host: count for host in ready if host not in self._told}).items():
            if not isinstance(answer, FleetError):
                self._told.add(host)

    def _of_source(self, answers: Mapping[str, Answer]) -> dict[str, Any]:
        """Return the source's answer; where it is lost, there is nothing of it for now."""
        answer = answers[self._source]
        if isinstance(answer, HostUnreachable):
            return {"groups": []}
        if isinstance(answer, FleetError):
            raise answer
        return answer


def _files(groups: Mapping[int, Any], wanted: Iterable[int]) -> list[dict[str, Any]]:
    return [
        {"name": f"group-{number}.json", "content": groups[number]} for number in sorted(wanted) if number in groups
    ]
