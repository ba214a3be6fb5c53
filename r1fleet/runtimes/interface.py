"""What a runtime is: it keeps a command alive on a host; pure functions from a process to commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from r1fleet.command import Command

if TYPE_CHECKING:  # pydantic takes long to import, and whoever only looks at processes needs none of it
    from r1fleet.spec import Container


@dataclass(frozen=True, slots=True)
class Image:
    """What only a container needs: the image, how it is run, and the host's folders that it may read."""

    name: str
    container: Container
    read_only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Process:
    """One rank's process as a runtime sees it.

    ``name`` is unique on a host (``r1fleet-<deployment>-<replica>-<rank>``); ``directory`` is the generation's
    folder on the host; ``log`` collects standard output and error; ``exit_record`` is a file that gets
    ``result code status`` when the process ends; ``secrets`` is a 0400 file of NAME=value lines that the entry sources
    (``secrets_text`` writes them). The folders of ``log`` and ``exit_record`` must be there before the start.
    ``stdin`` is a FIFO that is its standard input, never at its end while the process lives (None: there is no input);
    ``output`` gets standard output where that is a result, and the log the rest.
    ``restarts`` is how often the host itself starts it again after a failure; ``log_limit`` is how many bytes of its
    log are kept (0: all).
    ``limits`` are resource limits by Docker's names; ``labels`` tell people and other tools what the process belongs
    to; ``image`` is None outside containers.
    """

    name: str
    command: Command
    user: str
    directory: str
    log: str
    exit_record: str
    secrets: str | None = None
    stdin: str | None = None
    output: str | None = None
    stop_seconds: int = 20
    restarts: int = 0
    log_limit: int = 0
    description: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    limits: tuple[tuple[str, str], ...] = ()
    image: Image | None = None


def owner_of(process: Process) -> str:
    """Return who reads a process's secrets on its host: its user's name, or the number that a container has."""
    image = process.image
    return image.container.user if image is not None and image.container.user else process.user


@dataclass(frozen=True, slots=True)
class HostFile:
    """A file that must be on the host before the start."""

    path: str
    content: str
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class ProcessState:
    """What a runtime tells of a process: running, exited, failed or absent, with exit status where known.

    ``ended`` is when it ended, in seconds of the host's monotonic clock, where the runtime knows; ``image`` is the id
    of its container's image.
    """

    state: str
    status: int | None = None
    since: str = ""
    pid: int | None = None
    ended: float | None = None
    image: str = ""


class Runtime(Protocol):
    """Start, stop, inspect, logs; every method is pure, launch runs what it returns."""

    def files(self, process: Process) -> tuple[HostFile, ...]:
        """Files to write before the start (entry script, unit)."""

    def start(self, process: Process) -> Command:
        """Start the process; returns at once, fails when the name is taken."""

    def again(self, process: Process) -> Command:
        """Start the process after a reboot, when nothing of it runs but all of its files are there."""

    def stop(self, process: Process) -> Command:
        """Stop the whole cgroup or container, with ``stop_seconds`` before SIGKILL; no error when absent."""

    def inspect(self, process: Process) -> Command:
        """Tell the process's state."""

    def parse(self, stdout: str) -> ProcessState:
        """Read what ``inspect`` printed."""
