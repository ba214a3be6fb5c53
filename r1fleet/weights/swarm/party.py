"""The hosts of a transfer, asked all at once; one that fails or is lost is a value, and may come back."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from r1fleet.errors import FleetError, HostFailed, HostUnreachable, Where
from r1fleet.transport.protocol import Blob, Call, Reply, Session
from r1fleet.weights.cargo import Cargo
from r1fleet.weights.swarm.model import Member
from r1fleet.weights.swarm.program import transfer_name
from r1fleet.weights.sync import Reach

Answer = Reply | FleetError
_REOPEN_SECONDS = 5.0


class Party:
    """All members by name; ``lost`` are those that do not answer right now."""

    def __init__(self, members: Iterable[Member], cargo: Cargo) -> None:
        self.members = {member.name: member for member in members}
        self.lost: dict[str, FleetError] = {}
        self._name = transfer_name(cargo)
        self._tried: dict[str, float] = {}
        self._calling: dict[str, Future[Session]] = {}
        self._pool = ThreadPoolExecutor(8)

    def ask(self, action: str, given: Mapping[str, Mapping[str, Any]]) -> dict[str, Answer]:
        """Do one of fleet_swarm's actions on several hosts, each with its own arguments."""
        rows = {
            host: {"action": action, "name": self._name, "state": self.members[host].state, **args}
            for host, args in given.items()
        }
        return self.run("fleet_swarm", rows)

    def run(
        self, module: str, given: Mapping[str, Mapping[str, Any]], blobs: Mapping[str, Blob] | None = None
    ) -> dict[str, Answer]:
        """Run one module on several hosts at once; those that are lost answer with their loss."""
        queued: dict[str, Future[Reply]] = {}
        for host, args in given.items():
            if host not in self.lost:
                member = self.members[host]
                carried = (blobs[host],) if blobs and host in blobs else ()
                queued[host] = member.session.submit(Call(module, args, become=member.become, blobs=carried))
        answers = {host: self._settled(host, future) for host, future in queued.items()}
        return {host: answers[host] if host in answers else self.lost[host] for host in given}

    def begin(self, args: Mapping[str, Mapping[str, Any]], wheels: Mapping[str, Blob]) -> dict[str, Answer]:
        """Start the program on hosts where it does not run."""
        rows = {
            host: {
                "action": "begin",
                "name": self._name,
                "state": self.members[host].state,
                "wheel": wheels[host].sha256,
                **given,
            }
            for host, given in args.items()
        }
        return self.run("fleet_swarm", rows, wheels)

    def call_back(self) -> None:
        """Try to reach those that were lost again, where that can be tried; nobody waits for it."""
        for host in list(self.lost):
            reopen, calling = self.members[host].reopen, self._calling.get(host)
            if calling is not None and calling.done():
                self._take_back(host, self._calling.pop(host))
            elif (
                reopen is not None
                and calling is None
                and time.monotonic() - self._tried.get(host, 0.0) > _REOPEN_SECONDS
            ):
                self._tried[host] = time.monotonic()
                self._calling[host] = self._pool.submit(reopen)

    def reaches(self, hosts: Sequence[str]) -> list[Reach]:
        """Return hosts' sessions, and as whom to work there; those that were lost by now get another, if that is to be
        had.
        """
        for host, told in self.run("ping", {host: {} for host in hosts}).items():
            reopen = self.members[host].reopen
            if isinstance(told, HostUnreachable) and reopen is not None:
                self._take_back(host, self._pool.submit(reopen))
        return [(self.members[host].session, self.members[host].become) for host in hosts]

    def _take_back(self, host: str, calling: Future[Session]) -> None:
        try:
            session = calling.result()
        except FleetError as error:
            self.lost[host] = error
            return
        self.members[host] = replace(self.members[host], session=session)
        self.lost.pop(host, None)  # perhaps another thread has taken it back

    def _settled(self, host: str, future: Future[Reply]) -> Answer:
        try:
            reply = future.result()
        except HostUnreachable as error:
            self.lost[host] = error
            return error
        except FleetError as error:
            return error
        if reply.get("failed"):
            return HostFailed(str(reply.get("msg") or "it failed without a word"), where=Where(host=host))
        return reply
