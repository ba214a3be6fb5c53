"""Variables of groups and hosts: where they come from, and which of them wins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from r1fleet.errors import InventoryError, Where
from r1fleet.inventory.model import LOCAL, Group, Host, Inventory, Layers
from r1fleet.inventory.source import Block, load_yaml, where_of

_EXTENSIONS = ("", ".yml", ".yaml", ".json")


class Folder:
    """One folder with ``group_vars/`` and ``host_vars/``; each file is read once."""

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        self._path = path
        self._warn = warn
        self._read: dict[tuple[str, str], dict[str, Any]] = {}

    def variables(self, kind: str, name: str) -> Mapping[str, Any]:
        """Return what ``group_vars`` or ``host_vars`` (``kind``) say about ``name``."""
        if (kind, name) not in self._read:
            merged: dict[str, Any] = {}
            for path in self._files(kind, name):
                merged.update(_variables(path))
            self._read[kind, name] = merged
        return self._read[kind, name]

    def _files(self, kind: str, name: str) -> list[Path]:
        if "/" in name:
            return []
        candidates = [self._path / kind / f"{name}{extension}" for extension in _EXTENSIONS]
        present = [path for path in candidates if path.exists()]
        if not present:
            return []
        for ignored in present[1:]:
            self._warn(f"{ignored} is not read, because {present[0]} is there; keep one of them")
        return list(_tree(present[0])) if present[0].is_dir() else present[:1]


def _tree(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name.startswith(".") or path.name.endswith("~"):
            continue
        if path.is_dir() and not path.suffix:
            yield from _tree(path)
        elif path.is_file() and path.suffix in _EXTENSIONS:
            yield path


def _variables(path: Path) -> Mapping[str, Any]:
    value = load_yaml(path, "variables")
    if value is None:
        return {}
    if not isinstance(value, Block):
        raise InventoryError(
            "a file of variables must be a mapping of names", where=where_of(value, Where(str(path), 1))
        )
    return checked(value)


def checked(block: Block) -> Block:
    """Refuse names that are no text and a port that is no number; return ``block``."""
    for name in block:
        if not isinstance(name, str):
            raise InventoryError(
                f"{name!r} is no variable name", where=block.where, hint="put it in quotes, or rename it"
            )
    port = block.get("ansible_port")
    if port is None or (isinstance(port, str) and "{{" in port):
        return block
    number = int(port) if isinstance(port, str) and port.isdecimal() else port
    if isinstance(number, bool) or not isinstance(number, int) or not 0 < number < 65536:
        raise InventoryError(
            f"ansible_port is {port!r}", where=block.at("ansible_port"), hint="a port is a number between 1 and 65535"
        )
    return block


def merge(host: str, groups: Sequence[str], layers: Layers, folders: Sequence[Folder]) -> dict[str, Any]:
    """Merge the variables of one host; what comes later replaces what came before (no merging of mappings).

    The order is that of ansible-core, parents before children, at the same depth by ``ansible_group_priority``
    and then by name:

    1. the inventory's ``all``, then its other groups
    2. ``group_vars/all`` beside the inventory, then beside the playbook
    3. ``group_vars/*`` beside the inventory, then beside the playbook
    4. the inventory's host
    5. ``host_vars/*`` beside the inventory, then beside the playbook

    https://docs.ansible.com/ansible/latest/playbook_guide/playbooks_variables.html#understanding-variable-precedence
    """
    ordered = sorted((name for name in groups if name != "all"), key=lambda name: layers.ranks[name])
    sources = [layers.groups.get(name, {}) for name in ("all", *ordered)]
    sources += [folder.variables("group_vars", "all") for folder in folders]
    sources += [folder.variables("group_vars", name) for folder in folders for name in ordered]
    sources += [layers.hosts.get(host, {})]
    sources += [folder.variables("host_vars", host) for folder in folders]
    merged: dict[str, Any] = {}
    for source in sources:
        merged.update(source)
    return merged


def applied(inventory: Inventory) -> Inventory:
    """Return ``inventory`` with every host's and group's variables merged from its layers."""
    layers = inventory.layers
    warnings = list(inventory.warnings)
    folders = [Folder(path, warnings.append) for path in layers.folders]

    def host(old: Host) -> Host:
        return replace(old, variables=merge(old.name, old.groups, layers, folders))

    def group(old: Group) -> Group:
        merged = dict(layers.groups.get(old.name, {}))
        for folder in folders:
            merged.update(folder.variables("group_vars", old.name))
        return replace(old, variables=merged)

    return replace(
        inventory,
        hosts={name: host(old) for name, old in inventory.hosts.items()},
        groups={name: group(old) for name, old in inventory.groups.items()},
        implicit=merge("localhost", (), replace(layers, hosts={"localhost": LOCAL}), folders),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def beside(inventory: Inventory, folder: Path) -> Inventory:
    """Return ``inventory`` with the ``group_vars/`` and ``host_vars/`` beside a playbook added, in Ansible's order."""
    layers = inventory.layers
    if folder.absolute() in layers.folders:
        return inventory
    return applied(replace(inventory, layers=replace(layers, folders=(*layers.folders, folder.absolute()))))
