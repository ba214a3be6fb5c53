"""Stop a deployment everywhere, whole cgroups, in the order its engine needs; and verify it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from r1fleet.errors import ExitCode, FleetError, HostUnreachable
from r1fleet.events import Note, Observer, RankState
from r1fleet.inventory import Host
from r1fleet.launch.lock import Lock
from r1fleet.launch.options import who
from r1fleet.runtimes import boot_paths
from r1fleet.status.contact import Access, Contact
from r1fleet.status.judge import STOPPED
from r1fleet.status.record import Current, DeploymentRecord, JudgeRecord, RankRecord, folder_of
from r1fleet.status.survey import Survey, lost_hosts, survey
from r1fleet.status.view import DeploymentView


@dataclass(frozen=True, slots=True)
class StopReport:
    """What a stop did: hosts where something was running, and hosts where it is not confirmed gone.

    ``unknown``: every host has answered, and none knows the deployment.
    """

    deployment: str
    stopped: tuple[str, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)
    unreachable: bool = False
    message: str = ""
    unknown: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """0 when nothing is left, 4 when a host could not be asked, 2 when something would not go."""
        if not self.left:
            return ExitCode.OK
        return ExitCode.UNREACHABLE if self.unreachable else ExitCode.HOST_FAILED


def stop(
    hosts: Iterable[Host], access: Access, observer: Observer, deployment: str | None = None, *, by: str | None = None
) -> StopReport:
    """Stop every rank of a deployment, from what its hosts know of it; nothing running is no error."""
    with Contact(access, hosts) as contact:
        return stop_on(contact, observer, deployment, by=by)


def stop_on(
    contact: Contact, observer: Observer, deployment: str | None = None, *, by: str | None = None
) -> StopReport:
    """Stop it over sessions that are open."""
    seen = survey(contact, deployment)
    names = [deployment] if deployment else [name for name in seen.names() if seen.record(name)]
    if len(names) != 1:
        return _none_or_several(seen, names)
    record = seen.record(names[0])
    if record is None:
        return _unknown(seen, names[0])
    lock = Lock(contact, record.leader, record.name, "stop", by)
    lock.acquire_if_possible(record.generation, observer)
    try:
        return stop_seen(contact, seen, record, observer, by=by)
    finally:
        lock.release()


def stop_seen(
    contact: Contact,
    seen: Survey,
    record: DeploymentRecord,
    observer: Observer,
    *,
    state: str = STOPPED,
    detail: str = "",
    by: str | None = None,
) -> StopReport:
    """Stop what the hosts hold of ``record``'s deployment (each its own generation), verify, and mark it."""
    views = {host: view for host, view in seen.views(record.name).items() if view.current and view.record}
    busy = {host for host, view in views.items() if _busy(view)}
    replies: dict[str, FleetError | dict[str, Any]] = {}
    for group in _order(record, views):
        for host in busy.intersection(group):
            _tell(observer, views[host], "stopping")
        replies.update(contact.ask_all("fleet_stop", {host: _stop_args(views[host]) for host in group}))
    left = {host: _left(answer) for host, answer in replies.items() if _left(answer)}
    left.update(_unseen(record, contact, seen))
    gone = {host: view for host, view in views.items() if host not in left}
    for host, error in _mark(contact, gone, state, detail, by or who()).items():
        observer(
            Note(
                f"stopped, but its state cannot be written: {error.what}; status will show it otherwise",
                "warning",
                host,
            )
        )
    for host, view in views.items():
        if host in busy and host not in left:
            _tell(observer, view, "stopped")
    for host, answer in replies.items():
        for text in [] if isinstance(answer, FleetError) else answer["ports"]:
            observer(Note(text, "warning", host))
    unreachable = any(host not in seen.hosts or isinstance(replies.get(host), HostUnreachable) for host in left)
    message = "" if busy or left else f"nothing of {record.name} is running"
    return StopReport(record.name, tuple(host for host in views if host in busy), left, unreachable, message)


