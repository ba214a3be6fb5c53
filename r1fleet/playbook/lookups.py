"""Ansible's lookups and the functions that templates may call; they run on the controller."""

# Signatures are Ansible's and Jinja2's: their booleans may be given by position.
# ruff: noqa: FBT001, FBT002

from __future__ import annotations

import os
import re
import subprocess
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, pass_context, pass_environment
from jinja2.runtime import Context, Undefined

from r1fleet.errors import InventoryError
from r1fleet.inventory.patterns import Names, matching
from r1fleet.playbook.filters_text import FilterError
from r1fleet.playbook.lazy import plain
from r1fleet.playbook.lookups_files import FILE_LOOKUPS
from r1fleet.playbook.lookups_lists import LIST_LOOKUPS
from r1fleet.playbook.lookups_password import password
from r1fleet.playbook.lookups_tables import TABLE_LOOKUPS

Lookup = Callable[..., list[Any]]


def _env(_: Context, *names: str, default: Any = "") -> list[Any]:
    return [os.environ.get(name, default) for name in names]


def _pipe(context: Context, *commands: str) -> list[Any]:
    del context
    found = []
    for command in commands:
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
        if done.returncode:
            raise FilterError(f"lookup pipe({command}) returned {done.returncode}: {done.stderr.strip()}")
        found.append(done.stdout.rstrip())
    return found


def _lines(context: Context, *commands: str) -> list[Any]:
    return [line for text in _pipe(context, *commands) for line in text.splitlines()]


def _vars(context: Context, *names: str, default: Any = None) -> list[Any]:
    found = []
    for name in names:
        if not isinstance(name, str):
            raise FilterError(f"Variable name must be 'str' not {type(name).__name__!r}.")
        value = context.resolve(name)
        if isinstance(value, Undefined) and default is None:
            raise FilterError(f"No variable named {name!r} was found.")
        found.append(default if isinstance(value, Undefined) else value)
    return found


def _varnames(context: Context, *patterns: str) -> list[Any]:
    names: list[Any] = []
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise FilterError(f"Invalid setting identifier, {pattern!r} is not a string")
        try:
            names += [name for name in context.get_all() if re.search(pattern, name)]
        except re.error as error:
            raise FilterError(f"Unable to use {pattern!r} as a search parameter: {error}") from error
    return names


def _url(_: Context, *addresses: str, split_lines: bool = True, **__: Any) -> list[Any]:
    found: list[Any] = []
    for address in addresses:
        with urllib.request.urlopen(address, timeout=10) as reply:
            text = reply.read().decode()
        found.extend(text.splitlines() if split_lines else [text])
    return found


def _inventory_hostnames(context: Context, *patterns: Any) -> list[Any]:
    """Return the hosts that patterns name."""
    groups = plain(context.get("groups") or {})
    names = Names(groups.get("all", []), groups)
    pattern = ",".join(part for term in patterns for part in (term if isinstance(term, list) else [str(term)]))
    try:
        return list(matching(pattern, names, unknown=lambda _: None))
    except InventoryError as error:
        raise FilterError(f"inventory_hostnames: {error.what}") from error


LOOKUPS: dict[str, Lookup] = {
    **FILE_LOOKUPS,
    **LIST_LOOKUPS,
    **TABLE_LOOKUPS,
    "env": _env,
    "inventory_hostnames": _inventory_hostnames,
    "lines": _lines,
    "password": password,
    "pipe": _pipe,
    "url": _url,
    "varnames": _varnames,
    "vars": _vars,
}
SEES_UNDEFINED = frozenset({"first_found"})


@pass_context
def lookup(
    context: Context, name: str, *terms: Any, wantlist: bool = False, errors: str = "strict", **options: Any
) -> Any:
    """Look something up on the controller; several answers are joined by commas unless ``wantlist``."""
    stem = name.rpartition(".")[2]
    if stem not in LOOKUPS:
        raise FilterError(f"lookup plugin {name!r} not found; known: {', '.join(sorted(LOOKUPS))}")
    for term in () if stem in SEES_UNDEFINED else (*terms, *options.values()):
        if isinstance(term, Undefined):
            return term
    try:
        found = LOOKUPS[stem](context, *plain(list(terms)), **plain(options))
    except (FilterError, OSError):
        if errors in {"ignore", "warn"}:
            return [] if wantlist else None
        raise
    if wantlist or not found:
        return found
    if len(found) == 1:
        return found[0]
    return ",".join(map(str, found)) if all(isinstance(item, str) for item in found) else found


@pass_context
def query(context: Context, name: str, *terms: Any, **options: Any) -> Any:
    """Look something up; always a list."""
    return lookup(context, name, *terms, wantlist=True, **options)


def now(utc: bool = False, fmt: str | None = None) -> Any:
    """Return the time."""
    moment = datetime.now(UTC).replace(tzinfo=None) if utc else datetime.now()
    return moment.strftime(fmt) if fmt else moment


@pass_environment
def undef(environment: Environment, hint: str | None = None) -> Undefined:
    """Return an undefined value."""
    return environment.undefined(hint=hint or "Mandatory variable has not been overridden")


GLOBALS: dict[str, Any] = {"lookup": lookup, "query": query, "q": query, "now": now, "undef": undef}
