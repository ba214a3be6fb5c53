"""Ask hosts for what a plan needs: their facts, and the shape of a model that only they know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from r1fleet.errors import SpecError, Where
from r1fleet.facts import HostFacts
from r1fleet.inventory import Host
from r1fleet.launch.model_files import shape_of
from r1fleet.launch.plan import Plan
from r1fleet.launch.preflight import look_at
from r1fleet.status.contact import Access, Contact
from r1fleet.status.survey import lost_hosts
from r1fleet.topology import ModelShape, known_shape


def gather(hosts: Iterable[Host], access: Access) -> dict[str, HostFacts]:
    """Gather what a plan needs of all hosts in parallel; every host must answer."""
    found, lost = look_at(hosts, access)
    if lost:
        raise lost_hosts(lost)
    return {host: report.for_plan for host, report in found.items()}


def read_shape(draft: Plan, hosts: Mapping[str, Host], access: Access) -> ModelShape | None:
    """Read the model's own config.json on the leader; None where the table of models knows it, or nothing does."""
    if known_shape(draft.deployment.model) is not None or draft.deployment.model_path is None:
        return None
    leader = hosts[draft.gangs[0].leader.host]
    with Contact(access, [leader]) as contact:
        told = contact.ask(leader.name, "fleet_model", {"path": draft.deployment.model_path})
    where = Where(f"{draft.deployment.model_path}/config.json", host=leader.name)
    if told.get("problem"):
        raise SpecError(told["problem"], where=where, hint="fetch it again, or correct model_path")
    return shape_of(told["config"], weight_bytes=told["weight_bytes"], where=where) if told["config"] else None
