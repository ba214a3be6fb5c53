"""An inventory that gains hosts and groups while a playbook runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from r1fleet.inventory.model import Group, Host, Inventory
from r1fleet.inventory.variables import Folder, merge


def with_host(inventory: Inventory, name: str, groups: Iterable[str], variables: Mapping[str, Any]) -> Inventory:
    """Return the inventory with a host added, or put into more groups; it has the variables of all its groups."""
    groups = [group for group in groups if group != "all"]
    before = inventory.hosts.get(name) or Host(name)
    layers = inventory.layers
    own = {**layers.hosts.get(name, {}), **variables}
    ranks = {**{group: (1, 1, group) for group in groups}, **layers.ranks}
    layers = replace(layers, hosts={**layers.hosts, name: own}, ranks=ranks)
    member_of = tuple(
        sorted({*before.groups, *_with_parents(inventory, groups)} - ({"ungrouped"} if groups else set()))
    )
    folders = [Folder(path, lambda _: None) for path in layers.folders]
    host = Host(name, merge(name, member_of, layers, folders), member_of)
    table = dict(inventory.groups)
    for group in ("all", *member_of):
        present = table.get(group, Group(group))
        if name not in present.hosts:
            table[group] = replace(present, hosts=(*present.hosts, name))
    loose = table.get("ungrouped")
    if loose is not None and "ungrouped" not in member_of:
        table["ungrouped"] = replace(loose, hosts=tuple(each for each in loose.hosts if each != name))
    return replace(inventory, hosts={**inventory.hosts, name: host}, groups=table, layers=layers)


def _with_parents(inventory: Inventory, groups: Iterable[str]) -> set[str]:
    """Return groups with all that they are below of, but for ``all``."""
    found: set[str] = set()
    waiting = list(groups)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [group.name for group in inventory.groups.values() if name in group.children]
    return found - {"all"}
