"""From the command line to clusters: inventories with rendered variables, and the way to their hosts."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import typer

from r1fleet.cli.connect import connector
from r1fleet.cli.extra_vars import parse_extra_vars
from r1fleet.cli.options import secret
from r1fleet.errors import UsageError
from r1fleet.inventory import Host, Inventory, load
from r1fleet.inventory.declared import deployment_names
from r1fleet.inventory.known import remembered
from r1fleet.playbook import resolve
from r1fleet.status import Access, root_on


@dataclass(frozen=True, slots=True)
class Reach:
    """How to get onto the hosts, as the command line says it."""

    user: str | None = None
    ask_become: bool = False
    ask_password: bool = False
    accept_new: bool = False
    extra_vars: Sequence[str] | None = None


class Fleet:
    """One cluster: its inventory, and every host's variables as plain values."""

    def __init__(self, inventory: Inventory, extra_vars: Mapping[str, Any]) -> None:
        self.inventory = inventory
        self._extra_vars = extra_vars
        self._rendered: dict[str, Mapping[str, Any]] = {}

    def variables_of(self, host: Host) -> Mapping[str, Any]:
        """Render a host's variables, once."""
        if host.name not in self._rendered:
            self._rendered[host.name] = resolve(self.inventory, host, self._extra_vars)
        return self._rendered[host.name]

    @cached_property
    def hosts(self) -> dict[str, Host]:
        """The hosts with plain variables, in inventory order."""
        return {name: replace(host, variables=self.variables_of(host)) for name, host in self.inventory.hosts.items()}

    @property
    def plain(self) -> Inventory:
        """The inventory with plain variables."""
        return replace(self.inventory, hosts=self.hosts)

    @cached_property
    def deployments(self) -> tuple[str, ...]:
        """The names of the deployments that the inventory declares."""
        return deployment_names(self.inventory, self.variables_of)


def fleets(inventories: Sequence[Path] | None, reach: Reach) -> tuple[Fleet, ...]:
    """Load the inventories given, else those provisioned or launched from this controller."""
    extra = parse_extra_vars(reach.extra_vars)
    if reach.user:
        extra["ansible_user"] = reach.user
    return tuple(Fleet(load(path), extra) for path in inventories or remembered())


def one_deployment(found: Sequence[Fleet], name: str | None) -> tuple[Fleet, str]:
    """Find the deployment that is meant; asks on a terminal where several could be."""
    every = [(fleet, each) for fleet in found for each in fleet.deployments]
    meant = [pair for pair in every if name in (None, pair[1])]
    if not meant:
        raise absent(found, name)
    if len(meant) == 1:
        return meant[0]
    alone = len({fleet.inventory.name for fleet, _ in meant}) == 1
    names = [each if alone else f"{fleet.inventory.name}/{each}" for fleet, each in meant]
    return meant[_pick("deployment", names, "its name" if alone else "its name and -i")]


def absent(found: Sequence[Fleet], name: str | None) -> UsageError:
    """Say that no inventory names a deployment, and which ones there are."""
    clusters = ", ".join(fleet.inventory.name for fleet in found) or "any known inventory"
    known = list(dict.fromkeys(each for fleet in found for each in fleet.deployments))
    near = difflib.get_close_matches(name or "", known, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    what = f"no deployment {name} in {clusters}{meant}" if name else f"no deployment in {clusters}"
    none = "add `deployments:` to the inventory's variables (docs/deployments.md)"
    return UsageError(what, hint=f"known: {', '.join(known)}" if known else none)


def launched(found: Sequence[Fleet], name: str | None) -> tuple[Fleet, str | None]:
    """Find the cluster that is meant by a deployment which may be known to the hosts alone."""
    if len(found) == 1 and (name is not None or len(found[0].deployments) != 1):
        return found[0], name
    return one_deployment(found, name)


def access(reach: Reach) -> Access:
    """Make the way to the hosts; asks for passwords where told to."""
    become_password = secret("sudo password") if reach.ask_become else None
    password = secret("SSH password") if reach.ask_password else None
    transport = connector(accept_new=reach.accept_new, password=password)
    return Access(transport, lambda host: root_on(host, become_password))


def _pick(kind: str, names: Iterable[str], how: str) -> int:
    listed = list(names)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"several {kind}s could be meant: {', '.join(listed)}", hint=f"say which: {how}")
    for number, name in enumerate(listed, 1):
        typer.echo(f"  {number}  {name}", err=True)
    answer: int = typer.prompt(f"which {kind}", type=int, err=True)
    if not 1 <= answer <= len(listed):
        raise UsageError(f"there is no {kind} number {answer}")
    return answer - 1
