"""Lookups of the controller's files: where they are found, and what stands in them."""

# Signatures are Ansible's: their booleans may be given by position.

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader
from jinja2.runtime import Context, Undefined

from r1fleet.errors import Where
from r1fleet.inventory import vault
from r1fleet.playbook.filters import file_glob
from r1fleet.playbook.filters_lists import flatten
from r1fleet.playbook.filters_text import FilterError
from r1fleet.playbook.lazy import plain

_HEADER = "#jinja2:"
Variables = Mapping[str, Any] | Context
_MARKS = (
    *("variable_start_string", "variable_end_string", "block_start_string", "block_end_string"),
    *("comment_start_string", "comment_end_string", "trim_blocks", "lstrip_blocks"),
    *("line_statement_prefix", "line_comment_prefix", "newline_sequence"),
)


def search_folders(context: Variables, kind: str) -> list[Path]:
    """Return where a relative path of ``kind`` (files, templates, vars, tasks) is looked up, nearest first."""
    bases = [Path(str(context[name])) for name in ("role_path", "_task_folder", "playbook_dir") if context.get(name)]
    return list(dict.fromkeys(folder for base in bases for folder in (base / kind, base)))


def find_file(context: Variables, name: str, kind: str) -> Path | None:
    """Find a controller's file as Ansible does: the role's, then the playbook's."""
    path = Path(name).expanduser()
    if path.is_absolute():
        return path if path.exists() else None
    return next((folder / path for folder in search_folders(context, kind) if (folder / path).exists()), None)


def required_file(context: Context, name: str, kind: str) -> Path:
    """Find a file that has to be there."""
    path = find_file(context, str(name), kind)
    if path is None:
        raise FilterError(
            f"could not locate file {name!r}, looked in {', '.join(map(str, search_folders(context, kind)))}"
        )
    return path


def read_file(context: Context, name: str, encoding: str = "utf-8") -> str:
    """Return the text of a file, decrypted where it is encrypted."""
    path = required_file(context, name, "files")
    return vault.plain_text(path.read_text(encoding=encoding), Where(str(path), 1))


def _file(context: Context, *names: str, lstrip: bool = False, rstrip: bool = True) -> list[Any]:
    texts = [read_file(context, name) for name in names]
    texts = [text.rstrip() if rstrip else text for text in texts]
    return [text.lstrip() if lstrip else text for text in texts]


def _unvault(context: Context, *names: str) -> list[Any]:
    return [read_file(context, name) for name in names]


def _first_found(
    context: Context, *terms: Any, files: Any = None, paths: Any = None, skip: bool = False, **__: Any
) -> list[Any]:
    """Find the first file that is there; names that hold something undefined are passed over."""
    more = [{"files": files, "paths": paths or []}] if files else []
    names: list[str] = []
    for term in [*flatten(terms), *more]:
        skip = skip or (isinstance(term, Mapping) and bool(term.get("skip")))
        names += _candidates(term)
    for name in names:
        for kind in ("files", "templates", "vars", "tasks"):
            found = find_file(context, name, kind)
            if found is not None:
                return [str(found)]
    if skip:
        return []
    raise FilterError(f"No file was found when using first_found: {', '.join(names)}")


def _candidates(term: Any) -> list[str]:
    if isinstance(term, Undefined):
        return []
    if isinstance(term, str):
        return [term]
    if not isinstance(term, Mapping):
        raise FilterError(f"first_found takes names and mappings with `files` and `paths`, not {type(term).__name__!r}")
    folders = _listed(term.get("paths"), "[,;:]") or ["."]
    return [str(Path(folder) / name) for name in _listed(term.get("files"), "[,;]") for folder in folders]


def _listed(value: Any, marks: str) -> list[str]:
    parts = flatten([value])
    return [
        str(name) for part in parts if not isinstance(part, Undefined) for name in re.split(marks, str(part)) if name
    ]


def _fileglob(context: Context, *patterns: str) -> list[Any]:
    found: list[str] = []
    for pattern in patterns:
        if Path(pattern).expanduser().is_absolute():
            found += file_glob(pattern)
            continue
        for folder in search_folders(context, "files"):
            matches = file_glob(str(folder / pattern))
            if matches:
                found += matches
                break
    return found


def newlines_kept(text: str, source: str, newline: str = "\n") -> str:
    """End what a template file gave with as many newlines as the file, as Ansible does; Jinja2 drops one."""
    return text + newline * (_newlines_at_end(source, "\n") - _newlines_at_end(text, newline))


def _newlines_at_end(text: str, newline: str) -> int:
    number = 0
    while text.endswith(newline * (number + 1)):
        number += 1
    return number


def own_marks(text: str) -> tuple[str, dict[str, Any]]:
    """Take the line ``#jinja2: name:value, ...`` from the top of a template, with what it says of its marks."""
    if not text.startswith(_HEADER):
        return text, {}
    line, _, rest = text.partition("\n")
    marks: dict[str, Any] = {}
    for pair in line.removeprefix(_HEADER).split(","):
        name, colon, value = pair.partition(":")
        if not colon:
            raise FilterError(f"failed to parse jinja2 override {pair.strip()!r}. Missing key-value separator ':'")
        if name.strip() not in _MARKS:
            raise FilterError(f"{name.strip()!r} is no override of a template; these are: {', '.join(_MARKS)}")
        try:
            marks[name.strip()] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError) as error:
            raise FilterError(f"the override {name.strip()} has no value that can be read: {value.strip()}") from error
    return rest, marks


def _template(context: Context, *names: str, template_vars: Any = None, **options: Any) -> list[Any]:
    return [_rendered(context, name, template_vars or {}, options) for name in names]


def _rendered(context: Context, name: str, variables: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    path = required_file(context, name, "templates")
    folders = [path.parent, *search_folders(context, "templates")]
    marks = {mark: options[mark] for mark in _MARKS if mark in options}
    source, own = own_marks(vault.plain_text(path.read_text(encoding="utf-8"), Where(str(path), 1)))
    chosen = {"trim_blocks": True, **marks, **own}
    environment = context.environment.overlay(loader=FileSystemLoader(folders), **chosen)
    seen = context.get_all()
    seen = seen.over(about_template(path, seen), variables)  # type: ignore[attr-defined]
    parts = list(environment.from_string(source).root_render_func(environment.from_string("").new_context(seen)))
    text = "".join("" if part is None else str(plain(part)) for part in parts)
    return newlines_kept(text, source) if parts else None


def about_template(path: Path, scope: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a template knows of itself; a user's own ``ansible_managed`` stands above ours."""
    return {
        **({} if "ansible_managed" in scope else {"ansible_managed": "Ansible managed"}),
        "template_path": str(path),
        "template_fullpath": str(path.resolve()),
        "template_host": os.uname().nodename,
        "template_uid": _owner(path),
        "template_mtime": datetime.fromtimestamp(path.stat().st_mtime),
        "template_run_date": datetime.now(),
    }


def _owner(path: Path) -> Any:
    try:
        return path.owner()
    except KeyError:
        return path.stat().st_uid


FILE_LOOKUPS: dict[str, Callable[..., list[Any]]] = {
    "file": _file,
    "fileglob": _fileglob,
    "first_found": _first_found,
    "template": _template,
    "unvault": _unvault,
}
