"""Lead a transfer that runs by itself: hand out groups, follow every host, and publish in the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from r1fleet.errors import FleetError, HostFailed, HostUnreachable, Where
from r1fleet.events import Note, Observer, Step
from r1fleet.transport.protocol import Reply
from r1fleet.weights.cargo import Cargo, publication
from r1fleet.weights.manifest import MANIFEST
from r1fleet.weights.swarm.ground import Ground
from r1fleet.weights.swarm.handout import Handout
from r1fleet.weights.swarm.model import SwarmSettings
from r1fleet.weights.swarm.party import Answer, Party
from r1fleet.weights.swarm.progress import Figures, figures, transfer
from r1fleet.weights.sync import STEP, HostOutcome

_CALM, _BUSY = 1.0, 0.1
_MOST_STARTS = 5

Begin = Callable[[Sequence[str]], dict[str, Answer]]
"""Starts the program on some hosts, where it does not run."""


class Drive:
    """Follows one transfer in a thread of its own; ``outcomes`` holds the targets that are through."""

    def __init__(self, party: Party, cargo: Cargo, handout: Handout, settings: SwarmSettings, begin: Begin) -> None:
        self.outcomes: dict[str, HostOutcome] = {}
        self.left = False
        self._party, self._cargo, self._handout, self._settings = party, cargo, handout, settings
        self._begin = begin
        self._source = ""
        self._targets: tuple[str, ...] = ()
        self._observer: Observer = lambda event: None
        self._began = time.monotonic()
        self._figures: dict[str, Figures] = {}
        self._starts: dict[str, int] = {}
        self._whole_at: float | None = None
        self._mark: list[tuple[int, int]] = []
        self._moved = time.monotonic()
        self._asked_all = 0.0

    def begin(self, source: str, targets: Sequence[str], ground: Ground, observer: Observer) -> None:
        """Start the program on every host, and take up what an earlier time left."""
        self._source, self._targets, self._observer = source, tuple(targets), observer
        known = set(ground.told[source]["groups"])
        stale = [host for host in targets if set(ground.told[host]["groups"]) - known]
        self._party.ask("end", {host: {} for host in stale})
        for host, told in self._begin([source, *targets]).items():
            if isinstance(told, FleetError) and host == source:
                raise told
            if isinstance(told, FleetError):
                self._fail(host, told)
        self._handout.take_up(known)

    def follow(self) -> None:
        """Go on until every target is through, or given up."""
        while not self.left:
            self._party.call_back()
            self._ask()
            self._handout.step(self._figures.get(self._source, Figures()).sealed)
            if self._over():
                self._publish()
                return
            self._handout.news.wait(_BUSY if self._handout.is_busy else _CALM)
            self._handout.news.clear()

    def _running(self) -> list[str]:
        return [host for host in self._targets if host not in self.outcomes]

    def _ask(self) -> None:
        """Ask hosts how they do; start again what has ended, tell what has failed."""
        ended = []
        for host, told in self._party.ask("status", {host: {} for host in self._due()}).items():
            if isinstance(told, FleetError):
                continue  # lost hosts may come back; `_over` says for how long
            now = self._figures[host] = figures(told["status"])
            is_source = host == self._source
            self._observer(transfer(host, self._cargo.place, self._cargo.manifest, now, is_source=is_source))
            if now.error:
                self._refuse(host, now.error)
            elif not told["runs"] and not now.over:
                ended.append((host, now.idle, str(told["log"])))
        for host, idle, words in ended:
            self._starts[host] = self._starts.get(host, 0) + (0 if idle else 1)
            if self._starts[host] > _MOST_STARTS:
                self._refuse(host, f"the transfer's program does not stay alive: {words or 'it says nothing'}")
        self._begin([host for host, *_ in ended if host not in self.outcomes])

    def _due(self) -> list[str]:
        """Return whom to ask: now and then all, but the source alone while everyone waits for what it seals."""
        now = time.monotonic()
        if self._handout.is_busy and now - self._asked_all < _CALM:
            return [self._source]
        self._asked_all = now
        return [self._source, *self._running()]

    def _refuse(self, host: str, what: str) -> None:
        error = HostFailed(what, where=Where(host=host), hint="what has come stays: mend it, then run it again")
        if host == self._source:
            raise error
        self._fail(host, error)

    def _is_complete(self, host: str) -> bool:
        seen = self._figures.get(host, Figures())
        return seen.verified >= len(self._cargo.manifest.files)

    def _over(self) -> bool:
        """Tell whether all are complete, or those that are not have been lost for too long."""
        waiting = [host for host in self._running() if not self._is_complete(host)]
        if not waiting:
            return True
        still = self._still(waiting)
        if still > self._settings.patience and self._source in self._party.lost:
            self._give_up(waiting)
            return True
        if still > self._settings.idle and self._handout.is_over:
            for host in waiting:
                self._refuse(host, f"nothing has come or gone for {self._settings.idle:.0f} s")
            return True
        if not self._handout.is_over or any(host not in self._party.lost for host in waiting):
            self._whole_at = None
            return False
        if self._whole_at is None:
            self._whole_at = time.monotonic()
            self._observer(Note(f"all others have everything; waiting for {' '.join(waiting)}", "warning"))
        return time.monotonic() - self._whole_at > self._settings.patience

    def _still(self, waiting: Sequence[str]) -> float:
        """Return for how many seconds nothing has come to any of these, nor anything else has changed for them."""
        seen = [self._figures.get(host, Figures()) for host in waiting]
        mark = [(one.done, one.verified) for one in seen]
        mark.append((self._handout.is_over, self._source in self._party.lost))
        if mark != self._mark:
            self._mark, self._moved = mark, time.monotonic()
        return time.monotonic() - self._moved

    def _give_up(self, waiting: Iterable[str]) -> None:
        what = f"{self._source}, from which it comes, was lost, and no other host has what is missing"
        for host in waiting:
            self._fail(host, self._to_go_on(host, what, missing=self._source))

    def _to_go_on(self, host: str, what: str, missing: str = "") -> HostUnreachable:
        """Say that a host can go on where it was, once the one that is missing, or itself, is back."""
        hint = f"what has come stays: run it again once {missing or host} is back"
        return HostUnreachable(what, where=Where(host=host), hint=hint)

    def _publish(self) -> None:
        """Close every host's part and give the staged set its name; then nothing of the transfer is left."""
        cargo, manifest = self._cargo, self._cargo.manifest
        staged = cargo.staging
        for host in [host for host in self._running() if host in self._party.lost]:
            self._fail(host, self._to_go_on(host, self._party.lost[host].what))
        self._party.ask("end", {self._source: {}})
        closing = {"folder": staged, "manifest": {"name": MANIFEST, "text": manifest.text}}
        closed = self._party.ask("close", dict.fromkeys(self._running(), closing))
        named = publication(manifest, staged, cargo.place)
        given = {host: {**named, "records": told["records"]} for host, told in self._sound(closed)}
        for host, _ in self._sound(self._party.run("fleet_publish", given)):
            self._done(host)
        self._party.ask("end", {host: {} for host in self._targets})

    def _sound(self, answers: dict[str, Answer]) -> Iterable[tuple[str, Reply]]:
        """Yield what went well; what did not is those hosts' end."""
        for host, told in answers.items():
            if isinstance(told, FleetError):
                self._fail(host, told)
            else:
                yield host, told

    def _done(self, host: str) -> None:
        self.outcomes[host] = HostOutcome(host, changed=True)
        self._tell("done", self._cargo.place, host, self._cargo.manifest.size)

    def _fail(self, host: str, error: FleetError) -> None:
        self.outcomes[host] = HostOutcome(host, error=error)
        self._tell("failed", error.what, host, 0)

    def _tell(self, state: str, detail: str, host: str, done: int) -> None:
        seconds, total = time.monotonic() - self._began, self._cargo.manifest.size
        self._observer(Step(STEP, state, detail, host, done, total, "bytes", seconds))
