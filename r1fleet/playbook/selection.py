"""Which hosts a play is about, in which order."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from r1fleet.events import Note
from r1fleet.playbook.inherit import as_tuple
from r1fleet.playbook.model import Play
from r1fleet.playbook.scope import Scope
from r1fleet.playbook.state import HostState, RunState
from r1fleet.playbook.templating import render, render_lazy

_ORDERS: Mapping[str, Callable[[list[HostState]], list[HostState]]] = {
    "inventory": list,
    "reverse_inventory": lambda states: states[::-1],
    "sorted": lambda states: sorted(states, key=lambda state: state.name),
    "reverse_sorted": lambda states: sorted(states, key=lambda state: state.name, reverse=True),
    "shuffle": lambda states: random.sample(states, len(states)),
}


def hosts_of(run: RunState, play: Play) -> tuple[HostState, ...]:
    """Return the play's hosts that are still alive."""
    scope = scope_of_play(run, play)
    pattern = ",".join(str(part) for part in as_tuple(render(play.hosts, scope)))

    def unknown(what: str) -> None:
        run.observer(Note(f'hosts: no host or group matches "{what}"', "warning"))

    states = [run.host(host.name) for host in run.inventory.select(pattern, unknown=unknown)]
    order = str(render(play.keyword("order", "inventory"), scope))
    return tuple(_ORDERS[order]([state for state in states if not (state.failed or state.unreachable)]))


def scope_of_play(run: RunState, play: Play) -> Scope:
    """Return the variables that belong to no host."""
    return Scope([run.options.extra_vars, play.vars, {"playbook_dir": str(play.folder)}], render_lazy)
