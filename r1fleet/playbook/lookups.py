"""Ansible's lookups and the functions that templates may call; they run on the controller."""

# Signatures are Ansible's and Jinja2's: their booleans may be given by position.
# ruff: noqa: FBT001, FBT002

from __future__ import annotations

import os
import random
import re
import secrets
import string
import subprocess
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from itertools import product, zip_longest
from pathlib import Path
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context, Undefined

from r1fleet.errors import Where
from r1fleet.inventory import vault
from r1fleet.playbook.filters import dict_to_items, file_glob, flatten, subelements
from r1fleet.playbook.filters_text import FilterError
from r1fleet.playbook.lazy import plain

Lookup = Callable[..., list[Any]]
Variables = Mapping[str, Any] | Context


def search_folders(context: Variables, kind: str) -> list[Path]:
    """Return where a relative path of ``kind`` (files, templates, vars, tasks) is looked up, nearest first."""
    bases = [Path(str(context[name])) for name in ("role_path", "_task_folder", "playbook_dir") if context.get(name)]
    return [folder for base in bases for folder in (base / kind, base)]


def find_file(context: Variables, name: str, kind: str) -> Path | None:
    """Find a controller's file as Ansible does: the role's, then the playbook's."""
    path = Path(name).expanduser()
    if path.is_absolute():
        return path if path.exists() else None
    return next((folder / path for folder in search_folders(context, kind) if (folder / path).exists()), None)


def _required_file(context: Context, name: str, kind: str) -> Path:
    path = find_file(context, str(name), kind)
    if path is None:
        raise FilterError(
            f"could not locate file {name!r}, looked in {', '.join(map(str, search_folders(context, kind)))}"
        )
    return path


def _env(_: Context, *names: str, default: Any = "") -> list[Any]:
    return [os.environ.get(name, default) for name in names]


def _file(context: Context, *names: str, lstrip: bool = False, rstrip: bool = True) -> list[Any]:
    paths = [_required_file(context, name, "files") for name in names]
    texts = [vault.plain_text(path.read_text(encoding="utf-8"), Where(str(path), 1)) for path in paths]
    texts = [text.rstrip() if rstrip else text for text in texts]
    return [text.lstrip() if lstrip else text for text in texts]


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
        value = context.resolve(name)
        if isinstance(value, Undefined) and default is None:
            raise FilterError(f"No variable named {name!r} was found.")
        found.append(default if isinstance(value, Undefined) else value)
    return found


def _varnames(context: Context, *patterns: str) -> list[Any]:
    return [name for pattern in patterns for name in context.get_all() if re.search(pattern, name)]


def _url(_: Context, *addresses: str, split_lines: bool = True, **__: Any) -> list[Any]:
    found: list[Any] = []
    for address in addresses:
        with urllib.request.urlopen(address, timeout=10) as reply:
            text = reply.read().decode()
        found.extend(text.splitlines() if split_lines else [text])
    return found


def _password(context: Context, *terms: str, **options: Any) -> list[Any]:
    """Read a password file, made with a random password if it is not there."""
    return [_one_password(context, term, dict(options)) for term in terms]


def _one_password(context: Context, term: str, options: dict[str, Any]) -> str:
    name, *pairs = term.split()
    options.update(_pairs(pairs))
    folder = Path(str(context.get("playbook_dir") or "."))
    path = folder / Path(name).expanduser()
    if name != "/dev/null" and path.exists():
        return path.read_text(encoding="utf-8").splitlines()[0].split(" salt=")[0]
    chosen = options.get("chars", ["ascii_letters", "digits", ".,:-_"])
    kinds = chosen.split(",") if isinstance(chosen, str) else chosen
    letters = "".join(getattr(string, kind, kind) for kind in kinds)
    password = "".join(secrets.choice(letters) for _ in range(int(options.get("length", 20))))
    if name != "/dev/null":
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.write_text(f"{password}\n", encoding="utf-8")
    return password


def _pairs(words: Iterable[str]) -> dict[str, str]:
    return {name: value for name, mark, value in (word.partition("=") for word in words) if mark}


def _first_found(
    context: Context, *terms: Any, files: Any = None, paths: Any = None, skip: bool = False, **__: Any
) -> list[Any]:
    names: list[Any] = []
    for term in [*flatten(terms), *([{"files": files, "paths": paths or [], "skip": skip}] if files else [])]:
        if isinstance(term, Mapping):
            skip = skip or bool(term.get("skip"))
            names += [
                str(Path(folder) / name)
                for name in _listed(term.get("files"))
                for folder in _listed(term.get("paths")) or ["."]
            ]
        else:
            names.append(term)
    for name in names:
        for kind in ("files", "templates", "vars", "tasks"):
            found = find_file(context, str(name), kind)
            if found is not None:
                return [str(found)]
    if skip:
        return []
    raise FilterError(f"No file was found when using first_found: {', '.join(map(str, names))}")


