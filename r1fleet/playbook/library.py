"""A user's own modules: files in ``library/`` beside the playbook and in roles, written as r1fleet's own are."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from r1fleet.agent import conversions
from r1fleet.agent.arguments import Spec
from r1fleet.errors import PlaybookError, Where
from r1fleet.playbook import catalogue
from r1fleet.playbook.catalogue import Known

FOLDER = "library"
_TYPES = conversions.kinds()
_HELP = "docs/modules.md tells how a module is written"
_PORT = (
    "give it ARGUMENTS (the argument_spec) and `def run(ctx)`, which returns what exit_json got: ctx.args is "
    "module.params, ctx.fail() fail_json(), ctx.check check_mode, ctx.run() run_command() (docs/modules.md)"
)


class Library:
    """The modules found so far, by name; a module is read when a task first names it."""

    def __init__(self) -> None:
        self._files: dict[str, Path] = {}
        self._known: dict[str, Known] = {}
        self._sources: dict[str, str] = {}
        self._sealed = False

    @property
    def sources(self) -> Mapping[str, str]:
        """Return the sources of the modules that tasks name: what hosts need."""
        return dict(self._sources)

    def add(self, folder: Path) -> None:
        """Take in the modules of a ``library`` folder, if it is there; raise PlaybookError for a name that is taken."""
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.suffix != ".py" or path.name.startswith("_"):
                continue
            if catalogue.find(path.stem) is not None:
                _refuse_ours(path)
                continue
            other = self._files.setdefault(path.stem, path)
            if other != path and other.read_bytes() != path.read_bytes():
                raise PlaybookError(
                    f"two modules are called {path.stem!r}: {other} and {path}", hint="rename one of them"
                )

    def seal(self) -> Library:
        """From now on no further module can be sent to hosts."""
        self._sealed = True
        return self

    def find(self, name: str) -> Known | None:
        """Return what is known of an action: one of r1fleet's, else one of the user's."""
        known = catalogue.find(name)
        if known is not None:
            return known
        if name not in self._known and name in self._files:
            self._read(name, self._files[name])
        return self._known.get(name)

    def names(self) -> tuple[str, ...]:
        """Return every name a task may use, in short form."""
        return tuple(sorted({*catalogue.names(), *self._files}))

    def _read(self, name: str, path: Path) -> None:
        where = Where(str(path), 1)
        if self._sealed:
            raise PlaybookError(
                f"the module {name!r} was not known before the run",
                where=where,
                hint="name its role without a template",
            )
        source = path.read_text(encoding="utf-8", errors="surrogateescape")
        _refuse_foreign(source, path)
        code = _loaded(name, source, path)
        self._known[name] = Known(
            name,
            Spec.of(code),
            getattr(code, "FREE_FORM", None),
            on_host=True,
            local=bool(getattr(code, "LOCAL", False)),
            check_mode=bool(getattr(code, "CHECK_MODE", True)),
        )
        self._sources[name] = source


def _refuse_ours(path: Path) -> None:
    """Refuse a module that would stand in for one of r1fleet's; one for Ansible is not needed, r1fleet's is used."""
    try:
        _refuse_foreign(path.read_text(encoding="utf-8", errors="surrogateescape"), path)
    except PlaybookError:
        return
    raise PlaybookError(
        f"r1fleet has a module {path.stem!r} already", where=Where(str(path), 1), hint="give yours another name"
    )


def _refuse_foreign(source: str, path: Path) -> None:
    """Refuse a module that is written for Ansible, without running it."""
    try:
        tree = ast.parse(source, str(path))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        what = f"this module is no Python: {getattr(error, 'msg', error)}"
        raise PlaybookError(what, where=Where(str(path), line), hint=_HELP) from error
    for node, name in _imports(tree):
        if name.partition(".")[0] == "ansible":
            raise PlaybookError(
                f"{path.stem} is a module for Ansible: it imports {name}",
                where=Where(str(path), node.lineno),
                hint=_PORT,
            )
    for row in tree.body:
        if isinstance(row, ast.FunctionDef) and row.name == "run" and len(row.args.args) == 1:
            return
    raise PlaybookError("this module has no `def run(ctx)`", where=Where(str(path), 1), hint=_HELP)


def _imports(tree: ast.Module) -> Iterator[tuple[ast.stmt, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node, node.module or ""


def _loaded(name: str, source: str, path: Path) -> ModuleType:
    """Run the file's own lines, which define ARGUMENTS and functions; hosts do the same."""
    code = ModuleType(f"r1fleet.modules.{name}")
    code.__file__ = str(path)
    try:
        exec(compile(source, str(path), "exec", dont_inherit=True), code.__dict__)
    except Exception as error:  # a user's file may raise anything
        raise PlaybookError(
            f"the module {name!r} cannot be loaded: {type(error).__name__}: {error}",
            where=Where(str(path), _line_in(error, path)),
            hint="a module needs the standard library and r1fleet.agent only",
        ) from error
    _check_arguments(getattr(code, "ARGUMENTS", None), path)
    return code


def _line_in(error: BaseException, path: Path) -> int:
    """Return the line of the file that an exception came from."""
    line, trace = 1, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _check_arguments(arguments: Any, path: Path) -> None:
    where = Where(str(path), 1)
    if not isinstance(arguments, Mapping):
        raise PlaybookError("this module has no ARGUMENTS, a mapping of names to rows", where=where, hint=_HELP)
    for name, row in arguments.items():
        if not isinstance(name, str) or not isinstance(row, Mapping):
            raise PlaybookError(f"ARGUMENTS: {name!r} needs a row such as {{'type': 'str'}}", where=where, hint=_HELP)
        kind = row.get("type", "str")
        if kind not in _TYPES:
            raise PlaybookError(
                f"ARGUMENTS: {name!r} has the unknown type {kind!r}", where=where, hint=f"one of {', '.join(_TYPES)}"
            )
