"""Spread a sealed set from one host to all others: between the hosts where they can, by the controller where not."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from r1fleet.errors import FleetError, HostFailed, Where
from r1fleet.events import Note, Observer, Step, ignore
from r1fleet.transport.protocol import Blob, Reply
from r1fleet.weights.cargo import Cargo
from r1fleet.weights.swarm.drive import Begin, Drive
from r1fleet.weights.swarm.ground import Ground, check_ways, look
from r1fleet.weights.swarm.handout import Handout
from r1fleet.weights.swarm.model import Member, SwarmSettings
from r1fleet.weights.swarm.party import Party
from r1fleet.weights.swarm.program import code, configuration, platform_of, sessions_for, wheel_blob
from r1fleet.weights.sync import STEP, HostOutcome, stream


def spread(
    cargo: Cargo, source: Member, targets: Sequence[Member], settings: SwarmSettings, observer: Observer = ignore
) -> tuple[HostOutcome, ...]:
    """Bring a set that is whole at the source to every target; what runs already is gone on with."""
    swarm = Swarm(cargo, source, targets, settings, observer)
    swarm.start()
    swarm.add(file.path for file in cargo.manifest.files)
    return swarm.finish()


class Swarm:
    """One set on its way to several hosts, file by file as the source gets them.

    What runs on the hosts needs the controller only to learn of further files, and to be published. A Swarm that is
    started again takes up what it finds.
    """

    def __init__(
        self,
        cargo: Cargo,
        source: Member,
        targets: Sequence[Member],
        settings: SwarmSettings,
        observer: Observer = ignore,
    ) -> None:
        self._cargo = cargo
        self._source = source
        self._targets = targets
        self._settings = settings
        self._observer = observer
        self._party = Party((source, *targets), cargo)
        self._outcomes: dict[str, HostOutcome] = {}
        self._streamed: list[Member] = []
        self._handout: Handout | None = None
        self._drive: Drive | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._failure: FleetError | None = None

    def start(self) -> None:
        """Look at all hosts and make them ready; raise what stands in the way of all, before a byte moves."""
        ground = look(self._party, self._cargo, self._source, self._targets, self._settings)
        for host in ground.held:
            self._end(HostOutcome(host), "skipped", f"{self._cargo.place} is there already")
        for host, error in ground.unfit.items():
            self._end(HostOutcome(host, error=error), "failed", error.what)
        wheels = self._wheels(ground)
        members = [one for one in self._targets if one.name in wheels]
        self._streamed = [one for one in self._targets if one.name in ground.told and one.name not in wheels]
        if not members:
            return
        settings = replace(
            self._settings, sessions=sessions_for(self._settings, [told["speed"] for told in ground.told.values()])
        )
        quiet = [one for one in (self._source, *members) if not ground.told[one.name]["runs"]]
        if len(quiet) > 1:
            check_ways(self._party, quiet, settings)
        names = [one.name for one in members]
        handout = Handout(self._party, self._cargo, self._source.name, names, settings)
        drive = Drive(self._party, self._cargo, handout, settings, self._beginner(members, settings, wheels))
        drive.begin(self._source.name, names, ground, self._observer)
        self._handout, self._drive = handout, drive
        self._thread.start()

    def add(self, paths: Iterable[str]) -> None:
        """Tell that files of the manifest are whole at the source, and return at once."""
        if self._handout is not None:
            self._handout.add(paths)

    def finish(self) -> tuple[HostOutcome, ...]:
        """Wait until every target has published the whole set, or cannot; one outcome a target, in their order."""
        self._close()
        if self._settings.rate:
            self._join()  # both at once would be twice the rate at the source
        if self._streamed:
            self._outcomes.update({outcome.host: outcome for outcome in self._stream()})
        self._join()
        return tuple(self._outcomes.get(target.name) or _left(target.name) for target in self._targets)

    def _join(self) -> None:
        if self._drive is not None:
            self._thread.join()
            self._outcomes.update(self._drive.outcomes)
        if self._failure is not None:
            raise self._failure

    def leave(self) -> None:
        """Stop following; what runs on the hosts goes on by itself, and a later ``start`` takes it up again."""
        if self._drive is not None:
            self._drive.left = True
            self._thread.join()

    def _close(self) -> None:
        try:
            if self._handout is not None:
                self._handout.close()
        except FleetError:
            self.leave()
            raise

    def _beginner(self, members: Sequence[Member], settings: SwarmSettings, wheels: Mapping[str, Blob]) -> Begin:
        """Return what starts the program on some of the hosts."""
        given = {
            one.name: {"code": list(code()), "config": configuration(self._cargo, one, self._source, members, settings)}
            for one in (self._source, *members)
        }
        return lambda hosts: self._party.begin({host: given[host] for host in hosts}, wheels)

    def _follow(self) -> None:
        assert self._drive is not None
        try:
            self._drive.follow()
        except FleetError as error:
            self._failure = error
            self._party.ask("end", {host: {} for host in self._party.members})

    def _wheels(self, ground: Ground) -> dict[str, Blob]:
        """Find the library for every host that takes part; tell of those for which there is none."""
        found, lacking = dict[str, Blob](), dict[str, str]()
        for host, told in ground.told.items():
            wheel, problem = self._wheel(told)
            if wheel is None:
                lacking[host] = f"{host}: {problem}"
            else:
                found[host] = wheel_blob(wheel)
        if self._source.name in lacking:
            lacking = {**dict.fromkeys(ground.told, lacking[self._source.name]), **lacking}
            found = {}
        for host in lacking.keys() - {self._source.name}:
            text = "no swarm for this host, but a copy streamed by the controller"
            self._observer(Note(f"{text}: {lacking[host]}", "warning", host))
        return found

    def _wheel(self, told: Reply) -> tuple[Path | None, str]:
        platform = platform_of(told)
        problem = f"there is no libtorrent for Python {told['python']} on {told['machine']}"
        try:
            return (self._settings.wheel_for(platform) if platform else None), problem
        except FleetError as error:
            return None, error.what

    def _stream(self) -> tuple[HostOutcome, ...]:
        cargo = self._cargo
        source, *reaches = self._party.reaches([self._source.name, *(one.name for one in self._streamed)])
        try:
            return stream(cargo, source, reaches, self._observer, rate=self._settings.rate)
        except FleetError as error:
            return tuple(HostOutcome(one.name, error=error) for one in self._streamed)

    def _end(self, outcome: HostOutcome, state: str, detail: str) -> None:
        self._outcomes[outcome.host] = outcome
        size = 0 if outcome.error else self._cargo.manifest.size
        self._observer(Step(STEP, state, detail, outcome.host, size, self._cargo.manifest.size, "bytes"))


def _left(host: str) -> HostOutcome:
    what = "the transfer is not followed any more; it goes on by itself"
    return HostOutcome(host, error=HostFailed(what, where=Where(host=host), hint="run it again to follow it"))
