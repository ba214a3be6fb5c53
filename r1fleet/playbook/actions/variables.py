"""set_fact, include_vars and set_stats."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from r1fleet.errors import FleetError, Where
from r1fleet.events import RUN
from r1fleet.inventory.source import Block as Written
from r1fleet.inventory.source import load_yaml
from r1fleet.playbook.actions.content import source_path
from r1fleet.playbook.filters import combine, to_bool
from r1fleet.playbook.templating import TemplateFailed, as_number
from r1fleet.playbook.work import Work
from r1fleet.transport import Reply

_MAIN = ("main.yaml", "main.yml", "main.json")
_NAME = re.compile(r"^[A-Za-z_]\w*$")


async def set_fact(work: Work) -> Reply:
    """Set variables of the host for the rest of the run."""
    facts = {name: value for name, value in work.args.items() if name != "cacheable"}
    wrong = [name for name in facts if not _NAME.match(str(name))]
    if wrong:
        return _failed(
            f"The variable name {wrong[0]!r} is not valid. Variables must start with a letter or underscore."
        )
    if not facts:
        return _failed("No key/value pairs provided, at least one is required for this action to succeed")
    cacheable = bool(to_bool(work.args.get("cacheable", False)))
    return {"changed": False, "ansible_facts": facts, **({"_ansible_facts_cacheable": True} if cacheable else {})}


async def set_stats(work: Work) -> Reply:
    """Keep figures of the run, or of the host; they are shown at the end."""
    data = work.args["data"]
    if not isinstance(data, Mapping):
        return _failed("The 'data' option needs to be a dictionary/hash")
    wrong = [name for name in data if not _NAME.match(str(name))]
    if wrong:
        return _failed(
            f"The variable name {wrong[0]!r} is not valid. Variables must start with a letter or underscore."
        )
    per_host = bool(to_bool(work.args.get("per_host", False)))
    aggregate = bool(to_bool(work.args.get("aggregate", True)))
    kept = work.run.stats.setdefault(work.state.name if per_host else RUN, {})
    for name, value in data.items():
        kept[name] = _added(kept[name], value) if aggregate and name in kept else value
    return {"changed": False, "ansible_stats": {"data": dict(data), "per_host": per_host, "aggregate": aggregate}}


def _added(before: Any, value: Any) -> Any:
    """Add a figure to the one before: mappings are merged, anything of another type is left out, as with Ansible."""
    if not isinstance(value, type(before)):
        return before
    if isinstance(before, Mapping):
        return combine(before, value, recursive=True)
    try:
        return before + value
    except TypeError:
        return before


async def include_vars(work: Work) -> Reply:
    """Read variables from files; their templates are rendered where they are used."""
    paths: list[Path] = []
    found = Written(work.task.where)
    try:
        for path in _paths(work):
            found.update(_variables(path))
            paths.append(path)
    except FleetError as error:
        return {**_failed(str(error.what)), "message": str(error.what), "hint": error.hint or "", **_read(paths)}
    facts = {str(work.args["name"]): found} if work.args.get("name") else found
    if work.args.get("hash_behaviour") == "merge":
        facts = combine({name: work.state.included.get(name, {}) for name in facts}, facts, recursive=True)
    return {"changed": False, "ansible_facts": facts, **_read(paths)}


def _read(paths: list[Path]) -> Reply:
    return {"ansible_included_var_files": [str(path) for path in paths]}


def _paths(work: Work) -> Iterator[Path]:
    """Yield the files: one, or those of a folder, those nearer to its top first."""
    if not work.args.get("dir"):
        yield source_path(work, str(work.args.get("file") or ""), "vars")
        return
    folder = source_path(work, str(work.args["dir"]), "vars")
    wanted = re.compile(str(work.args.get("files_matching") or ""))
    ignored = [re.compile(f"{each}$") for each in _listed(work.args.get("ignore_files"))]
    own = work.task.role is not None and folder == (work.task.role.path / "vars").resolve()
    depth = int(as_number(work.args.get("depth"), "depth"))
    for root, _, names in sorted(os.walk(folder, followlinks=True)):
        if depth and len(Path(root).relative_to(folder).parts) >= depth:
            continue
        for name in sorted(names):
            main = own and Path(root) == folder and name in _MAIN
            if wanted.search(name) and not main and not any(each.search(name) for each in ignored):
                yield from _with_extension(work, Path(root, name))


def _with_extension(work: Work, path: Path) -> Iterator[Path]:
    found = _listed(work.args.get("extensions"))
    extensions = [str(each) for each in found] if found else ["yaml", "yml", "json"]
    if path.suffix.removeprefix(".") in extensions:
        yield path
    elif not to_bool(work.args.get("ignore_unknown_extensions", False)):
        what = f"{path} does not have a valid extension: {', '.join(extensions)}"
        raise TemplateFailed(what, where=work.task.where, hint="ignore_unknown_extensions passes such files over")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else str(value).split(",")


def _variables(path: Path) -> Mapping[str, Any]:
    found = load_yaml(path, "variables")
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise TemplateFailed("a file of variables holds a mapping", where=Where(str(path), 1))
    return found


def _failed(msg: str) -> Reply:
    return {"changed": False, "failed": True, "msg": msg}
