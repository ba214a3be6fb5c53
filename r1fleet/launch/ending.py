"""How a launch that has begun comes to a bad end: every rank stopped, its state kept, the cause told."""

from __future__ import annotations

from typing import NoReturn

from r1fleet.events import Observer, Step
from r1fleet.launch.failure import Failure, GangFailed
from r1fleet.launch.stop import StopReport, stop_seen
from r1fleet.status.contact import Contact
from r1fleet.status.judge import FAILED
from r1fleet.status.record import DeploymentRecord
from r1fleet.status.survey import survey


class Ending:
    """Stop what a launch has started, on whoever's behalf it was launched."""

    def __init__(self, contact: Contact, observer: Observer, by: str) -> None:
        self._contact = contact
        self._observer = observer
        self._by = by

    def fail(self, record: DeploymentRecord, failure: Failure) -> NoReturn:
        """Stop every rank, and raise what has failed."""
        report = self.stop(record, FAILED, one_line(failure))
        raise GangFailed(record.name, failure, report.left)

    def stop(self, record: DeploymentRecord, state: str, detail: str) -> StopReport:
        """Stop every rank, and write ``state`` and ``detail`` where it is confirmed."""
        self._observer(Step("stop", detail="stopping all ranks"))
        seen = survey(self._contact, record.name, hosts=record.hosts)
        report = stop_seen(self._contact, seen, record, self._observer, state=state, detail=detail, by=self._by)
        self._observer(Step("stop", "failed" if report.left else "done"))
        return report


def one_line(failure: Failure) -> str:
    """Tell a failure in one line, as states and journals keep it."""
    who = f"rank {failure.rank} on {failure.host} " if failure.rank is not None else ""
    return f"{who}{failure.reason}" + (f": {failure.first_error}" if failure.first_error else "")
