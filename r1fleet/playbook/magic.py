"""The variables that nobody sets: where we are, who else is there, how we were called."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from r1fleet import __version__
from r1fleet.playbook.model import Task
from r1fleet.playbook.scope import OtherHosts, Scope
from r1fleet.playbook.state import HostState, RunState

# Roles ask which Ansible runs them; this is the release whose format and behaviour is followed.
ANSIBLE = {"full": "2.19.0", "string": "2.19.0", "major": 2, "minor": 19, "revision": 0}
Seen = Callable[[str], Scope]


class HostVars(Mapping[str, Any]):
    """``hostvars``: every host's variables, rendered as that host sees them."""

    def __init__(self, run: RunState, seen: Seen) -> None:
        self._run = run
        self._seen = seen

    def __getitem__(self, name: str) -> Any:
        if name not in self._run.inventory.hosts and name not in {"localhost", "127.0.0.1"}:
            raise KeyError(name)
        return self._seen(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._run.inventory.hosts)

    def __len__(self) -> int:
        return len(self._run.inventory.hosts)

    def __repr__(self) -> str:
        return f"<hostvars of {len(self)} hosts>"


class Magic(Mapping[str, Any]):
    """The strongest layer of variables, each made only when asked for."""

    def __init__(self, run: RunState, state: HostState, task: Task | None, seen: Seen) -> None:
        self._run = run
        self._state = state
        self._task = task
        self._seen = seen

    def __getitem__(self, name: str) -> Any:
        if name in _RUN:
            return _RUN[name](self._run)
        if name in _HOST:
            return _HOST[name](self._state)
        if self._state.ahead and name in _OTHERS:
            raise OtherHosts(name)
        if name in _PLAY and self._run.play is not None:
            return _PLAY[name](self._run)
        if self._task is not None and name == "_task_folder":
            return str(self._task.folder)
        if name == "ansible_search_path" and self._task is not None:
            return _search_path(self._run, self._task)
        if name in _ROLE and self._has_role(name):
            return _ROLE[name](self._task)
        if name == "hostvars":
            return HostVars(self._run, self._seen)
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        if name in _RUN or name in _HOST or name == "hostvars":
            return True
        if name in _PLAY:
            return self._run.play is not None
        if name in _TASK:
            return self._task is not None
        return name in _ROLE and self._has_role(str(name))

    def _has_role(self, name: str) -> bool:
        """Tell whether a task stands in a role; that has parents only where a role has included it."""
        role = self._task.role if self._task is not None else None
        return role is not None and (bool(role.parents) or "parent" not in name)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return (name for name in ("hostvars", *_TASK, *_RUN, *_HOST, *_PLAY, *_ROLE) if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _search_path(run: RunState, task: Task) -> list[str]:
    """Return where a task's files are looked up, nearest first."""
    roles = [task.role, *reversed(task.role.parents)] if task.role is not None else []
    near = [*(str(role.path) for role in roles), str(task.folder)]
    return list(dict.fromkeys([*near, *([str(run.current.play.folder)] if run.play is not None else [])]))


def _live(states: tuple[HostState, ...]) -> list[str]:
    return [state.name for state in states if state.running]


def _named_roles(run: RunState) -> list[str]:
    """Return the roles that the play itself names, then those that it came to include for all its tasks."""
    play, later = run.current.play, run.current.uses[len(run.current.play.uses) :]
    return [*play.named, *(use.name for use in later if not use.parents)]


def _dependencies(run: RunState) -> list[str]:
    return list(dict.fromkeys(use.name for use in run.current.uses if use.parents))


def _all_roles(run: RunState) -> list[str]:
    return list(dict.fromkeys(use.name for use in run.current.uses))


_TASK = ("_task_folder", "ansible_search_path")
_OTHERS = frozenset({"ansible_play_batch", "ansible_play_hosts", "hostvars", "play_hosts"})
_RUN: Mapping[str, Callable[[RunState], Any]] = {
    "ansible_check_mode": lambda run: run.options.check,
    "ansible_diff_mode": lambda run: run.options.diff,
    "ansible_forks": lambda run: run.options.forks,
    "ansible_limit": lambda run: run.options.limit,
    "ansible_playbook_python": lambda _: sys.executable,
    "ansible_run_tags": lambda run: list(run.options.tags) or ["all"],
    "ansible_skip_tags": lambda run: list(run.options.skip_tags),
    "ansible_verbosity": lambda run: run.options.verbosity,
    "ansible_version": lambda _: ANSIBLE,
    "groups": lambda run: {name: list(group.hosts) for name, group in run.inventory.groups.items()},
    "inventory_dir": lambda run: str(run.inventory.path.parent) if run.inventory.path else None,
    "inventory_file": lambda run: str(run.inventory.path) if run.inventory.path else None,
    "r1fleet_version": lambda _: __version__,
}
_HOST: Mapping[str, Callable[[HostState], Any]] = {
    "group_names": lambda state: list(state.host.groups),
    "inventory_hostname": lambda state: state.name,
    "inventory_hostname_short": lambda state: state.name.partition(".")[0],
}
_PLAY: Mapping[str, Callable[[RunState], Any]] = {
    "ansible_dependent_role_names": _dependencies,
    "ansible_play_batch": lambda run: _live(run.current.batch),
    "ansible_play_hosts": lambda run: _live(run.current.hosts),
    "ansible_play_hosts_all": lambda run: [state.name for state in run.current.hosts],
    "ansible_play_name": lambda run: run.current.play.name,
    "ansible_play_role_names": _named_roles,
    "ansible_role_names": _all_roles,
    "play_hosts": lambda run: _live(run.current.batch),
    "playbook_dir": lambda run: str(run.current.play.folder),
    "role_names": _named_roles,
}
_ROLE: Mapping[str, Callable[[Any], Any]] = {
    "ansible_parent_role_names": lambda task: [use.name for use in reversed(task.role.parents)],
    "ansible_parent_role_paths": lambda task: [str(use.path) for use in reversed(task.role.parents)],
    "ansible_role_name": lambda task: task.role.title,
    "role_name": lambda task: task.role.name,
    "role_path": lambda task: str(task.role.path),
}