def _order(record: DeploymentRecord, views: Mapping[str, DeploymentView]) -> list[list[str]]:
    leaders = {gang.leader for gang in record.gangs}
    if not record.leader_first:
        return [list(views)]
    return [[host for host in views if host in leaders], [host for host in views if host not in leaders]]


def _stop_args(view: DeploymentView) -> dict[str, Any]:
    if view.record is None or view.current is None:
        return {"units": []}
    here = view.current.host
    gangs = [gang for gang in view.record.gangs if gang.leader == here]
    units = [_unit(gang.judge) for gang in gangs]
    units += [_unit(rank) for rank in sorted(view.record.on(here), key=lambda rank: rank.rank)]
    return {
        "units": units,
        "remove": list(boot_paths(view.name)),
        "ports": [port for gang in gangs for port in (gang.port, gang.rendezvous_port)],
    }


def _unit(unit: JudgeRecord | RankRecord) -> dict[str, Any]:
    return {"name": unit.name, "stop": list(unit.stop), "stop_seconds": unit.stop_seconds}


def _left(answer: FleetError | dict[str, Any]) -> str:
    if isinstance(answer, FleetError):
        return answer.what
    return "; ".join([*answer["left"], *answer["problems"]])


def _unseen(record: DeploymentRecord, contact: Contact, seen: Survey) -> dict[str, str]:
    rows = {
        host: view.problem for host, view in seen.views(record.name).items() if view.record is None and view.problem
    }
    for host in record.hosts:
        if host not in contact.hosts:
            rows[host] = "it is not in this inventory"
        elif host in seen.lost:
            rows[host] = seen.lost[host].what
    return rows


def _mark(
    contact: Contact, views: Mapping[str, DeploymentView], state: str, detail: str, by: str
) -> dict[str, FleetError]:
    """Write how it has ended where it has; returns the errors of hosts that could not."""
    args = {}
    for host, view in views.items():
        if view.current is None or (view.current.state == state and not _busy(view)):
            continue
        ended = tuple(rank.name for rank in view.ranks if rank.alive)
        old = view.current
        marker = Current(old.generation, old.digest, state, old.host, by, detail, stopped=ended)
        args[host] = {
            "folder": folder_of(view.name),
            "current": marker.as_json(),
            "journal": {"who": by, "what": state, "generation": marker.generation, "detail": detail},
            "only_generation": marker.generation,
        }
    answers = contact.ask_all("fleet_stage", args)
    return {host: answer for host, answer in answers.items() if isinstance(answer, FleetError)}


def _busy(view: DeploymentView) -> bool:
    return any(rank.alive or rank.processes for rank in view.ranks) or any(gang.judging for gang in view.gangs)


def _tell(observer: Observer, view: DeploymentView, state: str) -> None:
    for rank in view.ranks:
        observer(RankState(view.name, rank.rank, view.host, state))


def _none_or_several(seen: Survey, names: list[str]) -> StopReport:
    if names:
        seen.one(None)
    if seen.lost and not seen.hosts:
        raise lost_hosts(seen.lost)
    return StopReport("", message="nothing is running here", left=_doubtful(seen, None), unreachable=bool(seen.lost))


def _unknown(seen: Survey, name: str) -> StopReport:
    left = _doubtful(seen, name)
    what = f"nothing of {name} is running"
    return StopReport(name, message=what, left=left, unreachable=bool(seen.lost), unknown=not left)


def _doubtful(seen: Survey, name: str | None) -> dict[str, str]:
    """Collect the hosts that cannot say what they run."""
    rows = {host: error.what for host, error in seen.lost.items()}
    for host, answer in seen.hosts.items():
        problems = [view.problem for view in answer.deployments if view.problem and name in (None, view.name)]
        if problems:
            rows[host] = "; ".join(problems)
    return rows
