"""Containers from users' files whose templates are rendered only where something looks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, SupportsIndex

from r1fleet.inventory.source import Encrypted, Text
from r1fleet.playbook.scope import Render, Scope

MARKERS = ("{{", "{%", "{#")


class Omit:
    """The value that takes an argument away."""

    def __repr__(self) -> str:
        return "<omit>"


OMIT = Omit()


def is_template(value: object) -> bool:
    """Tell whether a value is text from a file with a template in it."""
    return isinstance(value, Text) and any(marker in value for marker in MARKERS)


def has_template(value: object) -> bool:
    """Tell whether a template, or what has to be decrypted, stands anywhere in a value."""
    if isinstance(value, Text):
        return is_template(value)
    if isinstance(value, Encrypted):
        return True
    if isinstance(value, dict):
        return any(has_template(part) for part in chain(value, value.values()))
    if isinstance(value, list):
        return any(has_template(part) for part in value)
    return False


class LazyMap(dict[Any, Any]):
    """A mapping that renders a value when it is looked at."""

    def __init__(self, raw: dict[Any, Any], scope: Scope, render: Render) -> None:
        super().__init__(raw)
        self._scope = scope
        self._look = render

    def __getitem__(self, key: Any) -> Any:
        return self._look(super().__getitem__(key), self._scope)

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the rendered value of ``key``."""
        return self[key] if key in self else default  # noqa: SIM401

    def values(self) -> Any:
        """Return the rendered values."""
        return [self[key] for key in self]

    def items(self) -> Any:
        """Return keys with rendered values."""
        return [(key, self[key]) for key in self]

    def plain(self) -> dict[Any, Any]:
        """Render everything."""
        return {plain(self._look(key, self._scope)): plain(self[key]) for key in self}

    def __eq__(self, other: object) -> bool:
        return bool(self.plain() == plain(other))

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None

    def __repr__(self) -> str:
        return repr(self.plain())

    __str__ = __repr__


class LazyList(list[Any]):
    """A list that renders an item when it is looked at."""

    def __init__(self, raw: list[Any], scope: Scope, render: Render) -> None:
        super().__init__(raw)
        self._scope = scope
        self._look = render

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        found = super().__getitem__(index)
        if isinstance(index, slice):
            return [self._look(item, self._scope) for item in found]
        return self._look(found, self._scope)

    def __iter__(self) -> Iterator[Any]:
        return (self._look(item, self._scope) for item in super().__iter__())

    def plain(self) -> list[Any]:
        """Render everything."""
        return [plain(item) for item in self]

    def __contains__(self, item: object) -> bool:
        return plain(item) in self.plain()

    def __add__(self, other: Any) -> Any:
        return self.plain() + plain(other)

    def __radd__(self, other: Any) -> Any:
        return plain(other) + self.plain()

    def __eq__(self, other: object) -> bool:
        return bool(self.plain() == plain(other))

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None

    def __repr__(self) -> str:
        return repr(self.plain())

    __str__ = __repr__


def plain(value: Any) -> Any:
    """Return a value with every lazy part rendered."""
    if isinstance(value, (LazyMap, LazyList)):
        return value.plain()
    if isinstance(value, (Text, Encrypted)):
        return str(value)
    if isinstance(value, dict):
        return {plain(key): plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    if isinstance(value, tuple):
        return tuple(plain(part) for part in value)
    return value
