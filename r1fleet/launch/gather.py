"""Ask hosts for what a plan needs: their facts, and the shape of a model that only they know."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from r1fleet.errors import FleetError, SpecError, Where
from r1fleet.events import Observer, Step
from r1fleet.facts import HostFacts
from r1fleet.facts.report import Report
from r1fleet.inventory import Host
from r1fleet.launch.model_files import shape_of
from r1fleet.launch.plan import Plan
from r1fleet.launch.preflight import look_at, reports
from r1fleet.launch.wanted import want_of
from r1fleet.status.contact import Access, Contact
from r1fleet.status.survey import lost_hosts
from r1fleet.topology import ModelShape, known_shape


def gather(hosts: Iterable[Host], access: Access) -> dict[str, HostFacts]:
    """Gather what a plan needs of all hosts in parallel; every host must answer."""
    found, lost = look_at(hosts, access)
    if lost:
        raise lost_hosts(lost)
    return {host: report.for_plan for host, report in found.items()}


def gather_on(contact: Contact, draft: Plan, members: Collection[str] | None = None) -> dict[str, Report]:
    """Ask the open hosts for everything they can tell; every one of ``members`` must answer, or of all."""
    wants = {host: want for host in contact.hosts if (want := want_of(draft, host)) is not None}
    found, every = reports(contact, wants)
    lost = {host: error for host, error in every.items() if members is None or host in members}
    if lost:
        raise lost_hosts(lost)
    return found


def supervision_on(contact: Contact) -> dict[str, HostFacts]:
    """Ask the open hosts for no more than who keeps their services alive; that decides the runtime."""
    asked = {host: {"path": "/run/systemd/system", "get_checksum": False} for host in contact.sessions}
    told = contact.ask_all("stat", asked)
    return {
        host: HostFacts(systemd=bool(answer["stat"]["exists"]))
        for host, answer in told.items()
        if not isinstance(answer, FleetError)
    }


def connected(contact: Contact, observer: Observer) -> None:
    """Tell how many hosts answered; raise where one did not."""
    observer(Step("connect", "done", done=len(contact.sessions), total=len(contact.hosts), unit="hosts"))
    if contact.lost:
        raise lost_hosts(contact.lost)


def read_shape(draft: Plan, hosts: Mapping[str, Host], access: Access) -> ModelShape | None:
    """Read the model's own config.json on the leader; None where the table of models knows it, or nothing does."""
    if _known(draft):
        return None
    with Contact(access, [hosts[draft.gangs[0].leader.host]]) as contact:
        return read_shape_on(contact, draft)


def read_shape_on(contact: Contact, draft: Plan) -> ModelShape | None:
    """Read the model's own config.json on the leader; on another of its hosts where the leader is left out."""
    if _known(draft):
        return None
    leader, path = draft.gangs[0].leader.host, draft.deployment.model_path
    others = (node.host for gang in draft.gangs for node in gang.nodes)
    host = next((name for name in (leader, *others) if name in contact.hosts), leader)
    told = contact.ask(host, "fleet_model", {"path": path})
    where = Where(f"{path}/config.json", host=host)
    if told.get("problem"):
        raise SpecError(told["problem"], where=where, hint="fetch it again, or correct model_path")
    return shape_of(told["config"], weight_bytes=told["weight_bytes"], where=where) if told["config"] else None


def _known(draft: Plan) -> bool:
    return known_shape(draft.deployment.model) is not None or draft.deployment.model_path is None
