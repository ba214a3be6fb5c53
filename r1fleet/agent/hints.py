"""What stands for ``typing`` while the agent runs: names in annotations mean nothing there, and loading it takes 6 ms.

Only modules of the bundle see it; the standard library, and a name that is not here, get the real one.
"""

from __future__ import annotations

import builtins
from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Tuple

_PLAIN = (
    "IO Any BinaryIO Callable Dict FrozenSet Generator Generic Iterable Iterator List Mapping MutableMapping NoReturn"
    " Optional Pattern Sequence Set Tuple Type TypeVar Union cast"
)


class _Hint:
    """Any name of ``typing``: takes what it is given in brackets or in a call."""

    def __getitem__(self, _: Any) -> _Hint:
        return self

    def __call__(self, *values: Any) -> Any:
        return values[-1]  # what cast() was given

    def __mro_entries__(self, _: Tuple[Any, ...]) -> Tuple[Any, ...]:
        return ()


class _Rows(type):
    """Makes a class of named fields what ``typing.NamedTuple`` makes it: a tuple with names, defaults and methods."""

    def __new__(cls, name: str, bases: Tuple[Any, ...], space: Dict[str, Any]) -> Any:
        fields = list(space.get("__annotations__", ()))
        values = [space.pop(field) for field in fields if field in space]
        base = namedtuple(name, fields, defaults=values)  # type: ignore[misc]
        made = type(name, (base,), dict(space, __slots__=()))
        made._field_defaults = base._field_defaults  # type: ignore[attr-defined]
        return made


class _NamedTuple:
    def __mro_entries__(self, _: Tuple[Any, ...]) -> Tuple[Any, ...]:
        return (_Root,)


_Root = type.__new__(_Rows, "_Root", (), {})


class _Typing:
    """The module."""


_SHADOW = _Typing()
_SHADOW.__dict__.update(dict.fromkeys(_PLAIN.split(), _Hint()), NamedTuple=_NamedTuple())
_import = builtins.__import__


def import_lightly(name: str, space: Any = None, local: Any = None, names: Any = (), level: int = 0) -> Any:
    """Import as Python does, but take names of ``typing`` from here."""
    if name == "typing" and names and all(word in _SHADOW.__dict__ for word in names):
        return _SHADOW
    return _import(name, space, local, names, level)


BUILTINS = dict(vars(builtins), __import__=import_lightly)
"""The built-in names of modules that import lightly."""
