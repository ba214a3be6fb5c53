"""From an inventory file to an ``Inventory``."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r1fleet.errors import InventoryError, Where
from r1fleet.inventory.model import Group, Host, Inventory, Layers
from r1fleet.inventory.names import expand
from r1fleet.inventory.refusals import refuse_other_kinds, refuse_other_text
from r1fleet.inventory.source import Block, load_yaml_text, read_text, where_of
from r1fleet.inventory.variables import applied, checked

SECTIONS = ("hosts", "children", "vars")
_SECTION_HINT = "hosts go below `hosts:`, groups below `children:`, variables below `vars:`"


@dataclass(slots=True)
class _Group:
    where: Where
    variables: dict[str, Any] = field(default_factory=dict)
    children: dict[str, Where] = field(default_factory=dict)
    hosts: dict[str, None] = field(default_factory=dict)
    priority: int = 1


@dataclass(slots=True)
class _Draft:
    """What has been read so far."""

    groups: dict[str, _Group] = field(default_factory=dict)
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    addresses: dict[str, tuple[str, Where]] = field(default_factory=dict)


def load(path: Path | str) -> Inventory:
    """Read an Ansible YAML inventory, with the ``group_vars/`` and ``host_vars/`` beside it."""
    refuse_other_kinds(str(path))
    path = Path(path)
    text = read_text(path, "inventory")
    refuse_other_text(path, text)
    return from_value(load_yaml_text(text, str(path), "inventory"), path)


def from_value(value: object, path: Path) -> Inventory:
    """Make an inventory of a YAML document that was read from ``path``."""
    if not isinstance(value, Block):
        raise InventoryError(
            "an inventory must be a mapping of groups",
            where=where_of(value, Where(str(path), 1)),
            hint="begin with `all:`, below it `hosts:`, below it one key for each host",
        )
    start = Where(str(path), 1)
    draft = _Draft({"all": _Group(start, children={"ungrouped": start}), "ungrouped": _Group(start)})
    for name, body in value.items():
        if name in SECTIONS:
            raise InventoryError(
                f"`{name}` stands outside of any group", where=value.at(name), hint="put it below `all:`"
            )
        _read_group(draft, name, body, value.at(name))
    _complete(draft)
    return applied(_frozen(draft, path))


def _read_group(draft: _Draft, name: object, body: object, where: Where) -> None:
    if not isinstance(name, str) or not name:
        raise InventoryError(f"{name!r} is no group name", where=where, hint="put it in quotes, or rename it")
    group = draft.groups.setdefault(name, _Group(where))
    if body is None:
        return
    if not isinstance(body, Block):
        raise InventoryError(f"group {name} must be a mapping", where=where, hint=_SECTION_HINT)
    for key in body:  # in the file's order: of two values for one host, the later one wins
        section = _section(body, key, name)
        if key == "vars":
            _read_variables(group, section)
        elif key == "children":
            _read_children(draft, group, section)
        else:
            for written, variables in section.items():
                _read_hosts(draft, group, written, variables, section.at(written))


def _read_children(draft: _Draft, group: _Group, children: Block) -> None:
    for child, body in children.items():
        group.children.setdefault(child, children.at(child))
        _read_group(draft, child, body, children.at(child))


def _section(body: Block, key: str, group: str) -> Block:
    if key not in SECTIONS:
        near = difflib.get_close_matches(str(key), SECTIONS, n=1)
        hint = f"did you mean `{near[0]}`?" if near else _SECTION_HINT
        raise InventoryError(f"unknown key `{key}` in group {group}", where=body.at(key), hint=hint)
    value = body[key]
    where = where_of(value, body.at(key))
    if value is None:
        return Block(where)
    if isinstance(value, Block):
        return value
    if isinstance(value, str) and key != "vars":
        return Block(where, {value: None})
    raise InventoryError(
        f"`{key}` of group {group} must be a mapping",
        where=where,
        hint="write each one as a key on a line of its own, ended by a colon: `node1:`",
    )


def _read_variables(group: _Group, variables: Block) -> None:
    own = dict(checked(variables))
    priority = own.pop("ansible_group_priority", None)
    group.variables.update(own)
    if priority is None:
        return
    try:
        group.priority = int(priority)
    except (TypeError, ValueError) as problem:
        raise InventoryError(
            f"ansible_group_priority is {priority!r}",
            where=variables.at("ansible_group_priority"),
            hint="write a number",
        ) from problem


def _read_hosts(draft: _Draft, group: _Group, written: object, variables: object, where: Where) -> None:
    if not isinstance(written, str):
        raise InventoryError(f"{written!r} is no host name", where=where, hint="put it in quotes")
    if variables is not None and not isinstance(variables, Block):
        raise InventoryError(
            f"the variables of host {written} must be a mapping", where=where_of(variables, where), hint="name: value"
        )
    block = checked(variables) if variables is not None else Block(where)
    names, port = expand(written, where)
    for name in names:
        group.hosts[name] = None
        own = draft.hosts.setdefault(name, {})
        if port is not None:
            own["ansible_port"] = port
        if "ansible_host" in block:
            _check_address(draft, name, block)
        own.update(block)


def _check_address(draft: _Draft, name: str, block: Block) -> None:
    address, where = str(block["ansible_host"]), block.at("ansible_host")
    first, first_where = draft.addresses.setdefault(name, (address, where))
    if first != address:
        raise InventoryError(
            f"host {name} has two addresses: ansible_host is {first} at {first_where} and {address} here",
            where=where,
            hint="keep one of them, or give the second host a name of its own",
        )


def _complete(draft: _Draft) -> None:
    """Put groups without a parent below ``all``, hosts without a group into ``ungrouped``; refuse cycles."""
    groups = draft.groups
    below = {child for group in groups.values() for child in group.children}
    for name, group in groups.items():
        if name != "all" and name not in below:
            groups["all"].children.setdefault(name, group.where)
    _refuse_cycles(groups)
    grouped = {host for name, group in groups.items() if name not in ("all", "ungrouped") for host in group.hosts}
    ungrouped = groups["ungrouped"]
    loose = [host for host in draft.hosts if host not in grouped]
    ungrouped.hosts = dict.fromkeys(loose)


def _refuse_cycles(groups: Mapping[str, _Group]) -> None:
    finished: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            cycle = (*path[path.index(name) :], name)
            raise InventoryError(
                f"groups in a cycle: {' -> '.join(cycle)}",
                where=groups[cycle[-2]].children[name],
                hint="a group cannot be its own child; remove one of these `children`",
            )
        if name in finished:
            return
        for child in groups[name].children:
            visit(child, (*path, name))
        finished.add(name)

    for name in groups:
        visit(name, ())


def _frozen(draft: _Draft, path: Path) -> Inventory:
    groups = draft.groups
    depths = _depths(groups)
    members = {name: tuple(_hosts_below(name, groups)) for name in groups}
    of_host: dict[str, list[str]] = {name: [] for name in draft.hosts}
    for name, hosts in members.items():
        for host in hosts:
            of_host[host].append(name)
    return Inventory(
        name=path.stem,
        path=path.absolute(),
        hosts={name: Host(name, {}, tuple(sorted(set(of_host[name]) - {"all"}))) for name in members["all"]},
        groups={name: Group(name, {}, tuple(group.children), members[name]) for name, group in groups.items()},
        warnings=tuple(
            f"{group.where}: {name} is both a group and a host" for name, group in groups.items() if name in draft.hosts
        ),
        layers=Layers(
            groups={name: group.variables for name, group in groups.items()},
            hosts=draft.hosts,
            ranks={name: (depths[name], group.priority, name) for name, group in groups.items()},
            folders=(path.absolute().parent,),
        ),
    )


def _depths(groups: Mapping[str, _Group]) -> dict[str, int]:
    """Return every group's longest way from ``all``."""
    depths = dict.fromkeys(groups, 0)
    for name in _parents_first(groups):
        for child in groups[name].children:
            depths[child] = max(depths[child], depths[name] + 1)
    return depths


def _parents_first(groups: Mapping[str, _Group]) -> Iterable[str]:
    finished: dict[str, None] = {}

    def visit(name: str) -> None:
        for child in groups[name].children:
            if child not in finished:
                visit(child)
        finished[name] = None

    visit("all")
    return reversed(finished)


def _hosts_below(name: str, groups: Mapping[str, _Group]) -> Iterator[str]:
    """Yield the group's own hosts, then those of its children, level by level, each once."""
    seen: dict[str, None] = {}
    level, visited = [name], {name}
    while level:
        for group in level:
            seen.update(dict.fromkeys(groups[group].hosts))
        below = dict.fromkeys(child for group in level for child in groups[group].children if child not in visited)
        visited.update(below)
        level = list(below)
    return iter(seen)
