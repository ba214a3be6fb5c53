"""The status use case: every cluster, deployment and rank, once or again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TypeVar

from r1fleet.errors import FleetError
from r1fleet.inventory import Inventory
from r1fleet.status.contact import Access, Contact
from r1fleet.status.describe import deployment_row, host_row, nothing
from r1fleet.status.judge import DEGRADED, READY
from r1fleet.status.record import DeploymentRecord, GangRecord
from r1fleet.status.rows import DeploymentRow, ProbeRow, StatusReport
from r1fleet.status.survey import survey

Done = TypeVar("Done")

PROBE_PROMPT = "Say hello."
NOBODY = "No cluster is known here: nothing was provisioned or launched from this controller."


@dataclass(frozen=True, slots=True)
class StatusOptions:
    """What to look at; ``probe`` asks every ready endpoint for a real completion.

    ``declared`` holds the deployments that inventories name, by cluster; of a cluster that is not in it nothing is
    called undeclared. ``lines`` is how much of a rank's log is read to tell how far it is.
    """

    deployments: tuple[str, ...] = ()
    probe: bool = False
    lines: int = 40
    declared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def status(inventories: Sequence[Inventory], access: Access, options: StatusOptions) -> StatusReport:
    """Look at every host of every inventory, one round trip each; a host that is away is a row."""
    with _Lookout(inventories, access, options) as lookout:
        return lookout.look()


def watch(
    inventories: Sequence[Inventory],
    access: Access,
    options: StatusOptions,
    *,
    interval: float,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[StatusReport]:
    """Yield a report every ``interval`` seconds, over sessions that stay open; hosts that come back are met again."""
    with _Lookout(inventories, access, options) as lookout:
        while True:
            began = time.monotonic()
            yield lookout.look()
            lookout.meet_again()
            sleep(max(0.0, interval - (time.monotonic() - began)))


class _Lookout:
    """Open sessions to the hosts of several clusters."""

    def __init__(self, inventories: Sequence[Inventory], access: Access, options: StatusOptions) -> None:
        self._inventories = inventories
        self._options = options
        self._clusters = [_Cluster(inventory, access, options) for inventory in inventories]

    def __enter__(self) -> _Lookout:
        self._each(_Cluster.open)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._each(_Cluster.close)

    def look(self) -> StatusReport:
        """Look once."""
        if not self._clusters:
            return StatusReport((), (), NOBODY)
        parts = self._each(_Cluster.look)
        rows = tuple(row for part in parts for row in part.deployments)
        hosts = tuple(host for part in parts for host in part.hosts)
        unlaunched = tuple(pair for part in parts for pair in part.unlaunched)
        message = "" if rows else nothing(self._inventories, hosts, self._options.deployments)
        return StatusReport(rows, hosts, message, unlaunched)

    def meet_again(self) -> None:
        """Let whoever is lost be met again, for the next look."""
        for cluster in self._clusters:
            cluster.meet_again()

    def _each(self, do: Callable[[_Cluster], Done]) -> list[Done]:
        """Do something with every cluster, in parallel."""
        with ThreadPoolExecutor(max_workers=max(1, len(self._clusters))) as pool:
            return list(pool.map(do, self._clusters))


class _Cluster:
    """Open sessions to the hosts of one cluster."""

    def __init__(self, inventory: Inventory, access: Access, options: StatusOptions) -> None:
        self._inventory = inventory
        self._options = options
        self._contact = Contact(access, inventory.hosts.values())

    def open(self) -> None:
        """Meet every host."""
        self._contact.open()

    def close(self) -> None:
        """Close the sessions."""
        self._contact.close()

    def meet_again(self) -> None:
        """Try, in the background, to open whoever is lost."""
        self._contact.meet_again()

    def look(self) -> StatusReport:
        """Ask every host."""
        seen = survey(self._contact, lines=self._options.lines, glance=True)
        chosen, declared = self._options.deployments, self._options.declared.get(self._inventory.name)
        wanted = [name for name in seen.names() if not chosen or name in chosen]
        rows = [deployment_row(self._inventory, name, seen) for name in wanted]
        rows = [replace(row, declared=declared is None or row.name in declared) for row in rows]
        if self._options.probe:
            rows = [self._probed(row, seen.record(row.name)) for row in rows]
        hosts = tuple(host_row(self._inventory.name, host, seen) for host in self._inventory.hosts)
        absent = [name for name in declared or () if name not in seen.names() and (not chosen or name in chosen)]
        return StatusReport(tuple(rows), hosts, unlaunched=tuple((self._inventory.name, name) for name in absent))

    def _probed(self, row: DeploymentRow, record: DeploymentRecord | None) -> DeploymentRow:
        """Ask every replica at the same time."""
        if record is None or not record.endpoints or row.state not in (READY, DEGRADED):
            return row
        with ThreadPoolExecutor(max_workers=len(record.gangs)) as pool:
            probes = tuple(pool.map(lambda gang: self._probe(record, gang), record.gangs))
        answered = {probe.replica for probe in probes if probe.ok}
        gangs = (replace(gang, completion_age=0.0) if gang.replica in answered else gang for gang in row.gangs)
        return replace(row, probes=probes, gangs=tuple(gangs))

    def _probe(self, record: DeploymentRecord, gang: GangRecord) -> ProbeRow:
        args = {
            "url": gang.url,
            "model": record.model,
            "prompt": PROBE_PROMPT,
            "max_tokens": 8,
            "key_file": record.key_file,
            "key_name": record.key_name,
            "seen": gang.out,
        }
        try:
            reply = self._contact.ask(gang.leader, "fleet_ask", args)
        except FleetError as error:
            return ProbeRow(gang.replica, False, error.what)
        return ProbeRow(gang.replica, True, reply["text"], reply["seconds"])
