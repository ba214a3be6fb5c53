"""A job's conversation: what a person types reaches rank 0, and what rank 0 answers is shown as it comes."""

from __future__ import annotations

import threading
from typing import Protocol

from r1fleet.engines import FAREWELL
from r1fleet.errors import FleetError
from r1fleet.events import Observer, Output
from r1fleet.status.contact import Contact
from r1fleet.status.record import DeploymentRecord, RankRecord

TICK = 0.2
AT_ONCE = 1000
"""Characters that are sent at a time: at most 4096 bytes go into a FIFO whole, or not at all."""


class Terminal(Protocol):
    """Where a person types."""

    def read(self, seconds: float) -> str | None:
        """Return what was typed, empty where nothing was for so long; None at its end."""


class Conversation:
    """Follow the output of a job's leaders beside the watch, and bring them what is typed."""

    def __init__(
        self, contact: Contact, record: DeploymentRecord, observer: Observer, terminal: Terminal | None
    ) -> None:
        self._contact = contact
        self._record = record
        self._observer = observer
        self._terminal = terminal
        self._offsets = {rank.name: 0 for rank in record.ranks if rank.output}
        self._typed = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="conversation", daemon=True)

    def begin(self) -> None:
        """Follow from now on."""
        self._thread.start()

    def end(self) -> None:
        """Show what has come to the very end, and follow no more."""
        self._over.set()
        self._thread.join()
        for rank in self._leaders():
            while self._carry(rank, ""):
                pass

    def _follow(self) -> None:
        while not self._over.is_set():
            self._listen()
            for rank in self._leaders():
                self._carry(rank, self._typed[:AT_ONCE])
            if self._terminal is None:
                self._over.wait(TICK)

    def _listen(self) -> None:
        if self._terminal is None:
            return
        said = self._terminal.read(TICK)
        self._typed += f"{FAREWELL}\n" if said is None else said
        if said is None:
            self._terminal = None

    def _carry(self, rank: RankRecord, typed: str) -> bool:
        """Exchange once with a leader; tells whether it had something to say."""
        args = {
            "output": rank.output,
            "offset": self._offsets[rank.name],
            "stdin": rank.stdin,
            "typed": typed if rank.stdin else "",
        }
        answer = self._contact.ask_all("fleet_attach", {rank.host: args})[rank.host]
        if isinstance(answer, FleetError):
            return False  # the watch tells of a host that is lost
        if answer["taken"]:
            self._typed = self._typed[len(typed) :]
        self._offsets[rank.name] = answer["offset"]
        if answer["text"]:
            self._observer(Output(self._record.name, rank.rank, rank.host, answer["text"]))
        return bool(answer["text"])

    def _leaders(self) -> list[RankRecord]:
        return [rank for rank in self._record.ranks if rank.output]
