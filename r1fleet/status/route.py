"""Two ways to an endpoint: straight from the controller, or by its leader over the session that is open."""

from __future__ import annotations

import json
import queue
import socket
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, Protocol
from urllib.parse import urlsplit

from r1fleet.agent.chat import converse, generate
from r1fleet.agent.completion import NoAnswer
from r1fleet.errors import FleetError, HostFailed, Where
from r1fleet.inventory.addresses import is_loopback
from r1fleet.status.contact import Contact
from r1fleet.status.record import DeploymentRecord, GangRecord
from r1fleet.transport import Reply

DIRECT_SECONDS = 3.0
"""How long the controller itself waits for the endpoint before it asks by way of the leader."""

Piece = dict[str, Any]
Pieces = Generator[Piece, None, None]


class Route(Protocol):
    """A way to one endpoint."""

    url: str
    """Where it leads, in words for people."""

    def converse(self, body: dict[str, Any], seconds: float) -> Pieces:
        """Yield the pieces of a streamed chat completion, as ``agent.chat`` has them; closing it stops the answer."""

    def generate(self, prompt: str, sampling: dict[str, Any], seconds: float) -> Piece:
        """Let SGLang's /generate go on with a text."""


def route_to(contact: Contact, record: DeploymentRecord, gang: GangRecord) -> Route:
    """Choose the way: straight where no key is needed and the endpoint is reached, else by the leader.

    A key never leaves the hosts: it lies there already, and the way to them is encrypted, which HTTP is not.
    """
    url = _public(record, gang)
    if url and not record.key_file and _reaches(url, contact, gang.leader):
        return Straight(url, contact, gang)
    if gang.leader in contact.sessions:
        return ByLeader(contact, record, gang)
    where = Where(host=gang.leader)
    raise contact.lost.get(gang.leader) or HostFailed("leads, and is not in this inventory", where=where)


class Straight:
    """From the controller itself, as clients do."""

    def __init__(self, url: str, contact: Contact, gang: GangRecord) -> None:
        self.url = url
        self._contact = contact
        self._gang = gang

    def converse(self, body: dict[str, Any], seconds: float) -> Pieces:
        """Read the endpoint's stream."""
        try:
            with closing(converse(self.url, body, timeout=seconds)) as pieces:
                for piece in pieces:
                    if "end" in piece:
                        self._tell(piece["end"])
                    yield piece
        except NoAnswer as error:
            raise self._failed(error) from error

    def generate(self, prompt: str, sampling: dict[str, Any], seconds: float) -> Piece:
        """Post it."""
        try:
            said = generate(self.url, prompt, sampling, timeout=seconds)
        except NoAnswer as error:
            raise self._failed(error) from error
        self._tell(said)
        return said

    def _tell(self, end: Piece) -> None:
        """Let the leader keep when its endpoint answered; that it cannot now takes nothing from the answer."""
        leader = self._gang.leader
        if leader in self._contact.sessions:
            args = {"folder": self._gang.out, "seconds": end["seconds"], "tokens": end["tokens"]}
            self._contact.settle(leader, self._contact.submit(leader, "fleet_seen", args))

    def _failed(self, error: NoAnswer) -> HostFailed:
        return HostFailed(f"{self.url}: {error}", where=Where(host=self._gang.leader))


class ByLeader:
    """From the leader, which has the key; the pieces come over the agent's channel."""

    def __init__(self, contact: Contact, record: DeploymentRecord, gang: GangRecord) -> None:
        self.url = f"{gang.url} on {gang.leader}"
        self._contact = contact
        self._leader = gang.leader
        self._common = {
            "url": gang.url,
            "key_file": record.key_file,
            "key_name": record.key_name,
            "seen": gang.out,
        }

    def converse(self, body: dict[str, Any], seconds: float) -> Pieces:
        """Yield what the leader tells while it reads the stream."""
        heard: queue.SimpleQueue[Callable[[], Piece]] = queue.SimpleQueue()
        args = {**self._common, "body": body, "seconds": seconds}
        future = self._contact.submit(
            self._leader, "fleet_ask", args, lambda text: heard.put(lambda: dict(json.loads(text)))
        )
        future.add_done_callback(lambda done: None if done.cancelled() else heard.put(lambda: {"end": self._end(done)}))
        try:
            piece: Piece = {}
            while "end" not in piece:
                piece = heard.get()()
                yield piece
        finally:
            future.cancel()

    def generate(self, prompt: str, sampling: dict[str, Any], seconds: float) -> Piece:
        """Let the leader post it."""
        args = {**self._common, "prompt": prompt, "sampling": sampling, "seconds": seconds}
        return self._contact.ask(self._leader, "fleet_ask", args)

    def _end(self, done: Any) -> Reply:
        answer = self._contact.settle(self._leader, done)
        if isinstance(answer, FleetError):
            raise answer
        return answer


def _public(record: DeploymentRecord, gang: GangRecord) -> str:
    index = record.gangs.index(gang)
    return record.endpoints[index] if index < len(record.endpoints) else ""


def _reaches(url: str, contact: Contact, leader: str) -> bool:
    parts = urlsplit(url)
    host = parts.hostname or ""
    known = contact.hosts.get(leader)
    if is_loopback(host) and not (known and known.is_local):
        return False  # the leader's own loopback is not ours
    try:
        with socket.create_connection((host, parts.port or 80), DIRECT_SECONDS):
            return True
    except OSError:
        return False
