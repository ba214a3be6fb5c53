"""The one seam between use cases and hosts, and the only place where tests substitute a fake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from r1fleet.inventory import Host
from r1fleet.transport.wire import Wire

Reply = dict[str, Any]
"""What a module returned, plain JSON data; ``failed: true`` with ``msg`` where it failed."""


@dataclass(frozen=True, slots=True)
class Become:
    """Another identity on the host; the password never appears in a representation, an argv or a log."""

    user: str = "root"
    method: str = "sudo"
    flags: str = ""
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Blob:
    """Content that travels only when the host asks for it, because its hash differs."""

    sha256: str
    size: int
    open: Callable[[], BinaryIO]


@dataclass(frozen=True, slots=True)
class Call:
    """One run of one module on one host.

    ``module`` is a file stem of ``r1fleet/modules``. ``timeout`` is in seconds, None without limit. ``window`` names
    a window and the task in it: calls go ahead without waiting for the results of those before, but once a call has
    failed, no call of a later task of the same window runs; it is answered ``{"unrun": true}``.
    """

    module: str
    args: Mapping[str, Any] = field(default_factory=dict)
    become: Become | None = None
    check: bool = False
    diff: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None
    blobs: tuple[Blob, ...] = ()
    window: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Completed:
    """The end of a plain command: exit status and what it wrote, bounded in size."""

    rc: int
    stdout: bytes
    stderr: bytes


class Session(Protocol):
    """An open way to one host; calls run there one after the other, in the order submitted."""

    @property
    def name(self) -> str:
        """The host's inventory name."""

    def submit(self, call: Call, on_output: Callable[[str], None] | None = None) -> Future[Reply]:
        """Queue one module run and return at once.

        The future yields the reply, or raises HostUnreachable when the host is lost, HostFailed when the
        identity could not be taken on (no sudo, wrong password).
        """

    def run(self, call: Call) -> Reply:
        """Submit and wait."""

    def execute(self, command: str, *, stdin: bytes = b"", timeout: float | None = None) -> Completed:
        """Run one shell command over a channel of its own, without the agent (raw, script, bootstrap)."""

    def pipe(self, command: str) -> Wire:
        """Start one shell command without the agent, and return the stream to it."""

    def fetch(self, path: str, target: Path, *, become: Become | None = None, rate: int = 0) -> Reply:
        """Stream the host's file ``path`` to ``target`` atomically; reply has sha256 and size.

        ``rate`` is in bytes a second, 0 without limit.
        """

    def close(self) -> None:
        """End the agent and everything it still runs on the host; safe to call twice."""


class Transport(Protocol):
    """Opens sessions; thread-safe, one session per host at a time."""

    def open(self, host: Host, become: Become | None = None) -> Session:
        """Connect and start the agent; raises HostUnreachable with cause and hint.

        ``become`` is the identity that most calls will want; each call still says its own.
        """

    def close(self) -> None:
        """Close every session that is still open."""
