"""The launch use case: one gang, all ranks or none."""

from __future__ import annotations

import time
from typing import Any, NoReturn

from r1fleet.command import Command
from r1fleet.errors import FleetError, HostFailed, HostUnreachable, LockHeld, Where
from r1fleet.events import EndpointReady, Note, Observer, RankState, Step
from r1fleet.launch.check import refuse
from r1fleet.launch.difference import differs
from r1fleet.launch.failure import Failure, GangFailed
from r1fleet.launch.interrupt import Interrupts
from r1fleet.launch.lock import Lock, held_error
from r1fleet.launch.options import LaunchOptions, LaunchResult
from r1fleet.launch.plan import Plan, startable
from r1fleet.launch.preflight import ROOM, judged, warnings
from r1fleet.launch.record import judge_start, placed, record_of
from r1fleet.launch.stage import stage_args
from r1fleet.launch.stop import StopReport, stop_seen
from r1fleet.launch.watch import Verdict, Watch
from r1fleet.runtimes import runtime_of
from r1fleet.status.contact import Access, Contact
from r1fleet.status.judge import DEGRADED, FAILED, READY, STARTING, STOPPED, deployment_state
from r1fleet.status.record import DeploymentRecord, folder_of
from r1fleet.status.survey import Survey, lost_hosts, survey


def launch(plan: Plan, access: Access, observer: Observer, options: LaunchOptions) -> LaunchResult:
    """Start every rank of ``plan`` or none, and wait until a real completion has answered.

    Raises LockHeld, HostUnreachable, PreflightFailed (all findings), GangFailed (once ranks had started), UsageError
    where another plan runs and ``replace`` was not given.
    """
    startable(plan)
    names = dict.fromkeys(rank.node.host for rank in plan.ranks)
    with Contact(access, [options.hosts[name] for name in names]) as contact:
        observer(Step("connect", "done", done=len(contact.sessions), total=len(names), unit="hosts"))
        if contact.lost:
            raise lost_hosts(contact.lost)
        return _Launch(plan, contact, observer, options).run()


