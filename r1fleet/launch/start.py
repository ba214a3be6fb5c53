"""From a checked plan to running ranks, under the lock: all of them, or nothing is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from r1fleet.command import Command
from r1fleet.errors import FleetError, HostFailed, HostUnreachable, LockHeld, Where
from r1fleet.events import Note, Observer, RankState, Step
from r1fleet.launch.check import refuse
from r1fleet.launch.ending import Ending
from r1fleet.launch.failure import Failure
from r1fleet.launch.interrupt import Interrupts
from r1fleet.launch.lock import Lock
from r1fleet.launch.options import LaunchOptions, LaunchResult
from r1fleet.launch.plan import Plan
from r1fleet.launch.preflight import ROOM, judged
from r1fleet.launch.record import judge_start, placed, record_of, with_images
from r1fleet.launch.stage import stage_args
from r1fleet.launch.stop import stop_seen
from r1fleet.launch.watch import Watch
from r1fleet.runtimes import runtime_of
from r1fleet.status.contact import Contact
from r1fleet.status.judge import FAILED, STOPPED
from r1fleet.status.record import DeploymentRecord, folder_of
from r1fleet.status.survey import Survey, lost_hosts, survey


class Start:
    """Start the next generation of one plan; ``watch`` is what has seen all its ranks run."""

    def __init__(self, plan: Plan, contact: Contact, observer: Observer, options: LaunchOptions, lock: Lock) -> None:
        self._plan = plan
        self._contact = contact
        self._observer = observer
        self._options = options
        self._lock = lock
        self._own = tuple(dict.fromkeys(rank.node.host for rank in plan.ranks))
        self.watch: Watch | None = None
        self._ending = Ending(contact, observer, options.by)

    def run(
        self, seen: Survey, old: DeploymentRecord | None, interrupts: Interrupts, images: Mapping[str, str]
    ) -> DeploymentRecord | LaunchResult:
        """Hold the lock until every rank runs; Ctrl-C and failures before that undo everything.

        ``images`` is what the name of the image means on each host.
        """
        self._lock.acquire(generation_of(seen, self._plan.name) + 1)
        record: DeploymentRecord | None = None
        try:
            again = look(self._contact, self._plan.name, self._own)
            if generation_of(again, self._plan.name) != generation_of(seen, self._plan.name):
                raise LockHeld(f"another launch of {self._plan.name} came first", hint="r1fleet status")
            if old is not None:
                self._replace(again, old)
            else:
                self._clear(again)
            generation = generation_of(again, self._plan.name) + 1
            plan = placed(self._plan, generation)
            python = again.hosts[plan.gangs[0].leader.host].python
            interrupts.check()
            record = with_images(record_of(plan, generation, self._options, python), images)
            self._stage(plan, record, python)
            interrupts.check()
            self._start_ranks(plan, record, python)
            self._running(record, interrupts)
            return record
        except KeyboardInterrupt:
            return self._roll_back(record)
        finally:
            self._lock.release()

    def _clear(self, seen: Survey) -> None:
        """Free the names that ranks which ended by themselves, or with a reboot, still hold."""
        earlier = seen.record(self._plan.name)
        views = seen.current_views(earlier).values() if earlier is not None else ()
        if earlier is not None and any(view.current and view.current.state not in (STOPPED, FAILED) for view in views):
            stop_seen(self._contact, seen, earlier, self._observer, by=self._options.by, detail="had ended by itself")

    def _replace(self, seen: Survey, old: DeploymentRecord) -> None:
        self._observer(Step("replace", detail=f"stopping generation {old.generation}"))
        known = self._options.hosts
        more = [known[host] for host in old.hosts if host not in self._contact.hosts and host in known]
        self._contact.hosts.update({host.name: host for host in more})
        self._contact.open()
        if more:
            seen = survey(self._contact, self._plan.name)
        report = stop_seen(self._contact, seen, old, self._observer, by=self._options.by, detail="replaced")
        if report.left:
            rows = "\n".join(f"  {host}: {why}" for host, why in report.left.items())
            raise HostFailed(f"the old generation of {old.name} is not confirmed stopped:\n{rows}", hint="r1fleet stop")
        found = judged(self._contact, self._plan, with_room=True).findings
        room = [one for one in found if one.check in ROOM]
        refuse(self._plan, room, self._options.force)
        self._observer(Step("replace", "done"))

    def _stage(self, plan: Plan, record: DeploymentRecord, python: str) -> None:
        self._observer(Step("stage", detail=f"generation {record.generation}"))
        args = {host: stage_args(plan, record, host, python, self._options) for host in self._own}
        answers = self._contact.ask_all("fleet_stage", args)
        errors = {host: answer for host, answer in answers.items() if isinstance(answer, FleetError)}
        if errors:
            self._ending.stop(record, FAILED, "its files could not be written")
            raise lost_hosts(errors)
        self._observer(Step("stage", "done", f"generation {record.generation}"))

    def _start_ranks(self, plan: Plan, record: DeploymentRecord, python: str) -> None:
        runtime = runtime_of(plan.deployment)
        starts: list[tuple[str, int | None, Command]] = [
            (rank.node.host, rank.node.rank, runtime.start(rank.process)) for rank in plan.ranks
        ]
        starts += [(gang.leader.host, None, judge_start(plan, gang, record.generation, python)) for gang in plan.gangs]
        for rank in plan.ranks:
            self._observer(RankState(plan.name, rank.node.rank, rank.node.host, "starting"))
        queued = [
            (host, rank, self._contact.submit(host, "command", _verbatim(command))) for host, rank, command in starts
        ]
        failures = []
        for host, number, future in queued:
            answer = self._contact.settle(host, future)
            if isinstance(answer, FleetError):
                failures.append(_not_started(host, number, answer))
        if failures:
            self._ending.fail(record, failures[0])

    def _running(self, record: DeploymentRecord, interrupts: Interrupts) -> None:
        self.watch = Watch(
            self._contact, record, self._observer, interval=self._options.interval, tail=self._options.tail
        )
        verdict = self.watch.until_running(interrupts.check)
        if verdict is not None and verdict.failure is not None:
            self._ending.fail(record, verdict.failure)

    def _roll_back(self, record: DeploymentRecord | None) -> LaunchResult:
        self._observer(
            Note("interrupted before all ranks ran: rolling back (Ctrl-C again leaves it as it is)", "warning")
        )
        if record is None:
            return LaunchResult(self._plan.name, "rolled back", 0, detail="nothing had been started")
        try:
            report = self._ending.stop(record, STOPPED, "rolled back")
        except KeyboardInterrupt:
            left = f"interrupted while rolling back: what has been started may still run; r1fleet stop {record.name}"
            return LaunchResult(self._plan.name, "interrupted", record.generation, detail=left)
        detail = "; ".join(f"not confirmed stopped on {host}: {why}" for host, why in report.left.items())
        return LaunchResult(self._plan.name, "rolled back", record.generation, detail=detail)


def look(contact: Contact, name: str, hosts: Sequence[str]) -> Survey:
    """Ask hosts what they hold of a deployment; raise where one does not answer, or cannot say."""
    seen = survey(contact, name, hosts=hosts)
    if seen.lost:
        raise lost_hosts(seen.lost)
    for host, view in seen.views(name).items():
        if view.problem:
            raise HostFailed(view.problem, where=Where(host=host), hint=f"look at {folder_of(name)} there")
    return seen


def generation_of(seen: Survey, name: str) -> int:
    """Return the greatest number that a generation has on any host."""
    return max((view.generations for view in seen.views(name).values()), default=0)


def _verbatim(command: Command) -> dict[str, Any]:
    return {"argv": list(command.argv), "expand_argument_vars": False}


def _not_started(host: str, rank: int | None, error: FleetError) -> Failure:
    lost = isinstance(error, HostUnreachable)
    reason = f"host {host} was lost: {error.what}" if lost else f"could not be started: {error.what}"
    return Failure(host, None if lost else rank, reason, unreachable=lost)
