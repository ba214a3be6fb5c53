"""Spread a sealed set from one host to all others: between the hosts where they can, by the controller where not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from r1fleet.events import Observer, ignore
from r1fleet.weights.swarm.model import Cargo, Member, SwarmSettings
from r1fleet.weights.sync import HostOutcome, stream


def spread(
    cargo: Cargo, source: Member, targets: Sequence[Member], settings: SwarmSettings, observer: Observer = ignore
) -> tuple[HostOutcome, ...]:
    """Bring a set that is whole at the source to every target; what runs already is gone on with."""
    swarm = Swarm(cargo, source, targets, settings, observer)
    swarm.start()
    swarm.add(file.path for file in cargo.manifest.files)
    return swarm.finish()


class Swarm:
    """One set on its way to several hosts, file by file as the source gets them."""

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

    def start(self) -> None:
        """Look at all hosts and make them ready; raise what stands in the way of all, before a byte moves."""

    def add(self, paths: Iterable[str]) -> None:
        """Tell that files of the manifest are whole at the source, and return at once."""

    def finish(self) -> tuple[HostOutcome, ...]:
        """Wait until every target has published the whole set, or cannot; one outcome a target, in their order."""
        cargo = self._cargo
        reaches = [(target.session, target.become) for target in self._targets]
        source = (self._source.session, self._source.become)
        return stream(source, cargo.folder, cargo.place, cargo.manifest, reaches, self._observer)

    def leave(self) -> None:
        """Stop following; what runs on the hosts goes on by itself, and a later ``start`` takes it up again."""
