"""One task on one host, about to be done: everything an action needs to know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from r1fleet.errors import Where
from r1fleet.playbook.filters import to_bool
from r1fleet.playbook.kinds import is_truth
from r1fleet.playbook.model import Task
from r1fleet.playbook.scope import Scope, where_of
from r1fleet.playbook.secrecy import secrets_of, without
from r1fleet.playbook.sessions import Sessions, Way
from r1fleet.playbook.state import HostState, RunState
from r1fleet.playbook.templating import TemplateFailed, render, render_number
from r1fleet.transport import Become, Blob, Call, Reply, Session

_LONGEST = 100_000_000
_LATER = ("run_once", "ignore_errors", "ignore_unreachable", "any_errors_fatal", "delegate_facts")
"""Flags that count behind the task, or around it: a wrong one fails the task itself, as with Ansible."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a task is to be done."""

    become: Become | None = None
    check: bool = False
    diff: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None
    no_log: bool = False
    way: Way = field(default_factory=Way)


@dataclass(frozen=True, slots=True)
class Work:
    """A task with its arguments rendered, on the host that it is about and the host where it is done."""

    run: RunState
    sessions: Sessions
    state: HostState
    target: HostState
    task: Task
    scope: Scope
    args: Mapping[str, Any]
    manner: Manner

    @property
    def delegate(self) -> str:
        """The name of the host where the work is done, if that is another."""
        return "" if self.target is self.state else self.target.name

    async def session(self) -> Session:
        """Return the open session of the host where the work is done."""
        return await self.sessions.open(self.target, self.manner.way, self.manner.become)

    def call(self, module: str, args: Mapping[str, Any], blobs: tuple[Blob, ...] = ()) -> Call:
        """Return the call of a module in this task's manner."""
        manner = self.manner
        return Call(module, args, manner.become, manner.check, manner.diff, manner.environment, manner.timeout, blobs)

    async def submit(self, call: Call) -> Reply:
        """Run a call and wait for its reply."""
        session = await self.session()
        return without(secrets_of(call, self.task.own), await asyncio.wrap_future(session.submit(call)))

    async def blocking(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Run a function that waits for the host in a thread."""
        return await asyncio.to_thread(function, *args, **options)


def manner_of(run: RunState, task: Task, scope: Scope, target_scope: Scope) -> Manner:
    """Return how a task is to be done, its keywords rendered."""
    settings = task.settings
    for name in _LATER:
        flag(getattr(settings, name), scope, default=False, name=name)
    return Manner(
        become=become_of(run, task, scope, target_scope),
        check=flag(settings.check_mode, scope, default=run.options.check, name="check_mode"),
        diff=flag(settings.diff, scope, default=run.options.diff, name="diff"),
        environment=_environment(task, scope),
        timeout=_timeout(task, scope) or run.options.task_timeout,
        no_log=flag(settings.no_log, scope, default=False, name="no_log"),
        way=way_of(run, task, scope),
    )


def _timeout(task: Task, scope: Scope) -> float:
    """Return the seconds a task may take; 0 is no limit."""
    value = render(task.settings.timeout, scope)
    try:
        seconds = float(value or 0)
    except (TypeError, ValueError):
        seconds = -1
    if not 0 <= seconds <= _LONGEST:
        raise TemplateFailed(f"Timeout {value} is invalid, it must be between 0 and {_LONGEST}", where=task.where)
    return seconds


def way_of(run: RunState, task: Task, scope: Scope) -> Way:
    """Return how a task's keywords want its host to be reached."""
    settings = task.settings
    user, port = render(settings.remote_user, scope), render_number(settings.port, scope, "port")
    return Way(
        local=render(settings.connection, scope) == "local",
        user=str(user) if user else run.options.remote_user,
        port=int(port) or None,
    )


def flag(value: Any, scope: Scope, *, default: bool, name: str) -> bool:
    """Return a keyword's truth; raise TemplateFailed where its value stands for none."""
    if value is None or isinstance(value, bool):
        return default if value is None else value
    rendered = render(value, scope)
    if rendered is None:
        return default
    if not is_truth(rendered):
        what = f"Error processing keyword {name!r}: The value {rendered!r} could not be converted to 'bool'."
        raise TemplateFailed(what, where=where_of(value), hint="true or false, yes or no")
    return bool(to_bool(rendered))


def become_of(run: RunState, task: Task, scope: Scope, target_scope: Scope) -> Become | None:
    """Return the identity: the host's variables win over the play's keywords, as in Ansible."""
    settings, options = task.settings, run.options
    wanted = flag(settings.become, scope, default=options.become, name="become")
    wanted = flag(target_scope.get("ansible_become"), scope, default=wanted, name="ansible_become")
    if not wanted:
        return None
    method = target_scope.get("ansible_become_method") or render(settings.become_method, scope) or "sudo"
    if method.rpartition(".")[2] != "sudo":
        raise TemplateFailed(f"become_method {method!r} is not supported", where=task.where, hint="sudo is")
    names = ("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass")
    password = next(
        (str(target_scope[name]) for name in names if target_scope.get(name) is not None), options.become_password
    )
    return Become(
        user=str(
            target_scope.get("ansible_become_user")
            or render(settings.become_user, scope)
            or options.become_user
            or "root"
        ),
        flags=str(target_scope.get("ansible_become_flags") or render(settings.become_flags, scope) or ""),
        password=password,
    )


def _environment(task: Task, scope: Scope) -> dict[str, str]:
    merged: dict[str, str] = {}
    for part in task.settings.environment:
        pairs = render(part, scope)
        if not isinstance(pairs, Mapping):
            raise TemplateFailed("`environment` takes a mapping", where=_where(part, task))
        merged.update({str(name): "" if value is None else str(value) for name, value in pairs.items()})
    return merged


def _where(part: Any, task: Task) -> Where:
    where = getattr(part, "where", None)
    return where if isinstance(where, Where) else task.where