def _listed(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [part for part in re.split(r"[,;]", value) if part]
    return list(value or [])


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


_SEQUENCE = re.compile(
    r"^(?:(?P<start>0?x?[0-9a-f]+)-)?(?P<end>0?x?[0-9a-f]+)(?:/(?P<stride>-?\w+))?(?::(?P<format>.+))?$", re.IGNORECASE
)


def _sequence(_: Context, *terms: str, **options: Any) -> list[Any]:
    return [text for term in terms or ("",) for text in _one_sequence(term, dict(options))]


def _one_sequence(term: str, options: dict[str, Any]) -> list[str]:
    found = _SEQUENCE.match(term)
    if found:
        options.update({name: value for name, value in found.groupdict().items() if value is not None})
    else:
        options.update(_pairs(term.split()))
    start, stride = int(str(options.get("start", 1)), 0), int(str(options.get("stride", 1)), 0)
    if "count" in options:
        end = start + (int(str(options["count"]), 0) - 1) * stride
    elif "end" in options:
        end = int(str(options["end"]), 0)
    else:
        raise FilterError("must specify count or end in with_sequence")
    if stride == 0 or ("count" in options and int(options["count"]) == 0):
        return []
    form = options.get("format", "%d")
    return [form % number for number in range(start, end + (1 if stride > 0 else -1), stride)]


def newlines_kept(text: str, source: str) -> str:
    """End what a template file gave with as many newlines as the file, as Ansible does; Jinja2 drops one."""
    return text + "\n" * (_newlines_at_end(source) - _newlines_at_end(text))


def _newlines_at_end(text: str) -> int:
    return len(text) - len(text.rstrip("\n"))


def _template(context: Context, *names: str, **_: Any) -> list[Any]:
    texts = []
    environment = context.environment.overlay(trim_blocks=True)
    for name in names:
        path = _required_file(context, name, "templates")
        source = path.read_text(encoding="utf-8")
        template = environment.from_string(source)
        text = "".join(map(str, template.root_render_func(template.new_context(context.get_all()))))
        texts.append(newlines_kept(text, source))
    return texts


def _nested(_: Context, *terms: Any) -> list[Any]:
    return [flatten(row) for row in product(*terms)]


def _subelements(_: Context, items: Any, path: Any, flags: Any = None) -> list[Any]:
    pairs = subelements(items, path, bool((flags or {}).get("skip_missing")))
    top = str(path).partition(".")[0]
    return [[{key: value for key, value in element.items() if key != top}, item] for element, item in pairs]


LOOKUPS: dict[str, Lookup] = {
    "dict": lambda _, *terms: [pair for term in terms for pair in dict_to_items(term)],
    "env": _env,
    "file": _file,
    "fileglob": _fileglob,
    "first_found": _first_found,
    "flattened": lambda _, *terms: flatten(terms),
    "indexed_items": lambda _, *terms: [list(pair) for pair in enumerate(flatten(terms, 1))],
    "items": lambda _, *terms: flatten(terms, 1, skip_nulls=False),
    "lines": _lines,
    "list": lambda _, *terms: list(terms),
    "nested": _nested,
    "password": _password,
    "pipe": _pipe,
    "random_choice": lambda _, *terms: [random.SystemRandom().choice(flatten(terms, 1))],
    "sequence": _sequence,
    "subelements": _subelements,
    "template": _template,
    "together": lambda _, *terms: [list(row) for row in zip_longest(*terms)],
    "url": _url,
    "varnames": _varnames,
    "vars": _vars,
}


@pass_context
def lookup(
    context: Context, name: str, *terms: Any, wantlist: bool = False, errors: str = "strict", **options: Any
) -> Any:
    """Look something up on the controller; several answers are joined by commas unless ``wantlist``."""
    stem = name.rpartition(".")[2]
    if stem not in LOOKUPS:
        raise FilterError(f"unknown lookup {name!r}; known: {', '.join(sorted(LOOKUPS))}")
    try:
        found = LOOKUPS[stem](context, *plain(list(terms)), **options)
    except (FilterError, OSError):
        if errors in {"ignore", "warn"}:
            return [] if wantlist else None
        raise
    if wantlist:
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


def undef(hint: str | None = None) -> Undefined:
    """Return an undefined value."""
    return Undefined(hint=hint)


GLOBALS: dict[str, Any] = {"lookup": lookup, "query": query, "q": query, "now": now, "undef": undef}
