"""What an inventory is, once read: frozen hosts and groups in Ansible's order."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from r1fleet.errors import InventoryError
from r1fleet.inventory.patterns import LOCALHOST, Names, matching, nearest

# What the implicit localhost has of its own.
LOCAL: Mapping[str, Any] = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}


@dataclass(frozen=True, slots=True)
class Host:
    """One host with the variables that the inventory gives it (group and host variables already merged).

    ``variables`` holds raw values: strings that a file wrote are templates (see ``r1fleet.inventory.source``).
    ``groups`` holds all groups it is in, also through their children, sorted, without ``all``.
    """

    name: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    groups: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """The address for SSH: ``ansible_host``, else the name."""
        return str(self.variables.get("ansible_host") or self.name)

    @property
    def is_local(self) -> bool:
        """Whether the agent runs as a local subprocess."""
        return self.variables.get("ansible_connection") == "local"


@dataclass(frozen=True, slots=True)
class Group:
    """One group: its own variables, its child groups, and all hosts below it.

    Its own hosts come first, in the file's order, then those of its children, level by level, as in Ansible.
    """

    name: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    children: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Layers:
    """Where variables come from before they are merged.

    ``groups`` and ``hosts`` are what the inventory file itself gives them, ``ranks`` the order of its groups, and
    ``folders`` hold ``group_vars/`` and ``host_vars/``: the inventory's folder, then a playbook's.
    """

    groups: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    hosts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ranks: Mapping[str, tuple[int, int, str]] = field(default_factory=dict)
    folders: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Inventory:
    """One cluster, named by the file's stem: hosts in the order of group ``all``, groups in the file's order."""

    name: str
    path: Path | None
    hosts: Mapping[str, Host]
    groups: Mapping[str, Group]
    warnings: tuple[str, ...] = ()
    limited: frozenset[str] | None = None
    layers: Layers = field(default_factory=Layers, repr=False, compare=False)
    implicit: Mapping[str, Any] = field(default_factory=lambda: dict(LOCAL), repr=False, compare=False)

    def host(self, name: str) -> Host:
        """Return the host called ``name``; ``localhost`` exists also where no file names it."""
        if name in self.hosts:
            return self.hosts[name]
        if name in LOCALHOST:
            return Host(name, self.implicit)
        raise InventoryError(f'inventory {self.name} has no host "{name}"', hint=nearest(name, self.hosts))

    def select(self, pattern: str, *, unknown: Callable[[str], None] | None = None) -> tuple[Host, ...]:
        """Return the hosts that an Ansible host pattern names, within the limit.

        A part that matches nothing is an error, or, where ``unknown`` is given, told to it and left out.
        """
        names = matching(pattern, self._names(), unknown=unknown)
        return tuple(self.host(name) for name in names if self.limited is None or name in self.limited)

    def limit(self, pattern: str) -> Inventory:
        """Keep ``select`` to the hosts of ``pattern``, or of the patterns in ``@file``; groups stay whole."""
        chosen = frozenset(matching(_from_file(pattern), self._names()))
        if self.limited is not None:
            chosen &= self.limited
        if not chosen:
            raise InventoryError(
                f'the limit "{pattern}" leaves no host', hint=f"hosts: {', '.join(list(self.hosts)[:12])}"
            )
        return replace(self, limited=chosen)

    def _names(self) -> Names:
        return Names(tuple(self.hosts), {name: group.hosts for name, group in self.groups.items()})


def magic(inventory: Inventory, host: Host) -> dict[str, Any]:
    """Return the variables that the inventory itself gives every host."""
    path = inventory.path
    return {
        "groups": {name: list(group.hosts) for name, group in inventory.groups.items()},
        "group_names": list(host.groups),
        "inventory_hostname": host.name,
        "inventory_hostname_short": host.name.split(".")[0],
        "inventory_dir": None if path is None else str(path.parent),
        "inventory_file": None if path is None else str(path),
    }


def _from_file(pattern: str) -> str:
    if not pattern.startswith("@"):
        return pattern
    path = Path(os.path.expanduser(pattern[1:]))  # noqa: PTH111  (Path.expanduser raises for an unknown user)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise InventoryError(f"cannot read the limit from {path}: {problem}") from problem
    return ",".join(line.strip() for line in lines if line.strip() and not line.startswith("#"))
