"""How keywords are handed down: from play to role to block to task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from r1fleet.agent.arguments import ArgumentError, check_names
from r1fleet.inventory.source import Block as Written
from r1fleet.inventory.source import Text
from r1fleet.playbook import catalogue
from r1fleet.playbook.keywords import nearest
from r1fleet.playbook.kinds import described
from r1fleet.playbook.lazy import is_template
from r1fleet.playbook.model import Settings
from r1fleet.playbook.problems import Problems
from r1fleet.playbook.scope import where_of

CONNECTIONS = ("local", "ssh", "smart", "paramiko", "paramiko_ssh")
_LISTS = ("when", "tags", "notify")
_MAPS = ("vars", "environment", "module_defaults")
_SINGLE = (
    "become", "become_user", "become_method", "become_flags", "check_mode", "diff", "no_log", "ignore_errors",
    "ignore_unreachable", "run_once",
    "delegate_to", "delegate_facts", "any_errors_fatal", "throttle", "timeout",
    "connection", "remote_user", "port",
)  # fmt: skip


def handed_down(outer: Settings, written: Mapping[Any, Any], problems: Problems) -> Settings:
    """Return the settings inside of what is written, given those outside."""
    changes: dict[str, Any] = {}
    for name in _LISTS:
        if name in written:
            changes[name] = getattr(outer, name) + as_tuple(written[name], split=name == "tags")
    for name in _MAPS:
        if written.get(name) is not None:
            added = _mappings(name, written, problems)
            if name == "module_defaults":
                _check_defaults(added, problems)
            changes[name] = getattr(outer, name) + added
    for name in _SINGLE:
        if name in written:
            changes[name] = written[name]
    connection = changes.get("connection")
    if connection is not None and not is_template(connection) and connection not in CONNECTIONS:
        hint = f"one of {', '.join(CONNECTIONS)}"
        problems.add(f"connection {str(connection)!r} is not supported", where_of(connection), hint=hint)
    return replace(outer, **changes) if changes else outer


def as_tuple(value: Any, *, split: bool = False) -> tuple[Any, ...]:
    """Return a value as a tuple: a list's items, nothing for None, else the value alone."""
    if value is None:
        return ()
    if isinstance(value, (list, tuple)):
        return tuple(part for item in value for part in (as_tuple(item, split=True) if split else (item,)))
    if split and isinstance(value, Text) and "," in value and "{" not in value:
        return tuple(Text(part.strip(), value.where) for part in value.split(",") if part.strip())
    return (value,)


def _check_defaults(tables: tuple[Any, ...], problems: Problems) -> None:
    """Report defaults for modules that are not here, and those that a module would not take."""
    for table in tables:
        for name, values in table.items():
            where, known = where_of(name), catalogue.find(str(name))
            if str(name).startswith("group/"):
                problems.add(f"module defaults for {str(name)!r} are not supported", where, hint="name the modules")
            elif known is None:
                hint = nearest(catalogue.short_name(str(name)), catalogue.names())
                problems.add(f"module_defaults: unknown module {str(name)!r}", where, hint=hint)
            elif isinstance(values, Mapping) and not known.any_argument:
                try:
                    check_names(known.name, values, known.spec)
                except ArgumentError as error:
                    problems.add(f"module_defaults: {error.msg}", where)


def _mappings(name: str, written: Mapping[Any, Any], problems: Problems) -> tuple[Any, ...]:
    value = written[name]
    parts = value if isinstance(value, list) else [value]
    accepted = []
    for part in parts:
        if isinstance(part, Mapping) or (name == "environment" and isinstance(part, str)):
            accepted.append(part)
        else:
            where = where_of(value) or (written.at(name) if isinstance(written, Written) else None)
            problems.add(f"{name!r} takes a mapping, not {described(part)}", where)
    return tuple(accepted)
