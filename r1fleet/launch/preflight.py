"""Look before the leap: ask every host once, try every way between them, and hold the answers against the table."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from r1fleet.errors import ExitCode, FleetError, UsageError
from r1fleet.events import Note, Observer, Step
from r1fleet.facts.report import Report, read_report
from r1fleet.inventory import Host
from r1fleet.launch.check import room_checks, standing_checks
from r1fleet.launch.plan import Plan
from r1fleet.launch.wanted import STATE, want_of
from r1fleet.preflight import TABLE, Answer, Finding, Ground, Reached, Verdict, Want, judge, worst
from r1fleet.status.contact import Access, Contact
from r1fleet.status.judge import STANDING, deployment_state
from r1fleet.status.survey import lost_hosts, survey

PATHS = ("/", "/tmp", "/dev/shm", STATE)
ROOM = frozenset({"port", "leftovers", "gpu-busy", "shm"})
"""Checks of what a generation that still runs takes up itself."""

_HIGH_PORTS = (0, 0)  # chosen by the kernel, where ranks' own connections will be


@dataclass(frozen=True, slots=True)
class Preflight:
    """What was found of one deployment, or of the hosts alone; ``lost`` are those that did not answer."""

    deployment: str
    findings: tuple[Finding, ...]
    lost: Mapping[str, FleetError] = field(default_factory=dict)

    @property
    def exit_code(self) -> ExitCode:
        """6 where a check failed, 4 where a host did not answer, else 0."""
        if worst(self.findings) is Verdict.FAIL:
            return ExitCode.PREFLIGHT
        return ExitCode.UNREACHABLE if self.lost else ExitCode.OK

    def as_json(self) -> dict[str, Any]:
        """Return plain data for programs."""
        rows = [
            {
                "host": one.host,
                "check": one.check,
                "verdict": str(one.verdict),
                "evidence": one.evidence,
                "cause": one.cause,
                "remedy": one.remedy,
            }
            for one in self.findings
        ]
        return {"deployment": self.deployment, "findings": rows, "lost": {h: e.what for h, e in self.lost.items()}}


@dataclass(frozen=True, slots=True)
class Look:
    """What a launch's hosts tell before it: findings, and what the name of the image means on each."""

    findings: tuple[Finding, ...]
    images: Mapping[str, str]


def look_at(hosts: Iterable[Host], access: Access) -> tuple[dict[str, Report], dict[str, FleetError]]:
    """Ask hosts for everything they can tell; return reports, and the errors of those that did not."""
    with Contact(access, hosts) as contact:
        return reports(contact, {})


def preflight(plan: Plan | None, hosts: Sequence[Host], access: Access, observer: Observer) -> Preflight:
    """Check hosts, for a plan's ranks or for nothing in particular; nothing is changed."""
    with Contact(access, hosts) as contact:
        observer(Step("preflight", total=len(hosts), unit="hosts"))
        stands = plan is not None and _stands(contact, plan)
        if stands:
            observer(Note("it runs: what its own ranks take up (ports, devices) is not looked at"))
        ground, lost = look_around(contact, plan, with_room=not stands)
        found = tuple(one for one in judge(ground) if not stands or one.check not in ROOM)
        observer(Step("preflight", "done", done=len(ground.reports), total=len(hosts), unit="hosts"))
    return Preflight(plan.name if plan else "", found, {**contact.lost, **lost})


def _stands(contact: Contact, plan: Plan) -> bool:
    """Tell whether a generation of the deployment runs now."""
    seen = survey(contact, plan.name)
    old = seen.record(plan.name)
    return old is not None and deployment_state(old, seen.current_views(old))[0] in STANDING


def look_around(
    contact: Contact, plan: Plan | None, *, with_room: bool, known: Mapping[str, Report] | None = None
) -> tuple[Ground, dict[str, FleetError]]:
    """Collect all that the table is judged by."""
    wants: dict[str, Want] = {}
    rows: dict[str, list[dict[str, Any]]] = {}
    for host in contact.sessions if plan is not None else ():
        want = want_of(plan, host) if plan is not None else None
        if plan is None or want is None:
            continue
        wants[host] = want
        rows[host] = standing_checks(plan, host) + (room_checks(plan, host) if with_room else [])
    found, lost = (dict(known), {}) if known else reports(contact, wants)
    answers: dict[str, tuple[Answer, ...]] = {}
    for host, told in contact.ask_all("fleet_check", {host: {"checks": row} for host, row in rows.items()}).items():
        if isinstance(told, FleetError):
            lost[host] = told
        else:
            answers[host] = tuple(
                Answer(row["kind"], row["ok"], row["detail"], row.get("value", "")) for row in told["answers"]
            )
    reached = ways_between(contact, wants) if any(want.nodes > 1 for want in wants.values()) else None
    return Ground({host: found[host] for host in contact.hosts if host in found}, wants, reached, answers), lost


