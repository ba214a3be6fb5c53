"""What a swarm is told: its members, its limits, and where hosts get the program's library from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from r1fleet.transport.protocol import Become, Session

STATE = "/var/lib/r1fleet/swarm"


@dataclass(frozen=True, slots=True)
class Member:
    """One host of a swarm: its session, and where the other members reach it.

    ``session`` must be free: a long call on it (a download) holds up the swarm, so that needs a session of its own.
    ``interface`` binds the host's connections to one network interface; empty, its address alone does. ``state`` is
    where the host keeps the swarm's files while it lasts. ``reopen`` opens another session where this one was lost.
    """

    session: Session
    address: str
    interface: str = ""
    become: Become | None = None
    state: str = STATE
    reopen: Callable[[], Session] | None = None

    @property
    def name(self) -> str:
        """The host's inventory name."""
        return self.session.name


@dataclass(frozen=True, slots=True)
class Platform:
    """For which Python and machine a host needs the library: ``3.11``, ``x86_64``, glibc 2.``36``."""

    python: str
    machine: str
    glibc: int


WheelFor = Callable[[Platform], Path | None]
"""Returns libtorrent's wheel for a platform, downloaded on the controller; None where there is none that fits."""


def no_wheel(platform: Platform) -> Path | None:
    """Have no wheel for any platform, so that every host gets a streamed copy."""
    return None


@dataclass(frozen=True, slots=True)
class SwarmSettings:
    """Limits of one transfer.

    ``first_port`` is the first of ``sessions`` ports that hosts listen on. ``rate`` is in bytes a second and host, each
    way, 0 without limit. ``sessions`` is how many processes share the groups on every host, 0 to choose by the links'
    speed. A group is sealed once it has ``group_bytes``. ``patience`` is how many seconds a lost host is waited for
    after all others have everything; ``idle`` how many a host goes on by itself while nothing moves.
    """

    wheel_for: WheelFor = no_wheel
    first_port: int = 26881
    rate: int = 0
    sessions: int = 0
    group_bytes: int = 1 << 30
    patience: float = 60.0
    idle: float = 900.0
    reuse: tuple[str, ...] = ()
    """Folders on the targets whose files are taken over where they are the same, beside the published folder itself."""
