"""What a launch is told, and what it tells."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from r1fleet.errors import ExitCode
from r1fleet.inventory import Host
from r1fleet.launch.attach import Terminal


def who() -> str:
    """Name the person and the controller, for locks and journals."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """How to launch: ``hosts`` are the inventory's, ``replace`` stops another plan first, ``detach`` does not wait.

    ``api_key`` is the value that the deployment's reference stood for; ``force`` names checks that may fail;
    ``terminal`` is where a person types what an interactive job is asked; ``dry_run`` ends before the first change.
    """

    hosts: Mapping[str, Host]
    api_key: str = field(default="", repr=False)
    replace: bool = False
    detach: bool = False
    dry_run: bool = False
    terminal: Terminal | None = None
    force: frozenset[str] = frozenset()
    tail: int = 30
    interval: float = 0.5
    by: str = field(default_factory=who)


@dataclass(frozen=True, slots=True)
class LaunchResult:
    """How a launch went; failures are raised.

    ``state`` is ready, already ready, done (a job), detached, interrupted, rolled back, superseded or dry run.
    ``outputs`` are where a job's answers are kept, as `host:path`.
    """

    deployment: str
    state: str
    generation: int
    endpoints: tuple[str, ...] = ()
    model: str = ""
    sample: str = ""
    seconds: float = 0.0
    detail: str = ""
    outputs: tuple[str, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """0 when ready or left alone on purpose, 99 when Ctrl-C ended the watch or rolled back."""
        if self.state in ("rolled back", "interrupted"):
            return ExitCode.INTERRUPTED
        return ExitCode.HOST_FAILED if self.state == "superseded" else ExitCode.OK
