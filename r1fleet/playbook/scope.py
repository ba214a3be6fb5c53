"""Variables as one task on one host sees them: raw layers, rendered only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from r1fleet.errors import PlaybookError, Where

Render = Callable[[Any, "Scope"], Any]


class MissingType:
    """The answer for a name that no layer holds."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING = MissingType()


class CircularVariable(PlaybookError):
    """A variable that needs itself to be rendered."""


class PendingResult(Exception):
    """A result was needed that is still under way."""


class OtherHosts(PendingResult):
    """The state of other hosts was needed by a host that is ahead of them."""


PENDING = MissingType()
"""Stands for a result that is still under way."""


class Scope(Mapping[str, Any]):
    """Layers of raw variables, the strongest first; iteration yields names, indexing yields rendered values."""

    __slots__ = ("_layers", "_memo", "_render", "_resolving")

    def __init__(self, layers: Sequence[Mapping[str, Any]], render: Render) -> None:
        self._layers = tuple(layers)
        self._render = render
        self._memo: dict[str, Any] = {}
        self._resolving: list[str] = []

    def over(self, *layers: Mapping[str, Any]) -> Scope:
        """Return a scope with stronger layers above this one."""
        return Scope((*layers, *self._layers), self._render)

    def raw(self, name: str) -> Any:
        """Return the strongest layer's value as written, or MISSING."""
        for layer in self._layers:
            if name in layer:
                return layer[name]
        return MISSING

    def resolve(self, name: str) -> Any:
        """Return the rendered value, or MISSING; the value may itself be undefined."""
        memo = self._memo
        if name in memo:
            return memo[name]
        value = self.raw(name)
        if value is MISSING:
            return self if name == "vars" else value
        if value is PENDING:
            raise PendingResult(name)
        if name in self._resolving:
            raise CircularVariable(
                _chain([*self._resolving[self._resolving.index(name) :], name]), where=where_of(value)
            )
        self._resolving.append(name)
        try:
            value = self._render(value, self)
        finally:
            self._resolving.pop()
        memo[name] = value
        return value

    def __getitem__(self, name: str) -> Any:
        value = self.resolve(name)
        if value is MISSING:
            raise KeyError(name)
        return value

    def __contains__(self, name: object) -> bool:
        return any(name in layer for layer in self._layers)

    def __iter__(self) -> Iterator[str]:
        seen: set[str] = set()
        for layer in self._layers:
            for name in layer:
                if name not in seen:
                    seen.add(name)
                    yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)


def where_of(value: object) -> Where | None:
    """Return the position of a value that a file wrote, if it has one."""
    where = getattr(value, "where", None)
    return where if isinstance(where, Where) else None


def _chain(names: Sequence[str]) -> str:
    return f"circular variable: {' -> '.join(names)}"
