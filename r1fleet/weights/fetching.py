"""Fetch a model once: on a host, from where it goes on to the others meanwhile, or on the controller."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

from r1fleet.cache import cache_dir
from r1fleet.errors import HostFailed, Where
from r1fleet.transport import Session
from r1fleet.weights import kept
from r1fleet.weights.cargo import Cargo
from r1fleet.weights.manifest import Manifest, SealedFile, parse
from r1fleet.weights.plan import CONTROLLER, ModelPlan
from r1fleet.weights.sources import Listing, Request, fetch
from r1fleet.weights.swarm import Swarm
from r1fleet.weights.sync import HostOutcome
from r1fleet.weights.ways import Ways, left_on_trouble

Outcomes = dict[str, HostOutcome]


def fetched(plan: ModelPlan, ways: Ways) -> tuple[Manifest, str, Outcomes]:
    """Fetch and publish; return the seal, a host of the cluster that has it now, and who got it on the way."""
    assert plan.origin is not None
    host = plan.origin.host
    if host == CONTROLLER and CONTROLLER not in ways.contact.hosts:
        return _by_controller(plan, ways)
    others = ways.within_reach([row.host for row in plan.waiting if row.host != host])
    targets = [] if ways.options.is_small(plan.size) else others
    in_place = plan.listing is not None and plan.listing.in_place
    staging = plan.model.path if in_place else _staging(PurePosixPath(plan.model.path))
    manifest, outcomes = _passed_on(plan, ways, staging, targets)
    if not in_place:
        ways.publish(host, manifest, staging, plan.model.path)
    return manifest, host, {host: HostOutcome(host, changed=True), **outcomes}


def _passed_on(plan: ModelPlan, ways: Ways, staging: str, targets: Sequence[str]) -> tuple[Manifest, Outcomes]:
    """Fetch on one host, and let the swarm carry on what is complete while the rest is still on its way."""
    assert plan.origin is not None
    assert plan.listing is not None
    host, path = plan.origin.host, plan.model.path
    handing = _Handing(plan.listing, lambda manifest: ways.swarm(Cargo(manifest, staging, path), host, targets))
    session = ways.open(host)
    try:
        with left_on_trouble(lambda: handing.swarm):
            request = Request(ways.options.source, plan.listing, staging)
            on_file = handing.add if targets else _nothing
            done = fetch(session, request, ways.observer, on_file=on_file, become=ways.become(host))
            return done.manifest, handing.finish(done.manifest) if targets else {}
    finally:
        session.close()


def _by_controller(plan: ModelPlan, ways: Ways) -> tuple[Manifest, str, Outcomes]:
    """Fetch into the controller's cache, and bring it from there to a first host."""
    assert plan.listing is not None
    staging = cache_dir("weights") / PurePosixPath(_staging(PurePosixPath(plan.model.path))).name
    session = ways.access.transport.open(ways.options.controller)
    try:
        kept.give_back_listed(plan.listing, staging)
        done = fetch(session, Request(ways.options.source, plan.listing, str(staging)), ways.observer)
        outcomes = _handed_over(plan, ways, session, staging, done.manifest)
    finally:
        session.close()
    return done.manifest, next(reversed(outcomes)), outcomes


def _handed_over(plan: ModelPlan, ways: Ways, session: Session, staging: Path, manifest: Manifest) -> Outcomes:
    """Copy what was fetched to the first host that takes it; where none does, the next fetch has it at hand."""
    outcomes: Outcomes = {}
    with ExitStack() as unless_taken:
        unless_taken.callback(kept.give_back, manifest.digest, staging)
        with kept.read(manifest.digest):
            cargo = Cargo(manifest, str(kept.keep(staging, manifest)), plan.model.path)
            for host in ways.within_reach([row.host for row in plan.waiting]):
                (outcomes[host],) = ways.stream(cargo, (session, None), [host])
                if outcomes[host].error is None:
                    unless_taken.pop_all()
                    return outcomes
        errors = [one.error for one in outcomes.values() if one.error is not None]
        raise next(iter([*errors, *ways.contact.lost.values()]))


class _Handing:
    """Hands complete files on to a swarm, which begins as soon as the hash of every file is known."""

    def __init__(self, listing: Listing, begin: Callable[[Manifest], Swarm]) -> None:
        self.swarm: Swarm | None = None
        self._listing = listing
        self._begin = begin
        self._digest = ""
        self._complete: dict[str, SealedFile] = {}

    def add(self, file: SealedFile) -> None:
        """Hand on one file; hubs tell no sha256 of small ones, which come first."""
        self._complete[file.path] = file
        if self.swarm is not None:
            self.swarm.add([file.path])
        elif all(one.sha256 or one.path in self._complete for one in self._listing.files):
            manifest = self._sealed()
            self._digest = manifest.digest
            self.swarm = self._begin(manifest)
            self.swarm.start()
            self.swarm.add(list(self._complete))

    def finish(self, manifest: Manifest) -> Outcomes:
        """Wait until all have everything."""
        if self.swarm is None or manifest.digest != self._digest:
            raise HostFailed(
                f"what was fetched of {self._listing.model} is not what its source listed",
                hint="fetch it again: r1fleet sync",
            )
        return {one.host: one for one in self.swarm.finish()}

    def _sealed(self) -> Manifest:
        """Write the manifest as the fetch will in the end."""
        rows = []
        for one in sorted(self._listing.files, key=lambda file: file.path):
            sha256 = self._complete[one.path].sha256 if one.path in self._complete else one.sha256
            row = {"path": one.path, "size": one.size, "sha256": sha256}
            rows.append({**row, "git": one.git} if one.git else row)
        listing = self._listing
        told = {"schema": 1, "name": listing.model, "revision": listing.commit, "origin": listing.origin, "files": rows}
        return parse(json.dumps(told, indent=1) + "\n", Where())


def _staging(path: PurePosixPath) -> str:
    return str(path.with_name(f".{path.name}.fetch.part"))


def _nothing(file: SealedFile) -> None:
    """Hand nothing on."""
