"""What a host's variables gain from a result."""

from __future__ import annotations

from typing import Any

from r1fleet.playbook.model import Task
from r1fleet.playbook.state import HostState
from r1fleet.transport import Reply


def learn(task: Task, state: HostState, target: HostState, result: Reply) -> None:
    """Keep the facts of one result: set_fact's and include_vars' with the host, found ones with whom they are about."""
    facts = result.get("ansible_facts")
    if (
        not isinstance(facts, dict) or result.get("failed") or task.action == "debug"
    ):  # which shows a variable of that name
        return
    owner = target if task.settings.delegate_facts is True else state
    if task.action == "set_fact":
        owner.fresh.update(facts)
        if result.pop("_ansible_facts_cacheable", False):
            owner.cached.update(facts)
    elif task.action == "include_vars":
        owner.included.update(facts)
    else:
        owner.learn(facts)


def register(task: Task, state: HostState, result: Reply) -> None:
    """Keep what a task registers."""
    if task.register:
        state.fresh[task.register] = result


def share(task: Task, state: HostState, result: Reply) -> None:
    """Give a host what a ``run_once`` task has found on another."""
    parts: list[Any] = result.get("results", [result]) if isinstance(result.get("results"), list) else [result]
    for part in parts:
        if isinstance(part, dict) and task.settings.delegate_facts is not True:
            learn(task, state, state, part)
    register(task, state, result)
