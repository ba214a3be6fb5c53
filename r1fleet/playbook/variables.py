"""Ansible's precedence: which of many origins a variable comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from r1fleet.playbook.magic import Magic
from r1fleet.playbook.model import RoleUse, Task
from r1fleet.playbook.scope import Scope
from r1fleet.playbook.state import HostState, RunState
from r1fleet.playbook.templating import render_lazy


def scope_of(run: RunState, state: HostState, task: Task | None = None) -> Scope:
    """Return the variables that a task sees on a host, the strongest first."""
    play = run.play
    role = task.role if task is not None else None
    layers: list[Mapping[str, Any]] = [
        Magic(run, state, task, lambda name: scope_of(run, run.host(name))),
        run.options.extra_vars,
    ]
    if task is not None and task.params:
        layers.append(task.params)
    if role is not None:
        layers += [use.params for use in _chain(role) if use.params]
    layers += [state.fresh, state.included]
    if task is not None:
        layers += reversed(task.settings.vars)
    if role is not None:
        layers += [part for use in _chain(role) for part in (use.given, use.vars)]
    if play is not None:
        layers += [use.vars for use in reversed(play.uses)]
        layers += [state.files, play.prompted, play.play.vars]
    layers += [state.cached, _Facts(state), state.facts, state.host.variables]
    if role is not None:
        layers += [use.defaults for use in _chain(role)]
        layers += [use.defaults for use in reversed(role.dependencies)]
    if play is not None:
        layers += [use.defaults for use in reversed(play.uses)]
    if task is not None:
        layers.append(_reached(state, task))
    growing = (state.fresh, state.included)  # what a loop's earlier turns set is seen by the later ones
    return Scope([layer for layer in layers if layer or any(layer is each for each in growing)], render_lazy)


def _reached(state: HostState, task: Task) -> Mapping[str, Any]:
    """How a host is reached where nothing says so: a task sees it, other hosts do not."""
    return {"ansible_host": state.name, "ansible_connection": task.settings.connection or "ssh"}


class _Facts(Mapping[str, Any]):
    """``ansible_facts``: facts by their names without ``ansible_``."""

    def __init__(self, state: HostState) -> None:
        self._state = state

    def __getitem__(self, name: str) -> Any:
        if name != "ansible_facts":
            raise KeyError(name)
        return {
            key.removeprefix("ansible_"): value for key, value in {**self._state.facts, **self._state.cached}.items()
        }

    def __iter__(self) -> Iterator[str]:
        return iter(("ansible_facts",))

    def __len__(self) -> int:
        return 1


def _chain(role: RoleUse) -> list[RoleUse]:
    """Return a role and those around it, the innermost first."""
    return [role, *reversed(role.parents)]