def judged(contact: Contact, plan: Plan, *, with_room: bool, known: Mapping[str, Report] | None = None) -> Look:
    """Hold what a launch's hosts tell now against the table; raise where one does not answer.

    Without room, what a generation that still runs takes up is left out; ``known`` is what they told a moment ago.
    """
    ground, lost = look_around(contact, plan, with_room=with_room, known=known)
    if lost:
        raise lost_hosts(lost)
    images = {host: row.value for host, rows in ground.answers.items() for row in rows if row.kind == "image"}
    return Look(tuple(one for one in judge(ground) if with_room or one.check not in ROOM), images)


def warnings(findings: Iterable[Finding]) -> Iterator[Note]:
    """Tell what a launch goes on with all the same."""
    for one in findings:
        if one.verdict is Verdict.WARN:
            yield Note(f"{one.check}: {one.evidence}: {one.cause}; mend it: {one.remedy}", "warning", one.host)


def reports(contact: Contact, wants: Mapping[str, Want]) -> tuple[dict[str, Report], dict[str, FleetError]]:
    """Ask every open host once for its facts."""
    args = {host: {"paths": [*PATHS, *_paths(wants.get(host))]} for host in contact.hosts}
    asked = time.time()
    queued = {host: contact.submit(host, "fleet_facts", args[host]) for host in contact.sessions}
    times: dict[str, float] = {}
    for host, future in queued.items():
        future.add_done_callback(partial(_note_time, times, host))
    found: dict[str, Report] = {}
    lost: dict[str, FleetError] = dict(contact.lost)
    for host, future in queued.items():
        told = contact.settle(host, future)
        if isinstance(told, FleetError):
            lost[host] = told
        else:
            found[host] = read_report(host, told, asked=asked, answered=times.get(host, time.time()))
    return found, lost


def ways_between(contact: Contact, wants: Mapping[str, Want]) -> tuple[Reached, ...]:
    """Let every host listen at its address on ports of ours, and every other one of its gang connect to them."""
    members = {host: want for host, want in wants.items() if want.nodes > 1 and want.address}
    token = uuid.uuid4().hex
    listen = {
        host: {
            "action": "listen",
            "address": want.address,
            "token": token,
            "ports": [*(port.number for port in want.ports), *_HIGH_PORTS],
        }
        for host, want in members.items()
    }
    opened = contact.ask_all("fleet_reach", listen)
    targets = [
        {"host": host, "address": members[host].address, "ports": told["ports"]}
        for host, told in opened.items()
        if not isinstance(told, FleetError)
    ]
    connect = {
        host: {"action": "connect", "token": token, "targets": [row for row in targets if row["host"] != host]}
        for host in members
    }
    tried = contact.ask_all("fleet_reach", connect)
    contact.ask_all("fleet_reach", {host: {"action": "end"} for host in members})
    return tuple(
        Reached(source, row["host"], row["address"], row["port"], row["problem"])
        for source, told in tried.items()
        if not isinstance(told, FleetError)
        for row in told["tried"]
    )


def known_checks(names: Iterable[str]) -> frozenset[str]:
    """Return the names of checks that were given; raise UsageError for one that is not in the table."""
    wanted, known = frozenset(names), {check.name for check in TABLE}
    for name in sorted(wanted - known):
        raise UsageError(f"there is no check {name!r}", hint="r1fleet preflight --list shows their names")
    return wanted


def _note_time(times: dict[str, float], host: str, _: object) -> None:
    times[host] = time.time()


def _paths(want: Want | None) -> list[str]:
    if want is None:
        return []
    return [path for path in (want.weights, *want.room, "/var/lib/docker" if want.runtime == "docker" else "") if path]
