"""What can go wrong: every error says what, where, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes that r1fleet documents."""

    OK = 0
    HOST_FAILED = 2
    UNREACHABLE = 4
    USAGE = 5
    PREFLIGHT = 6
    LOCKED = 7
    INTERRUPTED = 99
    BUG = 250


@dataclass(frozen=True, slots=True)
class Where:
    """A place a person can go to: a file position, a host, a task."""

    path: str | None = None
    line: int | None = None
    column: int | None = None
    host: str | None = None
    task: str | None = None

    def __str__(self) -> str:
        position = ":".join(str(part) for part in (self.path, self.line, self.column) if part is not None)
        host = f"host {self.host}" if self.host else ""
        task = f'task "{self.task}"' if self.task else ""
        return ", ".join(part for part in (position, host, task) if part)


class FleetError(Exception):
    """Base of every error that a user can cause; carries its exit code."""

    exit_code = ExitCode.USAGE

    def __init__(self, what: str, *, where: Where | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        """Text of one error: where, what, and the hint on a line of its own."""
        place = f"{self.where}: " if self.where else ""
        hint = f"\n  hint: {self.hint}" if self.hint else ""
        return f"{place}{self.what}{hint}"


class UsageError(FleetError):
    """The command line, an inventory, a playbook or a spec is wrong; nothing was touched."""


class InventoryError(UsageError):
    """The inventory cannot be read or contradicts itself."""


class SpecError(UsageError):
    """A deployment is wrong or cannot be planned."""


class PlaybookError(UsageError):
    """A playbook or role is wrong or outside the supported subset."""


class LabError(UsageError):
    """The lab cannot run here, or not as asked."""


class HostFailed(FleetError):
    """A host refused or failed what it was asked to do."""

    exit_code = ExitCode.HOST_FAILED


class HostUnreachable(FleetError):
    """A host could not be reached, or was lost on the way."""

    exit_code = ExitCode.UNREACHABLE


class PreflightFailed(FleetError):
    """A check found something that would break the launch."""

    exit_code = ExitCode.PREFLIGHT


class Interrupted(FleetError):
    """The user pressed Ctrl-C."""

    exit_code = ExitCode.INTERRUPTED


class LockHeld(FleetError):
    """Another launch holds the deployment's lock."""

    exit_code = ExitCode.LOCKED
