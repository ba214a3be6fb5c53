"""What is streamed to a host: the agent at its start, then the modules that calls need, each once."""

from __future__ import annotations

import importlib.util
import marshal
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.machinery import SourceFileLoader
from pathlib import Path

import r1fleet

Part = bytes | str
"""A module as an agent takes it: bytecode, or its text."""

MARK = importlib.util.MAGIC_NUMBER
"""The kind of bytecode that this Python makes and runs; a host whose Python has another gets text."""

_CORE_STEMS = "boot context frames groups hints identities identity incoming main outcome places"
_CORE = tuple(f"r1fleet.agent.{stem}" for stem in _CORE_STEMS.split())
"""What an agent runs until its first call; all else comes with the calls that need it."""

_ROOT = Path(r1fleet.__file__).parent
_IMPORT = re.compile(r"^from (r1fleet\.[\w.]+) import (\([^)]*\)|.*)$", re.MULTILINE)


@cache
def pack() -> bytes:
    """Compress what an agent starts with, for this kind of Python and for all others, with the length in front."""
    both = {
        "mark": MARK,
        "code": {name: _part(name, compiled=True) for name in _CORE},
        "text": {name: _part(name, compiled=False) for name in _CORE},
    }
    data = zlib.compress(marshal.dumps(both, 2))
    return len(data).to_bytes(4, "big") + data


class Shipment:
    """What one agent has been sent; ``own`` are modules of the user's (name to text)."""

    def __init__(self, own: Mapping[str, str] | None = None) -> None:
        self._own = {f"r1fleet.modules.{name}": text for name, text in (own or {}).items()}
        self._sent = set(_CORE)

    def missing(self, modules: Iterable[str], mark: bytes) -> bytes | None:
        """Return what an agent of this kind still needs to run some modules; None where it has all."""
        names = tuple(name for name in self._closure(modules) if name not in self._sent)
        if not names:
            return None
        self._sent.update(names)
        if self._own.keys().isdisjoint(names):
            return _packed(names, compiled=mark == MARK)
        return _squeezed({name: self._own.get(name) or _part(name, compiled=mark == MARK) for name in names})

    def _closure(self, modules: Iterable[str]) -> list[str]:
        found: dict[str, None] = {}
        waiting = [name for name in modules if name in self._own or _path(name) is not None]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = None
                waiting += _imported(self._own[name]) if name in self._own else _needs(name)
        return list(found)


@cache
def _packed(names: tuple[str, ...], *, compiled: bool) -> bytes:
    return _squeezed({name: _part(name, compiled=compiled) for name in names})


def _squeezed(parts: Mapping[str, Part]) -> bytes:
    return zlib.compress(marshal.dumps(dict(parts), 2), 1)


@cache
def _needs(name: str) -> tuple[str, ...]:
    return tuple(_imported(_text(name)))


def _imported(text: str) -> Iterator[str]:
    """Yield the modules of ours that a module imports; imports for types alone are indented and do not count."""
    for source, names in _IMPORT.findall(text):
        if _path(source) is not None:
            yield source
        else:
            yield from (f"{source}.{name}" for name in re.findall(r"\w+", names) if _path(f"{source}.{name}"))


@cache
def _path(name: str) -> Path | None:
    """Return the file of one of the modules that may go to hosts."""
    package, _, stem = name.rpartition(".")
    path = _ROOT.joinpath(*package.split(".")[1:], f"{stem}.py")
    return path if package in ("r1fleet.agent", "r1fleet.modules") and path.is_file() else None


def _text(name: str) -> str:
    path = _path(name)
    assert path is not None
    return path.read_text(encoding="utf-8")


@cache
def _part(name: str, *, compiled: bool) -> Part:
    if not compiled:
        return _text(name)
    path = _path(name)
    assert path is not None
    # The loader compiles and keeps what nothing has imported here yet.
    return _kept_bytecode(path) or marshal.dumps(SourceFileLoader(name, str(path)).get_code(name))


def _kept_bytecode(path: Path) -> bytes | None:
    """Return what Python keeps in ``__pycache__``, if it belongs to this very text."""
    try:
        kept = Path(importlib.util.cache_from_source(str(path))).read_bytes()
        about = path.stat()
    except (OSError, NotImplementedError):
        return None
    stamp = (int(about.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little") + (about.st_size & 0xFFFFFFFF).to_bytes(
        4, "little"
    )
    return kept[16:] if kept[:16] == MARK + bytes(4) + stamp else None
