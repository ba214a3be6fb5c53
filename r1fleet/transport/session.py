"""What all sessions share: an agent that is started once, and again where it could not be started at first."""

from __future__ import annotations

import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from r1fleet.errors import FleetError
from r1fleet.transport import refusals
from r1fleet.transport.fetch import fetch, fetching
from r1fleet.transport.link import Link, Sink
from r1fleet.transport.protocol import Become, Call, Completed, Reply
from r1fleet.transport.wire import Wire


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """How a host's agent is started: interpreter (None: look for one), temporary folder, further modules."""

    interpreter: str | None = None
    temporary: str | None = None
    modules: Mapping[str, str] = field(default_factory=dict)


_FREELY = Become()
"""Root, by a sudo that is given no password."""


class AgentSession(ABC):
    """A session whose calls go to one agent; subclasses bring the wire and the plain command."""

    def __init__(self, name: str, settings: AgentSettings) -> None:
        self._name = name
        self._settings = settings
        self._starting = threading.Lock()
        self._link: Link | None = None
        self._closed = False

    @property
    def name(self) -> str:
        """The host's inventory name."""
        return self._name

    def start(self, become: Become | None = None) -> None:
        """Start the agent, as the identity that most calls will want where that can be had without a password.

        A host without Python stays open for plain commands that may install it.
        """
        with suppress(refusals.NoPython):  # told again by the first call that needs the agent
            self._agent(become)

    def submit(self, call: Call, on_output: Callable[[str], None] | None = None) -> Future[Reply]:
        """Queue one module run and return at once; ``future.cancel()`` stops it on the host."""
        return self._submit(call, on_output, None)

    def run(self, call: Call) -> Reply:
        """Submit and wait."""
        return self.submit(call).result()

    @abstractmethod
    def execute(self, command: str, *, stdin: bytes = b"", timeout: float | None = None) -> Completed:
        """Run one shell command without the agent."""

    @abstractmethod
    def pipe(self, command: str) -> Wire:
        """Start one shell command without the agent, and return the stream to it."""

    def fetch(self, path: str, target: Path, *, become: Become | None = None, rate: int = 0) -> Reply:
        """Stream the host's file ``path`` to ``target`` atomically, at most ``rate`` bytes a second unless 0."""
        call = fetching(path, become, rate)
        return fetch(self._name, lambda call, sink: self._submit(call, None, sink), call, target)

    def farewell(self) -> None:
        """Tell the agent to end, without waiting, so that many sessions can end at once."""
        if self._link is not None:
            self._link.farewell()

    def close(self) -> None:
        """End the agent and everything it still runs; safe to call twice."""
        self._closed = True
        if self._link is not None:
            self._link.close()
        self._disconnect()

    @abstractmethod
    def _wire(self, nonce: str, interpreter: str | None, *, elevated: bool) -> Wire:
        """Start the agent's process, as root by sudo where ``elevated``, and return the stream to it."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Let go of what carries the wire."""

    def _submit(self, call: Call, on_output: Callable[[str], None] | None, sink: Sink | None) -> Future[Reply]:
        try:
            return self._agent().submit(call, on_output, sink)
        except FleetError as error:
            failed: Future[Reply] = Future()
            failed.set_exception(error)
            return failed

    def _agent(self, become: Become | None = None) -> Link:
        with self._starting:
            if self._closed:
                raise refusals.closed(self._name)
            if self._link is None and become == _FREELY:
                # Where sudo refuses, or asks, the agent of the user who logs in has the words for it.
                with suppress(refusals.NotStarted):
                    self._link = self._begin(elevated=True)
            if self._link is None:
                self._link = self._begin(elevated=False)
            return self._link

    def _begin(self, *, elevated: bool) -> Link:
        nonce = uuid.uuid4().hex
        wire = self._wire(nonce, self._settings.interpreter, elevated=elevated)
        link = Link(self._name, wire, nonce, elevated=elevated)
        link.start(modules=self._settings.modules, temporary=self._settings.temporary)
        return link
