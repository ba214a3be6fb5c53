"""What a playbook would do, without doing it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from r1fleet.errors import FleetError
from r1fleet.events import ignore
from r1fleet.inventory import Inventory
from r1fleet.playbook.model import Block, Node, Playbook, Task
from r1fleet.playbook.options import Options
from r1fleet.playbook.selection import hosts_of, scope_of_play
from r1fleet.playbook.state import RunState
from r1fleet.playbook.tags import chosen
from r1fleet.playbook.templating import render_text


@dataclass(frozen=True, slots=True)
class Listed:
    """One task of a list: its name, its role, its tags."""

    name: str
    role: str
    tags: tuple[str, ...]
    where: str


def list_hosts(playbook: Playbook, inventory: Inventory, options: Options) -> list[tuple[str, tuple[str, ...]]]:
    """Return each play's name with its hosts."""
    limited = inventory.limit(options.limit) if options.limit else inventory
    run = RunState(limited, options, ignore)
    return [(play.name, tuple(state.name for state in hosts_of(run, play))) for play in playbook.plays]


def list_tasks(playbook: Playbook, inventory: Inventory, options: Options) -> list[tuple[str, tuple[Listed, ...]]]:
    """Return each play's name with the tasks that tags choose; dynamic includes stand for what they include."""
    run = RunState(inventory, options, ignore)
    plays = []
    for play in playbook.plays:
        scope = scope_of_play(run, play)
        found = []
        for task in _tasks([node for section in play.sections for node in section]):
            try:
                tags = tuple(render_text(tag, scope) for tag in task.settings.tags)
            except FleetError:
                tags = tuple(map(str, task.settings.tags))
            if task.action != "meta" and chosen(tags, options.tags, options.skip_tags):
                found.append(Listed(task.title, task.role.title if task.role else "", tags, str(task.where)))
        plays.append((play.name, tuple(found)))
    return plays


def list_tags(playbook: Playbook, inventory: Inventory, options: Options) -> list[tuple[str, tuple[str, ...]]]:
    """Return each play's name with the tags of its tasks, sorted."""
    plays = list_tasks(playbook, inventory, options)
    return [(name, tuple(sorted({tag for task in tasks for tag in task.tags}))) for name, tasks in plays]


def _tasks(nodes: Sequence[Node]) -> Iterator[Task]:
    for node in nodes:
        if isinstance(node, Block):
            yield from _tasks((*node.body, *node.rescue, *node.always))
        else:
            yield node
