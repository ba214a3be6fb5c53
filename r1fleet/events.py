"""What use cases tell while they work; the console renders it, use cases never print."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events; every field is plain data, so that any event is one JSON line."""


Observer = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Observe nothing."""


# --- any long work ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step(Event):
    """A named part of a long job has begun, moved on or ended.

    ``state`` is one of running, done, failed, skipped; ``done`` and ``total`` are in ``unit`` (bytes, files,
    hosts), ``total`` 0 when unknown; ``host`` is empty where the step belongs to the controller.
    """

    name: str
    state: str = "running"
    detail: str = ""
    host: str = ""
    done: int = 0
    total: int = 0
    unit: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Transfer(Step):
    """A step that moves bytes between hosts, with what moves right now.

    ``rate`` and ``sending`` are bytes a second in and out, ``sent`` bytes so far; ``left`` is in seconds, 0 when
    unknown; ``verifying`` names the files whose hash is being looked at.
    """

    rate: float = 0.0
    sending: float = 0.0
    sent: int = 0
    peers: int = 0
    left: float = 0.0
    verifying: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Note(Event):
    """One line for the reader; ``level`` is info, warning or error."""

    text: str
    level: str = "info"
    host: str = ""


# --- playbooks -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlayStarted(Event):
    """A play begins on ``hosts``, in inventory order."""

    name: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TaskStarted(Event):
    """A task (or handler) begins; ``where`` is file:line."""

    name: str
    action: str
    role: str = ""
    where: str = ""
    handler: bool = False


@dataclass(frozen=True, slots=True)
class ItemResult(Event):
    """One item of a loop has ended on one host; the fields are as in TaskResult."""

    host: str
    task: str
    label: str
    status: str
    result: Mapping[str, Any] = field(default_factory=dict)
    role: str = ""
    where: str = ""
    delegate: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class TaskResult(Event):
    """A task has ended on one host.

    ``status`` is ok, changed, failed, skipped, unreachable, ignored (failed, but ``ignore_errors``) or rescued;
    ``delegate`` is the host where the work was done, if that was another, and ``address`` its address, if it has one
    beside its name.
    """

    host: str
    task: str
    status: str
    result: Mapping[str, Any] = field(default_factory=dict)
    role: str = ""
    action: str = ""
    where: str = ""
    looped: bool = False
    seconds: float = 0.0
    delegate: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class HostCounts:
    """One host's line of the recap."""

    ok: int = 0
    changed: int = 0
    unreachable: int = 0
    failed: int = 0
    skipped: int = 0
    rescued: int = 0
    ignored: int = 0


RUN = ""
"""The name under which figures of the whole run stand, beside those of hosts."""


@dataclass(frozen=True, slots=True)
class Recap(Event):
    """The end of a playbook run: counts per host, in inventory order; failures of ``pardoned`` hosts were forgotten.

    ``stats`` holds what set_stats kept, by host; what is the whole run's stands under ``RUN``.
    """

    hosts: Mapping[str, HostCounts]
    seconds: float = 0.0
    pardoned: tuple[str, ...] = ()
    stats: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


# --- gangs -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RankState(Event):
    """A rank's state has changed: starting, running, ready, done, failed, stopping or stopped.

    ``detail`` tells how far it is on its way, or why it failed.
    """

    deployment: str
    rank: int
    host: str
    state: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class WouldRun(Event):
    """What a launch would write on one host, run there, and compare: one hash of arguments for each rank."""

    deployment: str
    host: str
    writes: tuple[str, ...]
    commands: tuple[str, ...]
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogSources(Event):
    """Whose logs follow: ranks of one generation of a deployment, as (replica, rank, host)."""

    deployment: str
    generation: int
    ranks: tuple[tuple[int, int, str], ...]


@dataclass(frozen=True, slots=True)
class LogLines(Event):
    """Lines that a rank has written."""

    deployment: str
    rank: int
    host: str
    lines: tuple[str, ...]
    replica: int = 0


@dataclass(frozen=True, slots=True)
class Said(Event):
    """A piece of a model's answer, as it comes; ``thought`` where it is reasoning that leads to the answer."""

    deployment: str
    text: str
    thought: bool = False


@dataclass(frozen=True, slots=True)
class Output(Event):
    """What a job has answered since the last time; text that may end in the middle of a line."""

    deployment: str
    rank: int
    host: str
    text: str


@dataclass(frozen=True, slots=True)
class EndpointReady(Event):
    """A real completion has answered; ``sample`` is its text."""

    deployment: str
    url: str
    model: str
    sample: str
    seconds: float
