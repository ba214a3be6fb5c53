"""Watch a started gang through the controller's sessions until its hosts have a verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any

from r1fleet.engines import Progress, progress
from r1fleet.errors import FleetError
from r1fleet.events import LogLines, Observer, RankState, Step
from r1fleet.launch.failure import Failure, first_dead, judged
from r1fleet.status.contact import Contact
from r1fleet.status.judge import DONE, FAILED, STOPPED, find_rank, gangs_of
from r1fleet.status.record import DeploymentRecord, RankRecord
from r1fleet.status.survey import survey
from r1fleet.status.view import DeploymentView, RankView, read_host
from r1fleet.transport import Reply

LINES_AT_ONCE = 200
SETTLE = 0.3
SOON = 0.1
"""The pause between two looks at first; it grows with what the launch takes, to the interval."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a watch ended: ready (with the gangs' answers), done, failed (with the failure) or superseded."""

    state: str
    answers: Mapping[int, Mapping[str, Any]]
    failure: Failure | None = None
    detail: str = ""


class Watch:
    """Poll every host of a record; one question at a time per host, none waits for another host's answer."""

    def __init__(
        self, contact: Contact, record: DeploymentRecord, observer: Observer, *, interval: float, tail: int
    ) -> None:
        self._contact = contact
        self._record = record
        self._observer = observer
        self._interval = interval
        self._tail = tail
        self._offsets = {rank.log: 0 for rank in record.ranks}
        self._states: dict[str, str] = {}
        self._progress: dict[str, Progress] = {}
        self._job = record.kind == "job"
        self._phases: dict[int, str] = {}
        self._views: dict[str, DeploymentView] = {}

    def until_running(self, check: Callable[[], None]) -> Verdict | None:
        """Wait until every rank runs; a verdict here is an early end."""
        return self._loop(check, lambda: len(self._views) == len(self._record.hosts))

    def until_verdict(self, check: Callable[[], None]) -> Verdict:
        """Wait until the leaders' judges or a rank's end decide."""
        verdict = self._loop(check, lambda: False)
        assert verdict is not None  # the loop has no other way out
        return verdict

    def _loop(self, check: Callable[[], None], enough: Callable[[], bool]) -> Verdict | None:
        pending: dict[Future[Reply], str] = {}
        due = dict.fromkeys(self._record.hosts, 0.0)
        began = time.monotonic()
        while True:
            check()
            now = time.monotonic()
            for host in [host for host, when in due.items() if when <= now]:
                del due[host]
                pending[self._contact.submit(host, "fleet_state", self._args(host))] = host
            if not pending:
                time.sleep(min(due.values()) - now)
            done, _ = wait(pending, timeout=self._interval, return_when=FIRST_COMPLETED)
            for future in done:
                host = pending.pop(future)
                verdict = self._take(host, self._contact.settle(host, future))
                if verdict is not None:
                    return verdict
                due[host] = now + min(self._interval, max(SOON, (now - began) / 10))
            if enough():
                return None

    def _args(self, host: str) -> dict[str, Any]:
        mine = {rank.log: self._offsets[rank.log] for rank in self._record.on(host)}
        return {"deployment": self._record.name, "offsets": mine}

    def _take(self, host: str, answer: Reply | FleetError) -> Verdict | None:
        if isinstance(answer, FleetError):
            failure = Failure(host, None, f"host {host} was lost: {answer.what}", unreachable=True)
            return Verdict(FAILED, {}, failure)
        view = read_host(host, answer).deployment(self._record.name)
        other = self._superseded(view)
        if other is not None or view is None:
            return other
        self._views[host] = view
        self._tell(host, view)
        done = self._done() if self._job else None
        if done is not None:
            return done
        if any(self._has_failed(rank) for rank in view.ranks) or any(gang.failed for gang in view.gangs):
            return self._failed()
        if self._job:
            return None
        answers = {replica: gang.ready for replica, gang in gangs_of(self._views.values()).items() if gang.ready}
        complete = len(answers) == len(self._record.gangs) and len(self._views) == len(self._record.hosts)
        return Verdict("ready", answers) if complete else None

    def _has_failed(self, rank: RankView) -> bool:
        return not rank.alive and not (self._job and rank.done)

    def _done(self) -> Verdict | None:
        """A job is done when every rank of it has ended with 0."""
        every = len(self._views) == len(self._record.hosts)
        ended = every and all(rank.done for view in self._views.values() for rank in view.ranks)
        return Verdict(DONE, {}) if ended else None

    def _superseded(self, view: DeploymentView | None) -> Verdict | None:
        if view is None or view.current is None:
            return Verdict("superseded", {}, detail="its state was removed from the host")
        if view.current.generation != self._record.generation:
            detail = f"{view.current.by} has launched generation {view.current.generation}"
            return Verdict("superseded", {}, detail=detail)
        if view.current.state in (STOPPED, FAILED):
            return Verdict("superseded", {}, detail=f"{view.current.by} has stopped it")
        return None

    def _failed(self) -> Verdict:
        """Look at all hosts once more, with log tails, before one rank is blamed: they fall one after the other."""
        time.sleep(SETTLE)
        seen = survey(self._contact, self._record.name, lines=self._tail, hosts=self._record.hosts)
        views = seen.current_views(self._record)
        for host, error in seen.lost.items():
            return Verdict(FAILED, {}, Failure(host, None, f"host {host} was lost: {error.what}", unreachable=True))
        other = next((verdict for view in views.values() if (verdict := self._superseded(view))), None)
        if other is not None:
            return other
        failure = first_dead(self._record, views)
        if failure is None:
            gangs = gangs_of(views.values())
            replica, told = next((replica, gang.failed) for replica, gang in gangs.items() if gang.failed)
            failure = judged(self._record, views, replica, told, self._progress)
        if failure.rank is not None:
            self._observer(RankState(self._record.name, failure.rank, failure.host, "failed", failure.reason))
        return Verdict(FAILED, {}, failure)

    def _tell(self, host: str, view: DeploymentView) -> None:
        for rank in self._record.on(host):
            seen = find_rank(view, rank)
            if seen is None:
                continue
            if seen.log["text"]:
                self._offsets[rank.log] = seen.log["offset"]
                lines = tuple(seen.log["text"].splitlines())
                self._observer(LogLines(self._record.name, rank.rank, host, lines[-LINES_AT_ONCE:]))
                self._note(rank, lines)
            state = f"running {_roughly(self._progress.get(rank.name))}" if seen.alive else "ended"
            if seen.alive and self._states.get(rank.name) != state:
                far = str(self._progress.get(rank.name, ""))
                self._observer(RankState(self._record.name, rank.rank, host, "running", far))
            self._states[rank.name] = state
        for gang in view.gangs if not self._job else ():
            if gang.phase and self._phases.get(gang.replica) != gang.phase:
                self._phases[gang.replica] = gang.phase
                self._observer(Step(gang.phase, "running", f"replica {gang.replica}", host))

    def _note(self, rank: RankRecord, lines: Sequence[str]) -> None:
        now = progress(self._record.engine, lines, self._progress.get(rank.name))
        if now is not None:
            self._progress[rank.name] = now


def _roughly(far: Progress | None) -> str:
    """Tell a phase and the tenth of it that is done: a hundred shards are not worth as many lines."""
    if far is None:
        return ""
    return f"{far.phase} {far.done * 10 // far.total if far.total else 0}"
