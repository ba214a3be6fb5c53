"""A host's variables as plain values, for use cases that run no playbook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from r1fleet.events import ignore
from r1fleet.inventory import Host, Inventory
from r1fleet.playbook.options import Options
from r1fleet.playbook.scope import Scope
from r1fleet.playbook.state import RunState
from r1fleet.playbook.templating import render
from r1fleet.playbook.variables import scope_of


class Resolved(Mapping[str, Any]):
    """Variables that are rendered when asked for; an undefined one inside is an error with its position."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def __getitem__(self, name: str) -> Any:
        if name not in self._scope:
            raise KeyError(name)
        return render(self._scope.raw(name), self._scope)

    def __iter__(self) -> Iterator[str]:
        return iter(self._scope)

    def __len__(self) -> int:
        return len(self._scope)


def resolve(inventory: Inventory, host: Host, extra_vars: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """Return a host's variables, each rendered with all the others."""
    run = RunState(inventory, Options(extra_vars=extra_vars or {}), ignore)
    return Resolved(scope_of(run, run.host(host.name)))
