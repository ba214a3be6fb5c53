"""Ask a set of hosts for everything they run, in one round trip each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from r1fleet.errors import FleetError, HostUnreachable, UsageError
from r1fleet.status.contact import Contact
from r1fleet.status.judge import FAILED, SILENT, STOPPED, newest
from r1fleet.status.record import DeploymentRecord
from r1fleet.status.view import DeploymentView, HostView, read_host


@dataclass(frozen=True, slots=True)
class Survey:
    """What the hosts answered, and which did not."""

    hosts: Mapping[str, HostView]
    lost: Mapping[str, FleetError] = field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        """List every deployment that any host knows."""
        return tuple(dict.fromkeys(view.name for host in self.hosts.values() for view in host.deployments))

    def views(self, deployment: str) -> dict[str, DeploymentView]:
        """Collect the hosts' answers about one deployment."""
        found = {name: host.deployment(deployment) for name, host in self.hosts.items()}
        return {name: view for name, view in found.items() if view is not None}

    def record(self, deployment: str) -> DeploymentRecord | None:
        """Return the record of a deployment's newest generation."""
        views = [view for view in self.views(deployment).values() if view.record is not None]
        marker = newest(view.current for view in views)
        return next((view.record for view in views if view.current == marker), None)

    def current_views(self, record: DeploymentRecord) -> dict[str, DeploymentView]:
        """Collect the answers of those hosts that hold this very generation."""
        views = self.views(record.name)
        return {
            name: view
            for name, view in views.items()
            if view.current is not None and view.current.generation == record.generation
        }

    def absent(self, record: DeploymentRecord) -> dict[str, str]:
        """Say of each host that tells nothing of this generation why it does not."""
        views = self.current_views(record)
        return {host: self._why_absent(host) for host in record.hosts if host not in views}

    def _ended(self, deployment: str) -> bool:
        marker = newest(view.current for view in self.views(deployment).values())
        return marker is not None and marker.state in (STOPPED, FAILED)

    def _why_absent(self, host: str) -> str:
        if host in self.lost:
            return SILENT
        return "its host holds another generation" if host in self.hosts else "its host is not in this inventory"

    def one(self, deployment: str | None) -> DeploymentRecord:
        """Pick the deployment that is meant: the one named, or the only one there is, or that has not ended."""
        known = [name for name in self.names() if self.record(name) is not None]
        if deployment is None and len(known) > 1:
            known = [name for name in known if not self._ended(name)] or known
        if deployment is None and len(known) > 1:
            raise UsageError("several deployments are on these hosts: " + ", ".join(known), hint="name one of them")
        name = deployment or (known[0] if known else None)
        record = self.record(name) if name else None
        if record is not None:
            return record
        if self.lost:
            raise next(iter(self.lost.values()))
        what = f"deployment {name} has never been launched here" if name else "nothing has been launched here"
        raise UsageError(what, hint="r1fleet status shows what has been" if name else "r1fleet launch")


def survey(
    contact: Contact,
    deployment: str | None = None,
    *,
    lines: int = 0,
    glance: bool = False,
    hosts: Iterable[str] | None = None,
) -> Survey:
    """Look at all hosts of ``contact`` (or at ``hosts``); ``glance``: as status does."""
    args = {"deployment": deployment, "lines": lines, "glance": glance}
    answers = contact.ask_all("fleet_state", dict.fromkeys(hosts or contact.hosts, args))
    seen: dict[str, HostView] = {}
    lost: dict[str, FleetError] = {}
    for host, answer in answers.items():
        if isinstance(answer, FleetError):
            lost[host] = answer
        else:
            seen[host] = read_host(host, answer)
    return Survey(seen, lost)


def lost_hosts(lost: Mapping[str, FleetError]) -> FleetError:
    """Turn hosts that did not answer into one error that names them all."""
    # A host that is away outweighs one that failed, here as in every exit code.
    first = next((error for error in lost.values() if isinstance(error, HostUnreachable)), next(iter(lost.values())))
    if len(lost) == 1:
        return first
    rows = "\n".join(f"  {host}: {error.what}" for host, error in lost.items())
    return type(first)(f"{len(lost)} hosts did not answer:\n{rows}", hint=first.hint)