class _Launch:
    def __init__(self, plan: Plan, contact: Contact, observer: Observer, options: LaunchOptions) -> None:
        self.plan = plan
        self.contact = contact
        self.observer = observer
        self.options = options
        self.began = time.monotonic()
        self.own = tuple(contact.hosts)
        self.watch: Watch | None = None
        self.lock = Lock(contact, plan.gangs[0].leader.host, plan.name, "launch", options.by)

    def run(self) -> LaunchResult:
        """Look, lock, check, stage, start, watch."""
        seen = self._survey()
        old = seen.record(self.plan.name)
        state = deployment_state(old, seen.current_views(old))[0] if old else STOPPED
        standing = old is not None and state in (STARTING, READY, DEGRADED)
        if old is not None and standing and old.digest == self.plan.digest and state != DEGRADED:
            return self._join(old, seen, state)
        if old is not None and standing and not self.options.replace:
            raise differs(old, record_of(placed(self.plan, old.generation), old.generation, self.options, ""), state)
        self._check(seen, with_room=not standing)
        with Interrupts() as interrupts:
            record = self._start(seen, old if standing else None, interrupts)
            if isinstance(record, LaunchResult):
                return record
            self.observer(Step("start", "done", f"{len(record.ranks)} ranks run"))
            if self.options.detach:
                return self._result("detached", record)
            return self._watch(record, interrupts)

    # --- before the start -----------------------------------------------------------------------

    def _survey(self) -> Survey:
        seen = survey(self.contact, self.plan.name)
        if seen.lost:
            raise lost_hosts(seen.lost)
        for host, view in seen.views(self.plan.name).items():
            if view.problem:
                raise HostFailed(
                    view.problem, where=Where(host=host), hint=f"look at {folder_of(self.plan.name)} there"
                )
        return seen

    def _join(self, old: DeploymentRecord, seen: Survey, state: str) -> LaunchResult:
        """Take the generation that already holds this very plan: ready, or still on its way."""
        if state == READY:
            gangs = [gang for view in seen.current_views(old).values() for gang in view.gangs]
            sample = next((str(gang.ready["text"]) for gang in gangs if gang.ready), "")
            return self._result("already ready", old, sample=sample)
        self.observer(Note(f"generation {old.generation} of this plan is already starting (by {old.by}); watching it"))
        if self.options.detach:
            return self._result("detached", old)
        with Interrupts() as interrupts:
            return self._watch(old, interrupts)

    def _check(self, seen: Survey, *, with_room: bool) -> None:
        for host, view in seen.views(self.plan.name).items():
            if view.lock is not None:
                raise held_error(self.plan.name, host, view.lock)
        self.observer(Step("check", total=len(self.own), unit="hosts"))
        found = judged(self.contact, self.plan, with_room=with_room)
        for note in warnings(found):
            self.observer(note)
        refuse(self.plan, found, self.options.force)
        self.observer(Step("check", "done", done=len(self.own), total=len(self.own), unit="hosts"))

    # --- the start ------------------------------------------------------------------------------

    def _start(
        self, seen: Survey, old: DeploymentRecord | None, interrupts: Interrupts
    ) -> DeploymentRecord | LaunchResult:
        """Hold the lock until every rank runs; Ctrl-C and failures before that undo everything."""
        self.lock.acquire(_generation(seen, self.plan.name) + 1)
        record: DeploymentRecord | None = None
        try:
            again = self._survey()
            if _generation(again, self.plan.name) != _generation(seen, self.plan.name):
                raise LockHeld(f"another launch of {self.plan.name} came first", hint="r1fleet status")
            if old is not None:
                self._replace(again, old)
            generation = _generation(again, self.plan.name) + 1
            plan = placed(self.plan, generation)
            python = again.hosts[plan.gangs[0].leader.host].python
            interrupts.check()
            record = record_of(plan, generation, self.options, python)
            self._stage(plan, record, python)
            interrupts.check()
            self._start_ranks(plan, record, python)
            self._running(record, interrupts)
            return record
        except KeyboardInterrupt:
            return self._roll_back(record)
        finally:
            self.lock.release()

    def _replace(self, seen: Survey, old: DeploymentRecord) -> None:
        self.observer(Step("replace", detail=f"stopping generation {old.generation}"))
        more = [self.options.hosts[host] for host in old.hosts if host not in self.own and host in self.options.hosts]
        self.contact.hosts.update({host.name: host for host in more})
        self.contact.open()
        if more:
            seen = survey(self.contact, self.plan.name)
        report = stop_seen(self.contact, seen, old, self.observer, by=self.options.by, detail="replaced")
        if report.left:
            rows = "\n".join(f"  {host}: {why}" for host, why in report.left.items())
            raise HostFailed(f"the old generation of {old.name} is not confirmed stopped:\n{rows}", hint="r1fleet stop")
        room = [one for one in judged(self.contact, self.plan, with_room=True) if one.check in ROOM]
        refuse(self.plan, room, self.options.force)
        self.observer(Step("replace", "done"))

    def _stage(self, plan: Plan, record: DeploymentRecord, python: str) -> None:
        self.observer(Step("stage", detail=f"generation {record.generation}"))
        args = {host: stage_args(plan, record, host, python, self.options) for host in self.own}
        answers = self.contact.ask_all("fleet_stage", args)
        errors = {host: answer for host, answer in answers.items() if isinstance(answer, FleetError)}
        if errors:
            self._stop_all(record, FAILED, "its files could not be written")
            raise lost_hosts(errors)
        self.observer(Step("stage", "done", f"generation {record.generation}"))

    def _start_ranks(self, plan: Plan, record: DeploymentRecord, python: str) -> None:
        runtime = runtime_of(plan.deployment)
        starts: list[tuple[str, int | None, Command]] = [
            (rank.node.host, rank.node.rank, runtime.start(rank.process)) for rank in plan.ranks
        ]
        starts += [(gang.leader.host, None, judge_start(plan, gang, record.generation, python)) for gang in plan.gangs]
        for rank in plan.ranks:
            self.observer(RankState(plan.name, rank.node.rank, rank.node.host, "starting"))
        queued = [
            (host, rank, self.contact.submit(host, "command", _verbatim(command))) for host, rank, command in starts
        ]
        failures = []
        for host, number, future in queued:
            answer = self.contact.settle(host, future)
            if isinstance(answer, FleetError):
                failures.append(_not_started(host, number, answer))
        if failures:
            self._fail(record, failures[0])

    def _running(self, record: DeploymentRecord, interrupts: Interrupts) -> None:
        self.watch = watch = self._watcher(record)
        verdict = watch.until_running(interrupts.check)
        if verdict is not None and verdict.failure is not None:
            self._fail(record, verdict.failure)

    def _roll_back(self, record: DeploymentRecord | None) -> LaunchResult:
        self.observer(Note("interrupted before all ranks ran: rolling back", "warning"))
        if record is None:
            return LaunchResult(self.plan.name, "rolled back", 0, detail="nothing had been started")
        report = self._stop_all(record, STOPPED, "rolled back")
        detail = "; ".join(f"not confirmed stopped on {host}: {why}" for host, why in report.left.items())
        return LaunchResult(self.plan.name, "rolled back", record.generation, detail=detail)

    # --- after the start ------------------------------------------------------------------------

    def _watcher(self, record: DeploymentRecord) -> Watch:
        return Watch(self.contact, record, self.observer, interval=self.options.interval, tail=self.options.tail)

    def _watch(self, record: DeploymentRecord, interrupts: Interrupts) -> LaunchResult:
        watch = self.watch or self._watcher(record)
        try:
            verdict = watch.until_verdict(interrupts.check)
        except KeyboardInterrupt:
            self.observer(
                Note(f"still loading; r1fleet status / logs {record.name} -f / stop {record.name}", "warning")
            )
            return self._result("interrupted", record, detail="the ranks go on without this controller")
        return self._conclude(record, verdict)

    def _conclude(self, record: DeploymentRecord, verdict: Verdict) -> LaunchResult:
        if verdict.failure is not None:
            try:
                self.lock.acquire(record.generation)
            except LockHeld as error:
                return self._result("superseded", record, detail=error.what)
            except (HostUnreachable, HostFailed) as error:
                # A leader that is gone cannot lock; the other ranks must be stopped all the same.
                self.observer(Note(f"not locked: {error.what}", "warning", record.leader))
            try:
                self._fail(record, verdict.failure)
            finally:
                self.lock.release()
        if verdict.state != READY:
            return self._result("superseded", record, detail=verdict.detail)
        self._mark_ready(record)
        first = verdict.answers[record.gangs[0].replica]
        for rank in record.ranks:
            self.observer(RankState(record.name, rank.rank, rank.host, READY))
        for url, gang in zip(record.endpoints, record.gangs, strict=False):
            answer = verdict.answers[gang.replica]
            self.observer(EndpointReady(record.name, url, record.model, str(answer["text"]), float(answer["seconds"])))
        return self._result(READY, record, sample=str(first["text"]))

    def _mark_ready(self, record: DeploymentRecord) -> None:
        entry = {"who": self.options.by, "what": READY, "generation": record.generation}
        args = {"folder": folder_of(record.name), "journal": entry, "only_generation": record.generation}
        self.contact.ask_all("fleet_stage", dict.fromkeys(record.hosts, args))

    def _fail(self, record: DeploymentRecord, failure: Failure) -> NoReturn:
        report = self._stop_all(record, FAILED, _one_line(failure))
        raise GangFailed(record.name, failure, report.left)

    def _stop_all(self, record: DeploymentRecord, state: str, detail: str) -> StopReport:
        self.observer(Step("stop", detail="stopping all ranks"))
        seen = survey(self.contact, record.name, hosts=record.hosts)
        report = stop_seen(self.contact, seen, record, self.observer, state=state, detail=detail, by=self.options.by)
        self.observer(Step("stop", "failed" if report.left else "done"))
        return report

    def _result(self, state: str, record: DeploymentRecord, *, sample: str = "", detail: str = "") -> LaunchResult:
        seconds = round(time.monotonic() - self.began, 1)
        return LaunchResult(
            record.name, state, record.generation, record.endpoints, record.model, sample, seconds, detail
        )


def _verbatim(command: Command) -> dict[str, Any]:
    return {"argv": list(command.argv), "expand_argument_vars": False}


def _not_started(host: str, rank: int | None, error: FleetError) -> Failure:
    lost = isinstance(error, HostUnreachable)
    reason = f"host {host} was lost: {error.what}" if lost else f"could not be started: {error.what}"
    return Failure(host, None if lost else rank, reason, unreachable=lost)


def _one_line(failure: Failure) -> str:
    who = f"rank {failure.rank} on {failure.host} " if failure.rank is not None else ""
    return f"{who}{failure.reason}" + (f": {failure.first_error}" if failure.first_error else "")


def _generation(seen: Survey, name: str) -> int:
    return max((view.generations for view in seen.views(name).values()), default=0)
