"""What a run knows while it goes: hosts with their facts and results, the play at hand, the counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from r1fleet.events import HostCounts, Observer
from r1fleet.inventory import Host, Inventory
from r1fleet.inventory.growing import with_host
from r1fleet.playbook.model import Play, RoleUse, Task
from r1fleet.playbook.options import Options

_CONNECTION = re.compile(
    r"^ansible_(host|port|user|password|private_key_file|connection|timeout|remote_tmp|become.*|.*_interpreter"
    r"|ssh_(?!host_key_).*)$"
)


@dataclass(slots=True, eq=False)
class HostState:
    """One host in a run: its variables by origin, and whether it still takes part."""

    host: Host
    facts: dict[str, Any] = field(default_factory=dict)  # by the names that modules gave them
    cached: dict[str, Any] = field(default_factory=dict)  # set_fact with cacheable
    fresh: dict[str, Any] = field(default_factory=dict)  # set_fact and registered results
    included: dict[str, Any] = field(default_factory=dict)  # include_vars
    files: dict[str, Any] = field(default_factory=dict)  # the play's vars_files, for this host
    notified: set[int] = field(default_factory=set)  # handlers, by identity
    failed: bool = False
    unreachable: bool = False
    ended: bool = False
    ahead: bool = False  # of other hosts, in a window
    cleared: bool = False  # `meta: clear_host_errors` has been here
    pardoned: bool = False  # its failures are forgotten: it is back in the next play
    turns: dict[str, int] = field(default_factory=dict)  # of each use that is made once in a play, the one made here
    left: list[RoleUse] = field(default_factory=list)  # roles that `meta: end_role` has ended here
    counts: HostCounts = field(default_factory=HostCounts)

    @property
    def name(self) -> str:
        """The host's inventory name."""
        return self.host.name

    @property
    def running(self) -> bool:
        """Whether further tasks run here."""
        return not (self.failed or self.unreachable or self.ended)

    def has_left(self, task: Task) -> bool:
        """Tell whether the host has left the role of a task, or one around it, or had that use of it already."""
        if task.role is None:
            return False
        if task.role.turn is not None:
            use, number = task.role.turn
            if self.turns.setdefault(use, number) != number:
                return True
        if not self.left:
            return False
        around = (task.role, *task.role.parents)
        return any(each is left for each in around for left in self.left)

    def count(self, **more: int) -> None:
        """Add to the host's line of the recap."""
        self.counts = replace(
            self.counts, **{name: getattr(self.counts, name) + number for name, number in more.items()}
        )

    def learn(self, facts: Mapping[str, Any]) -> None:
        """Keep facts that a module has found; a host does not say how it is connected to."""
        self.facts.update({name: value for name, value in facts.items() if not _CONNECTION.match(name)})


@dataclass(slots=True)
class PlayState:
    """The play at hand."""

    play: Play
    hosts: tuple[HostState, ...]  # all of the play
    batch: tuple[HostState, ...]
    handlers: list[Task]
    uses: list[RoleUse]  # of roles whose variables the whole play sees
    prompted: Mapping[str, Any] = field(default_factory=dict)
    stopped: bool = False
    free: bool = False  # hosts go their own way


class RunState:
    """One run of a playbook."""

    def __init__(
        self,
        inventory: Inventory,
        options: Options,
        observer: Observer,
        read_again: Callable[[], Inventory] | None = None,
    ) -> None:
        self.inventory = inventory
        self._read_again = read_again
        self.options = options
        self.observer = observer
        self.hosts: dict[str, HostState] = {}
        self.play: PlayState | None = None
        self.stats: dict[str, dict[str, Any]] = {}  # what set_stats keeps, by host, or of the run as a whole
        self.at: tuple[str, Task] | None = None  # the task that was last begun, with its title
        self.through: set[str] = set()  # hosts that have ended it
        self.starting = options.start_at_task is None  # False while --start-at-task is still looked for

    def host(self, name: str) -> HostState:
        """Return the state of a host; also of localhost and of hosts that only a delegation names."""
        if name not in self.hosts:
            known = name in self.inventory.hosts or name in {"localhost", "127.0.0.1", "::1"}
            self.hosts[name] = HostState(self.inventory.host(name) if known else Host(name))
        return self.hosts[name]

    @property
    def current(self) -> PlayState:
        """The play at hand."""
        assert self.play is not None
        return self.play

    def refresh(self) -> None:
        """Read the inventory again; hosts that only this run had added are gone from it."""
        if self._read_again is None:
            return
        self.inventory = self._read_again()
        for name, state in self.hosts.items():
            state.host = self.inventory.hosts.get(name, state.host)

    def add_host(self, name: str, groups: Iterable[str], variables: Mapping[str, Any]) -> bool:
        """Add a host, or put one into more groups; tell whether anything is new."""
        old = self.inventory.hosts.get(name)
        self.inventory = with_host(self.inventory, name, groups, variables)
        self.host(name).host = self.inventory.hosts[name]
        return self.inventory.hosts[name] != old
