"""What a playbook is, once read: frozen, with every inherited keyword already handed down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r1fleet.errors import Where
from r1fleet.playbook.catalogue import Known
from r1fleet.playbook.library import Library

Vars = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Settings:
    """Keywords that plays, roles and blocks hand down to their tasks; values are raw, outermost first."""

    when: tuple[Any, ...] = ()
    tags: tuple[Any, ...] = ()
    vars: tuple[Vars, ...] = ()
    environment: tuple[Any, ...] = ()
    module_defaults: tuple[Vars, ...] = ()
    notify: tuple[Any, ...] = ()
    become: Any = None
    become_user: Any = None
    become_method: Any = None
    become_flags: Any = None
    check_mode: Any = None
    diff: Any = None
    no_log: Any = None
    ignore_errors: Any = None
    ignore_unreachable: Any = None
    run_once: Any = None
    delegate_to: Any = None
    delegate_facts: Any = None
    any_errors_fatal: Any = None
    throttle: Any = None
    timeout: Any = None
    connection: Any = None
    remote_user: Any = None
    port: Any = None


@dataclass(frozen=True, slots=True)
class RoleUse:
    """One use of a role: where it lies, and the variables that it brings."""

    name: str
    path: Path
    defaults: Vars = field(default_factory=dict)
    vars: Vars = field(default_factory=dict)
    given: Vars = field(default_factory=dict)  # `vars` where the role is named: for its own tasks only
    params: Vars = field(default_factory=dict)
    parents: tuple[RoleUse, ...] = ()  # the roles that depend on or include this one, outermost first
    dependencies: tuple[RoleUse, ...] = ()
    turn: tuple[str, int] | None = None  # of a use that a host makes once: which use, and which of its occurrences

    @property
    def title(self) -> str:
        """Its name, in full where it is a role of a collection."""
        parts = self.path.parts[-5:]
        of_collection = len(parts) == 5 and (parts[0], parts[3]) == ("ansible_collections", "roles")
        return ".".join((parts[1], parts[2], parts[4])) if of_collection else self.name


@dataclass(frozen=True, slots=True)
class Loop:
    """What a task repeats over: ``kind`` is "loop" or the name of a lookup."""

    kind: str
    value: Any
    where: Where
    var: Any = "item"
    index_var: Any = None
    label: Any = None
    pause: Any = 0
    extended: Any = False
    extended_allitems: Any = True
    break_when: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """One task or handler."""

    name: Any
    action: str
    args: Vars
    settings: Settings
    where: Where
    folder: Path  # of the file that holds the task: includes are looked up beside it
    role: RoleUse | None = None
    loop: Loop | None = None
    register: str | None = None
    until: tuple[Any, ...] = ()
    retries: Any = None
    delay: Any = 5
    limit: Any = None  # `async`: the job's seconds
    poll: Any = 10
    given: Any = None  # a template that gives further arguments
    changed_when: tuple[Any, ...] = ()
    failed_when: tuple[Any, ...] = ()
    listen: tuple[str, ...] = ()
    depth: int = 0  # how many dynamic includes are around
    params: Vars = field(default_factory=dict)  # what dynamic includes around it passed in
    outer: Settings | None = None  # what surrounds an include: it hands that down, not its own keywords
    written: str = ""  # the action as the file names it
    own: Known | None = None  # the action, where it is one of the user's modules

    @property
    def title(self) -> str:
        """The task's name, else its action as written."""
        return str(self.name or self.written or self.action)


@dataclass(frozen=True, slots=True)
class Block:
    """Tasks with what to do when one fails, and what to do in any case."""

    body: tuple[Node, ...]
    rescue: tuple[Node, ...] = ()
    always: tuple[Node, ...] = ()
    settings: Settings = field(default_factory=Settings)
    where: Where = field(default_factory=Where)


Node = Task | Block


@dataclass(frozen=True, slots=True)
class RoleTasks:
    """A role ready to run: its own and its dependencies' tasks and handlers."""

    use: RoleUse
    body: tuple[Node, ...]
    handlers: tuple[Task, ...]
    uses: tuple[RoleUse, ...]  # with those of its dependencies, in the order of their tasks


@dataclass(frozen=True, slots=True)
class Play:
    """One play; ``sections`` are pre_tasks, roles with tasks, and post_tasks, each followed by its handlers."""

    name: str
    hosts: Any
    where: Where
    folder: Path
    settings: Settings
    vars: Vars
    vars_files: tuple[Any, ...]
    prompts: tuple[Vars, ...]
    keywords: Vars  # raw values of the play's own keywords: serial, strategy, gather_facts ...
    sections: tuple[tuple[Node, ...], ...]
    handlers: tuple[Task, ...]
    uses: tuple[RoleUse, ...]
    named: tuple[str, ...] = ()  # the roles that it names itself, in order, repeated ones, too

    def keyword(self, name: str, default: Any = None) -> Any:
        """Return the raw value of one of the play's own keywords."""
        return self.keywords.get(name, default)


@dataclass(frozen=True, slots=True)
class Playbook:
    """Plays in order, with imported playbooks in their places."""

    path: Path
    plays: tuple[Play, ...]
    library: Library = field(default_factory=Library)
