"""The launch use case: one gang, all ranks or none."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict

from r1fleet.errors import LockHeld
from r1fleet.events import EndpointReady, Note, Observer, RankState, Step
from r1fleet.facts.report import Report
from r1fleet.launch.attach import Conversation
from r1fleet.launch.check import exposed, refuse
from r1fleet.launch.difference import differs, meanings, moved
from r1fleet.launch.ending import Ending, one_line
from r1fleet.launch.gather import connected
from r1fleet.launch.interrupt import Interrupts
from r1fleet.launch.lock import Lock, held_error
from r1fleet.launch.options import LaunchOptions, LaunchResult
from r1fleet.launch.plan import Plan, startable
from r1fleet.launch.preflight import judged, warnings
from r1fleet.launch.record import placed, record_of
from r1fleet.launch.rehearse import would_run
from r1fleet.launch.start import Start, generation_of, look
from r1fleet.launch.watch import Verdict, Watch
from r1fleet.status.contact import Access, Contact
from r1fleet.status.judge import DEGRADED, DONE, READY, STANDING, STOPPED, deployment_state
from r1fleet.status.record import DeploymentRecord, folder_of
from r1fleet.status.survey import Survey


def launch(plan: Plan, access: Access, observer: Observer, options: LaunchOptions) -> LaunchResult:
    """Start every rank of ``plan`` or none, and wait until a real completion has answered, or a job is done.

    Raises LockHeld, HostUnreachable, PreflightFailed (all findings), GangFailed (once ranks had started), UsageError
    where another plan runs and ``replace`` was not given.
    """
    names = dict.fromkeys(rank.node.host for rank in plan.ranks)
    with Contact(access, [options.hosts[name] for name in names]) as contact:
        connected(contact, observer)
        return launch_on(contact, plan, observer, options)


def launch_on(
    contact: Contact,
    plan: Plan,
    observer: Observer,
    options: LaunchOptions,
    *,
    reports: Mapping[str, Report] | None = None,
) -> LaunchResult:
    """Launch over sessions that are open; ``reports`` are what the hosts have told a moment ago."""
    if not options.dry_run:
        startable(plan, attached=options.terminal is not None, detached=options.detach)
    return _Launch(plan, contact, observer, options).run(reports)


class _Launch:
    def __init__(self, plan: Plan, contact: Contact, observer: Observer, options: LaunchOptions) -> None:
        self.plan = plan
        self.contact = contact
        self.observer = observer
        self.options = options
        self.began = time.monotonic()
        self.own = tuple(dict.fromkeys(rank.node.host for rank in plan.ranks))
        self.lock = Lock(contact, plan.gangs[0].leader.host, plan.name, "launch", options.by)
        self.ending = Ending(contact, observer, options.by)

    def run(self, reports: Mapping[str, Report] | None) -> LaunchResult:
        """Look, check, lock, stage, start, watch."""
        seen = look(self.contact, self.plan.name, self.own)
        old = seen.record(self.plan.name)
        state = deployment_state(old, seen.current_views(old))[0] if old else STOPPED
        standing = old is not None and state in STANDING
        if old is not None and standing and old.digest == self.plan.digest and state != DEGRADED:
            return self._join(old, seen, state)
        if old is not None and standing and not self.options.replace:
            raise differs(old, record_of(placed(self.plan, old.generation), old.generation, self.options, ""), state)
        images = self._check(seen, reports, with_room=not standing)
        for note in moved(old, images) if old is not None else ():
            self.observer(note)
        if self.options.dry_run:
            return self._rehearse(seen, old if standing else None)
        start = Start(self.plan, self.contact, self.observer, self.options, self.lock)
        with Interrupts() as interrupts:
            record = start.run(seen, old if standing else None, interrupts, images)
            if isinstance(record, LaunchResult):
                return record
            self.observer(Step("start", "done", f"{len(record.ranks)} ranks run"))
            if self.options.detach:
                return self._result("detached", record)
            return self._watch(record, interrupts, start.watch)

    # --- before the start -----------------------------------------------------------------------

    def _join(self, old: DeploymentRecord, seen: Survey, state: str) -> LaunchResult:
        """Take the generation that already holds this very plan: ready, or still on its way."""
        if state == READY:
            for note in moved(old, meanings(old, seen), f"; r1fleet restart {old.name} takes what it means now"):
                self.observer(note)
            gangs = [gang for view in seen.current_views(old).values() for gang in view.gangs]
            sample = next((str(gang.ready["text"]) for gang in gangs if gang.ready), "")
            return self._result("already ready", old, sample=sample)
        self.observer(Note(f"generation {old.generation} of this plan is already {state} (by {old.by}); watching it"))
        if self.options.detach or self.options.dry_run:
            return self._result("dry run" if self.options.dry_run else "detached", old)
        with Interrupts() as interrupts:
            return self._watch(old, interrupts)

    def _check(self, seen: Survey, reports: Mapping[str, Report] | None, *, with_room: bool) -> Mapping[str, str]:
        """Refuse what would break it; returns what the name of the image means on each host."""
        for host, view in seen.views(self.plan.name).items():
            if view.lock is not None:
                raise held_error(self.plan.name, host, view.lock)
        self.observer(Step("check", total=len(self.own), unit="hosts"))
        found = judged(self.contact, self.plan, with_room=with_room, known=reports)
        for note in (*exposed(self.plan), *warnings(found.findings)):
            self.observer(note)
        refuse(self.plan, found.findings, self.options.force)
        self.observer(Step("check", "done", done=len(self.own), total=len(self.own), unit="hosts"))
        return found.images

    def _rehearse(self, seen: Survey, old: DeploymentRecord | None) -> LaunchResult:
        """Tell what a launch would do now; the checks have passed."""
        generation = generation_of(seen, self.plan.name) + 1
        if old is not None:
            self.observer(Note(f"generation {old.generation} would be stopped first, on {', '.join(old.hosts)}"))
        plan = placed(self.plan, generation)
        python = seen.hosts[plan.gangs[0].leader.host].python
        record = record_of(plan, generation, self.options, python)
        for event in would_run(plan, record, python, self.options):
            self.observer(event)
        return self._result("dry run", record, detail="nothing was changed")

    # --- after the start ------------------------------------------------------------------------

    def _watch(self, record: DeploymentRecord, interrupts: Interrupts, watch: Watch | None = None) -> LaunchResult:
        interval, tail = self.options.interval, self.options.tail
        watch = watch or Watch(self.contact, record, self.observer, interval=interval, tail=tail)
        terminal = self.options.terminal
        conversation = Conversation(self.contact, record, self.observer, terminal) if record.kind == "job" else None
        try:
            if conversation is not None:
                conversation.begin()
            verdict = watch.until_verdict(interrupts.check)
        except KeyboardInterrupt:
            return self._interrupted(record)
        finally:
            if conversation is not None:
                conversation.end()
        return self._conclude(record, verdict)

    def _interrupted(self, record: DeploymentRecord) -> LaunchResult:
        """Leave the ranks to their hosts; but nobody is left to type into an interactive job, so that it ends."""
        if self.options.terminal is not None:
            report = self.ending.stop(record, STOPPED, "interrupted at its terminal")
            left = "; ".join(f"not confirmed stopped on {host}: {why}" for host, why in report.left.items())
            return self._result("interrupted", record, detail=left or "the job has been stopped")
        goes_on = "running" if record.kind == "job" else "loading"
        commands = f"r1fleet status / logs {record.name} -f / stop {record.name}"
        self.observer(Note(f"still {goes_on}; {commands}", "warning"))
        return self._result("interrupted", record, detail="the ranks go on without this controller")

    def _conclude(self, record: DeploymentRecord, verdict: Verdict) -> LaunchResult:
        if verdict.failure is not None:
            try:
                self.lock.acquire_if_possible(record.generation, self.observer)
            except LockHeld as error:
                return self._result("superseded", record, detail=f"{one_line(verdict.failure)}; {error.what}")
            try:
                self.ending.fail(record, verdict.failure)
            finally:
                self.lock.release()
        if verdict.state not in (READY, DONE):
            return self._result("superseded", record, detail=verdict.detail)
        self._write_down(record, verdict.state)
        if verdict.state == DONE:
            self._dismiss(record)
        for rank in record.ranks:
            self.observer(RankState(record.name, rank.rank, rank.host, verdict.state))
        for url, gang in zip(record.endpoints, record.gangs, strict=False):
            answer = verdict.answers[gang.replica]
            self.observer(EndpointReady(record.name, url, record.model, str(answer["text"]), float(answer["seconds"])))
        first = next(iter(verdict.answers.values()), {})
        return self._result(verdict.state, record, sample=str(first.get("text", "")))

    def _write_down(self, record: DeploymentRecord, state: str) -> None:
        entry = {"who": self.options.by, "what": state, "generation": record.generation}
        args = {"folder": folder_of(record.name), "journal": entry, "only_generation": record.generation}
        self.contact.ask_all("fleet_stage", dict.fromkeys(record.hosts, args))

    def _dismiss(self, record: DeploymentRecord) -> None:
        """End the judges of a job that was done before they had seen its ranks meet."""
        for gang in record.gangs:
            self.contact.ask_all("fleet_stop", {gang.leader: {"units": [asdict(gang.judge)]}})

    def _result(self, state: str, record: DeploymentRecord, *, sample: str = "", detail: str = "") -> LaunchResult:
        return LaunchResult(
            record.name,
            state,
            record.generation,
            record.endpoints,
            record.model,
            sample,
            seconds=round(time.monotonic() - self.began, 1),
            detail=detail,
            outputs=tuple(f"{rank.host}:{rank.output}" for rank in record.ranks if rank.output),
        )
