"""Ansible's keywords: which are supported where, and why the others are not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from r1fleet.errors import Where
from r1fleet.inventory.source import Block as Written
from r1fleet.playbook.kinds import check_kinds
from r1fleet.playbook.problems import Problems

INHERITED = frozenset(
    {
        "any_errors_fatal", "become", "become_flags", "become_method", "become_user", "check_mode", "connection",
        "delegate_facts", "delegate_to", "diff",
        "environment", "ignore_errors", "ignore_unreachable", "module_defaults", "no_log", "notify", "port",
        "remote_user", "run_once", "tags", "throttle", "timeout",
        "vars", "when",
    }
)  # fmt: skip
# `collections` changes nothing: a module is the one that is here, and an unknown name is an error.
ACCEPTED = frozenset({"name", "collections"})
PLAY = ACCEPTED | (INHERITED - {"when", "notify", "delegate_to", "delegate_facts"}) | frozenset(
    {
        "force_handlers", "gather_facts", "gather_subset", "gather_timeout", "handlers", "hosts",
        "max_fail_percentage", "order",
        "post_tasks", "pre_tasks", "roles", "serial", "strategy", "tasks", "vars_files", "vars_prompt",
    }
)  # fmt: skip
BLOCK = ACCEPTED | INHERITED | frozenset({"block", "rescue", "always"})
ROLE = ACCEPTED | (INHERITED - {"notify"}) | frozenset({"role"})
TASK = ACCEPTED | INHERITED | frozenset(
    {
        "action", "args", "async", "changed_when", "delay", "failed_when", "local_action", "loop",
        "loop_control", "poll", "register", "retries", "until",
    }
)  # fmt: skip
HANDLER = TASK | {"listen"}
IMPORT_PLAYBOOK = frozenset({"import_playbook", "ansible.builtin.import_playbook", "name", "vars", "tags", "when"})
LOOP_CONTROL = frozenset({"break_when", "extended", "extended_allitems", "index_var", "label", "loop_var", "pause"})

REFUSED = {
    "become_exe": "the become program is sudo",
    "debugger": "use --start-at-task and -v",
    "fact_path": "put local facts into /etc/ansible/facts.d",
    "include": "use include_tasks or import_tasks",
}


def check_keywords(found: Written, known: Iterable[str], what: str, problems: Problems) -> None:
    """Report each keyword that ``what`` (a play, a block ...) does not have, and each value of the wrong kind."""
    allowed = set(known)
    for key in found:
        if key not in allowed:
            report_keyword(str(key), allowed, what, problems, found.at(key))
    check_kinds(found, allowed, problems)


def report_keyword(
    key: str, known: Iterable[str], what: str, problems: Problems, where: Where, *, hint: str | None = None
) -> None:
    """Report one keyword that is unknown, or Ansible's but not supported."""
    if key in REFUSED:
        problems.add(f"keyword {key!r} is not supported on a {what}", where, hint=REFUSED[key])
        return
    everywhere = PLAY | BLOCK | ROLE | HANDLER
    if key in everywhere:
        problems.add(f"keyword {key!r} does not belong on a {what}", where)
        return
    problems.add(f"unknown keyword {key!r} on a {what}", where, hint=hint or nearest(key, known))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return a hint with the nearest known name, if one is near."""
    near = difflib.get_close_matches(name, list(known), 1, 0.6)
    return f"did you mean {near[0]!r}?" if near else None
