"""The logs use case: what each rank wrote, from its last lines or a moment on, and what it writes from now on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any

from r1fleet.errors import FleetError, UsageError
from r1fleet.events import LogLines, LogSources, Note, Observer
from r1fleet.inventory import Host
from r1fleet.status.contact import Access, Contact
from r1fleet.status.record import DeploymentRecord, RankRecord, read_record
from r1fleet.status.survey import lost_hosts, survey
from r1fleet.transport import Reply

WAIT_SECONDS = 15.0
"""How long a host waits for news before it says that there are none."""


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Which deployment (the only one there is when None), which ranks (all when empty), and where to begin.

    ``lines`` is how many of each rank's last lines (None: all); ``age`` (seconds before now, by the host's clock) and
    ``since`` (seconds since 1970) leave out what is older; ``generation`` is a number, or how far back from the
    current one (-1: the one before); ``follow`` goes on until interrupted.
    """

    deployment: str | None = None
    ranks: tuple[int, ...] = ()
    lines: int | None = 50
    follow: bool = False
    age: float | None = None
    since: float | None = None
    generation: int = 0


def logs(hosts: Iterable[Host], access: Access, observer: Observer, options: LogOptions) -> None:
    """Emit LogSources, then LogLines per rank, oldest first; with ``follow`` go on with whatever generation comes."""
    if options.follow and options.generation:
        raise UsageError("a generation chosen by number is not followed", hint="leave -f, or the number, out")
    with Contact(access, hosts) as contact:
        seen = survey(contact, options.deployment)
        record = seen.one(options.deployment)
        number = options.generation if options.generation > 0 else record.generation + options.generation
        if number < 1:
            raise UsageError(
                f"generation {record.generation} of {record.name} is its first", hint="leave --previous out"
            )
        reader = _Reader(contact, record.name, observer, options)
        reader.begin(number)
        if options.follow:
            reader.follow()
        elif len(seen.lost) == len(contact.hosts):
            raise lost_hosts(seen.lost)


class _Reader:
    """Reads on from where it has come to, host by host."""

    def __init__(self, contact: Contact, name: str, observer: Observer, options: LogOptions) -> None:
        self._contact = contact
        self._name = name
        self._observer = observer
        self._options = options
        self._generation = 0
        self._offsets: dict[str, dict[str, dict[str, Any]]] = {}
        self._chosen: tuple[RankRecord, ...] = ()

    def begin(self, number: int) -> None:
        """Show what is there of one generation."""
        options = self._options
        first = {"generation": number, "lines": options.lines, "age": options.age, "since": options.since}
        first["partial"] = not options.follow
        hosts = list(self._contact.hosts)
        answers = self._contact.ask_all("fleet_logs", dict.fromkeys(hosts, self._args(first)))
        plan = next((plan for answer in answers.values() if (plan := _plan(answer))), None)
        if plan is None:
            hint = "leave the number out for the current one"
            raise UsageError(f"no host keeps generation {number} of {self._name}", hint=hint)
        self._turn_to(read_record(plan, "the leader"))
        for rank in self._chosen:
            why = _lacks(answers.get(rank.host))
            if why:
                self._observer(Note(f"no log of rank {rank.rank}: {why}", "warning", rank.host))
        for host in dict.fromkeys(rank.host for rank in self._chosen):
            answer = answers.get(host)
            while isinstance(answer, dict):
                self._take(host, answer)
                answer = self._more(host, number) if any(row["more"] for row in answer["logs"]) else None

    def follow(self) -> None:
        """Tell what is new on any host until interrupted, or until no host is left."""
        pending: dict[Future[Reply], str] = {}
        due = list(self._contact.sessions)
        while due or pending:
            pending.update({self._ask(host): host for host in due})
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            due = [host for future in done if self._heard(host := pending.pop(future), future)]
        raise lost_hosts(self._contact.lost)

    def _heard(self, host: str, future: Future[Reply]) -> bool:
        """Tell what a host has answered; False where it will not answer again."""
        answer = self._contact.settle(host, future)
        if isinstance(answer, FleetError):
            self._observer(Note(f"lost: {answer.what}", "error", host))
            self._contact.lost[host] = answer
            return False
        self._renew(answer)
        self._take(host, answer)
        return True

    def _ask(self, host: str) -> Future[Reply]:
        more = {"offsets": self._offsets.get(host, {}), "wait": WAIT_SECONDS, "seen": self._generation}
        return self._contact.submit(host, "fleet_logs", self._args(more))

    def _more(self, host: str, number: int) -> Reply | FleetError:
        more = {"generation": number, "offsets": self._offsets[host], "partial": not self._options.follow}
        args = self._args(more)
        return self._contact.settle(host, self._contact.submit(host, "fleet_logs", args))

    def _args(self, more: Mapping[str, Any]) -> dict[str, Any]:
        given = {name: value for name, value in more.items() if value is not None}
        return {"deployment": self._name, "ranks": list(self._options.ranks), **given}

    def _renew(self, answer: Reply) -> None:
        """Turn to a generation that has taken the place of the one shown."""
        if answer["plan"] and answer["generation"] > self._generation:
            self._turn_to(read_record(answer["plan"], "the leader"))

    def _turn_to(self, record: DeploymentRecord) -> None:
        self._generation = record.generation
        self._chosen = _chosen(record, self._options.ranks)
        ranks = tuple((rank.replica, rank.rank, rank.host) for rank in self._chosen)
        self._observer(LogSources(record.name, record.generation, ranks))

    def _take(self, host: str, answer: Reply) -> None:
        offsets = self._offsets.setdefault(host, {})
        for row in answer["logs"]:
            known = offsets.get(row["log"])
            offsets[row["log"]] = {"offset": row["offset"], "id": row["id"]}
            if row["timeless"] and known is None:
                what = f"rank {row['rank']}: its log has no times that are understood; shown are its last lines"
                self._observer(Note(what, "warning", host))
            if row["text"]:
                lines = tuple(row["text"].splitlines())
                self._observer(LogLines(self._name, row["rank"], host, lines, row["replica"]))


def _lacks(answer: Reply | FleetError | None) -> str:
    if isinstance(answer, dict):
        return "" if answer["plan"] else "its host keeps nothing of this generation"
    return f"its host did not answer: {answer.what}" if answer else "its host is not in this inventory"


def _plan(answer: Reply | FleetError) -> Mapping[str, Any] | None:
    return None if isinstance(answer, FleetError) else answer["plan"]


def _chosen(record: DeploymentRecord, wanted: tuple[int, ...]) -> tuple[RankRecord, ...]:
    known = {rank.rank for rank in record.ranks}
    for rank in wanted:
        if rank not in known:
            raise UsageError(f"{record.name} has no rank {rank}", hint=f"its ranks are 0 to {max(known)}")
    return tuple(rank for rank in record.ranks if not wanted or rank.rank in wanted)
