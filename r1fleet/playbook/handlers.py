"""Notifications: which handlers a name means, and in which order they run."""

from __future__ import annotations

from r1fleet.errors import FleetError, PlaybookError
from r1fleet.playbook.inherit import as_tuple
from r1fleet.playbook.keywords import nearest
from r1fleet.playbook.model import Task
from r1fleet.playbook.scope import Scope
from r1fleet.playbook.state import HostState, RunState
from r1fleet.playbook.templating import render, render_text
from r1fleet.playbook.variables import scope_of


def notify(run: RunState, task: Task, state: HostState) -> None:
    """Note that a changed task wants its handlers to run on a host; raise for a name that no handler has."""
    scope = scope_of(run, state, task)
    for raw in task.settings.notify:
        for name in as_tuple(render(raw, scope)):
            found = named(run, str(name), scope)
            if not found:
                raise PlaybookError(
                    f"The requested handler {str(name)!r} was not found in either the main handlers list "
                    "nor in the listening handlers list",
                    where=task.where,
                    hint=_nearest(run, str(name), scope),
                )
            state.notified.update(id(handler) for handler in found)


def _nearest(run: RunState, name: str, scope: Scope) -> str:
    handlers = run.current.handlers
    known = [title for handler in handlers for title in (_title(handler, scope), *handler.listen) if title]
    return nearest(name, known) or (f"this play has {', '.join(map(repr, known))}" if known else "this play has none")


def named(run: RunState, name: str, scope: Scope) -> list[Task]:
    """Return the handlers of a name: the last one called so, and each that listens to it."""
    found: list[Task] = []
    for handler in reversed(run.current.handlers):
        title = _title(handler, scope)
        if title and name in _names(handler, title):
            found.append(handler)
            break
    seen: set[str] = set()
    for handler in reversed(run.current.handlers):
        title = _title(handler, scope)
        if name in handler.listen and (not title or title not in seen):
            seen.add(title)
            found.append(handler)
    return found


def _title(handler: Task, scope: Scope) -> str:
    try:
        return render_text(handler.name, scope) if handler.name else ""
    except FleetError:
        return ""


def _names(handler: Task, title: str) -> set[str]:
    """Return what a handler may be called: its name, alone or behind its role's, short or in full."""
    role = handler.role
    return {title, f"{role.name} : {title}", f"{role.title} : {title}"} if role is not None else {title}
