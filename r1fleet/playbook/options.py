"""How a playbook is to be run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from r1fleet.playbook.stepping import Question


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says; the defaults are Ansible's, but for ``forks``."""

    limit: str | None = None
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    check: bool = False
    diff: bool = False
    forks: int = 64
    extra_vars: Mapping[str, Any] = field(default_factory=dict)
    start_at_task: str | None = None
    step: Question | None = None  # how the user is asked before each task
    become: bool = False
    become_user: str | None = None
    become_password: str | None = field(default=None, repr=False)
    remote_user: str | None = None
    task_timeout: float | None = None
    force_handlers: bool = False
    verbosity: int = 0
