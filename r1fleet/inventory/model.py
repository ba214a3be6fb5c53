"""What an inventory is, once read: frozen hosts and groups in the file's own order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Host:
    """One host with the variables that the inventory gives it (group and host variables already merged).

    ``variables`` holds raw values: strings that a file wrote are templates (see ``r1fleet.inventory.source``).
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
    """One group: its own variables, its child groups, and all hosts below it in inventory order."""

    name: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    children: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Inventory:
    """One cluster: hosts and groups in the order of the file, named by the file's stem."""

    name: str
    path: Path | None
    hosts: Mapping[str, Host]
    groups: Mapping[str, Group]
