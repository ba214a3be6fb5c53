"""Finds a role and reads its variables and its meta data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1fleet.errors import PlaybookError, Where
from r1fleet.inventory.source import Block as Written
from r1fleet.playbook.check import check_values
from r1fleet.playbook.keywords import nearest
from r1fleet.playbook.kinds import described
from r1fleet.playbook.reading import Reader

SUFFIXES = (".yml", ".yaml", ".json", "")
_META = frozenset({"dependencies", "galaxy_info", "allow_duplicates", "collections", "argument_specs"})


@dataclass(frozen=True, slots=True)
class Meta:
    """What a role says of itself."""

    dependencies: Sequence[Any] = ()
    allow_duplicates: bool = False
    argument_specs: Mapping[str, Any] | None = None


def locate(reader: Reader, name: str, where: Where) -> Path:
    """Return the role's folder; by path, or by name in the role folders."""
    folders = reader.search.role_folders(reader.playbook_dir)
    if reader.role is not None:
        folders = [reader.role.path.parent, *folders]
    candidates = (
        [reader.playbook_dir / name, Path(name).expanduser()] if "/" in name else [folder / name for folder in folders]
    )
    if name.count(".") == 2:
        candidates += _in_collections(reader, *name.split("."))
    found = next((path for path in candidates if path.is_dir()), None)
    if found is not None:
        return found.resolve()
    known = sorted(
        {path.name for folder in folders if folder.is_dir() for path in folder.iterdir() if (path / "tasks").is_dir()}
    )
    looked = ", ".join(dict.fromkeys(str(path.parent) for path in candidates))
    raise PlaybookError(f"role {name!r} not found", where=where, hint=nearest(name, known) or f"looked in {looked}")


def _in_collections(reader: Reader, namespace: str, collection: str, role: str) -> list[Path]:
    """Return where a role of a collection may lie: around this file, beside the playbook, at the user's."""
    near = reader.role.path if reader.role is not None else reader.playbook_dir
    around = [folder for folder in near.parents if folder.name == "ansible_collections"]
    beside = [reader.playbook_dir, *reader.search.folders, Path("~/.ansible").expanduser()]
    trees = [*around, *(folder / "collections" / "ansible_collections" for folder in beside)]
    return [tree / namespace / collection / "roles" / role for tree in trees]


def entry(folder: Path, stem: str) -> Path | None:
    """Return the file that ``stem`` means in one of a role's folders."""
    return next((folder / f"{stem}{suffix}" for suffix in SUFFIXES if (folder / f"{stem}{suffix}").is_file()), None)


def variables(reader: Reader, folder: Path, stem: str, where: Where, *, required: bool) -> Mapping[str, Any]:
    """Read ``defaults`` or ``vars`` of a role: one file, or a folder of files."""
    single = entry(folder, stem)
    spread = (
        sorted(path for path in (folder / stem).glob("*") if path.suffix in SUFFIXES)
        if (folder / stem).is_dir()
        else []
    )
    paths = [single] if single else spread
    if not paths and required:
        reader.problems.add(f"{folder / stem} not found", where)
    merged: dict[str, Any] = {}
    for path in paths:
        merged.update(_mapping(reader, path))
    check_values(merged, reader.problems)
    return merged


def meta(reader: Reader, path: Path) -> Meta:
    """Read ``meta/main`` and ``meta/argument_specs``."""
    main = entry(path / "meta", "main")
    written = _mapping(reader, main) if main else {}
    if isinstance(written, Written):
        for key in written:
            if key not in _META:
                reader.problems.add(
                    f"unknown key {str(key)!r} in a role's meta data", written.at(key), hint=nearest(str(key), _META)
                )
    specs = entry(path / "meta", "argument_specs")
    found = _mapping(reader, specs) if specs else written
    return Meta(
        dependencies=written.get("dependencies") or (),
        allow_duplicates=written.get("allow_duplicates") is True,
        argument_specs=found.get("argument_specs"),
    )


def _mapping(reader: Reader, path: Path) -> Mapping[str, Any]:
    found = reader.load(path)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        reader.problems.add(f"this file holds a mapping of variables, not {described(found)}", Where(str(path), 1))
        return {}
    return found
