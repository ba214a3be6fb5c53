"""The logs use case: what each rank wrote, tailed or followed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from r1fleet.errors import FleetError, UsageError
from r1fleet.events import LogLines, Note, Observer
from r1fleet.inventory import Host
from r1fleet.status.contact import Access, Contact
from r1fleet.status.record import DeploymentRecord, RankRecord
from r1fleet.status.survey import lost_hosts, survey
from r1fleet.status.view import read_host

INTERVAL = 0.5


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Which deployment (the only one there is when None), which ranks (all when empty), how many lines each."""

    deployment: str | None = None
    ranks: tuple[int, ...] = ()
    lines: int = 50
    follow: bool = False


def logs(
    hosts: Iterable[Host],
    access: Access,
    observer: Observer,
    options: LogOptions,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[RankRecord, ...]:
    """Emit LogLines per rank, oldest first; with ``follow`` go on until interrupted. Returns the ranks shown.

    The reader prefixes lines with host and rank only when more than one rank was shown.
    """
    with Contact(access, hosts) as contact:
        seen = survey(contact, options.deployment, lines=max(1, options.lines))
        record = seen.one(options.deployment)
        ranks = _chosen(record, options.ranks)
        offsets: dict[str, int] = {}
        for rank in ranks:
            view = seen.views(record.name).get(rank.host)
            found = next((row for row in view.ranks if row.name == rank.name), None) if view else None
            if found is None:
                observer(Note(f"no log of rank {rank.rank}: its host did not answer", "warning", rank.host))
                continue
            offsets[rank.log] = found.log["offset"]
            _emit(observer, record, rank, found.log["tail"][-options.lines :] if options.lines else [])
        if options.follow:
            _follow(contact, record, ranks, offsets, observer, sleep)
        if len(seen.lost) == len(contact.hosts):
            raise lost_hosts(seen.lost)
    return ranks


def _chosen(record: DeploymentRecord, wanted: tuple[int, ...]) -> tuple[RankRecord, ...]:
    known = {rank.rank for rank in record.ranks}
    for rank in wanted:
        if rank not in known:
            raise UsageError(f"{record.name} has no rank {rank}", hint=f"its ranks are 0 to {max(known)}")
    return tuple(rank for rank in record.ranks if not wanted or rank.rank in wanted)


def _follow(
    contact: Contact,
    record: DeploymentRecord,
    ranks: tuple[RankRecord, ...],
    offsets: dict[str, int],
    observer: Observer,
    sleep: Callable[[float], None],
) -> None:
    hosts = {rank.host for rank in ranks if rank.log in offsets}
    while hosts:
        sleep(INTERVAL)
        args = {host: {"deployment": record.name, "offsets": _of(host, ranks, offsets)} for host in sorted(hosts)}
        for host, answer in contact.ask_all("fleet_state", args).items():
            if isinstance(answer, FleetError):
                observer(Note(f"lost: {answer.what}", "error", host))
                hosts.discard(host)
                continue
            view = read_host(host, answer).deployment(record.name)
            if view is None or view.current is None or view.current.generation != record.generation:
                observer(Note(f"generation {record.generation} of {record.name} is gone", "warning", host))
                hosts.discard(host)
                continue
            for rank in ranks:
                found = next((row for row in view.ranks if row.name == rank.name), None)
                if found is not None and found.log["text"]:
                    offsets[rank.log] = found.log["offset"]
                    _emit(observer, record, rank, found.log["text"].splitlines())


def _of(host: str, ranks: tuple[RankRecord, ...], offsets: dict[str, int]) -> dict[str, int]:
    return {rank.log: offsets[rank.log] for rank in ranks if rank.host == host and rank.log in offsets}


def _emit(observer: Observer, record: DeploymentRecord, rank: RankRecord, lines: list[str]) -> None:
    if lines:
        observer(LogLines(record.name, rank.rank, rank.host, tuple(lines)))
