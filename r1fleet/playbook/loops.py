"""What a task repeats over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from r1fleet.errors import FleetError
from r1fleet.playbook.compiling import environment
from r1fleet.playbook.filters import to_bool
from r1fleet.playbook.filters_text import FilterError
from r1fleet.playbook.lazy import plain
from r1fleet.playbook.lookups import LOOKUPS
from r1fleet.playbook.model import Loop
from r1fleet.playbook.scope import Scope
from r1fleet.playbook.templating import COMPUTED, TemplateFailed, render, render_lazy, render_text, render_trusted

_PASSES_OVER = frozenset({"first_found"})
"""Lookups that leave out what is undefined among their terms."""


@dataclass(frozen=True, slots=True)
class Item:
    """One turn of a loop: its value, what templates see, and how it is shown."""

    value: Any
    variables: Mapping[str, Any]
    var: str
    scope: Scope


def items_of(loop: Loop, scope: Scope) -> list[Any]:
    """Return the values of a loop."""
    if loop.kind == "loop":
        values = render_trusted(loop.value, scope)
        if not isinstance(values, list):
            raise TemplateFailed(
                f"Invalid data passed to 'loop', it requires a list, got this instead: {values!r}",
                where=loop.where,
                hint="use `| list`, `| dict2items`, or query() in place of lookup()",
            )
        return values
    return _looked_up(loop, scope)


def turns(loop: Loop, scope: Scope, values: list[Any]) -> list[Item]:
    """Return the turns of a loop, each with its own scope."""
    var = str(render(loop.var, scope))
    index_var = render(loop.index_var, scope)
    extended = bool(to_bool(render(loop.extended, scope)))
    with_all = bool(to_bool(render(loop.extended_allitems, scope)))
    made = []
    for index, value in enumerate(values):
        variables = {var: value, "ansible_loop_var": var}
        if index_var:
            variables[str(index_var)] = index
            variables["ansible_index_var"] = str(index_var)
        if extended:
            variables["ansible_loop"] = _extended(values, index, with_all=with_all)
        made.append(Item(value, variables, var, scope.over(variables)))
    return made


def label_of(loop: Loop, item: Item) -> str:
    """Return how an item is shown."""
    if loop.label is not None:
        return render_text(loop.label, item.scope)
    return str(item.value)


def shown_label(loop: Loop, item: Item) -> str:
    """Return how an item is shown, or why it cannot be shown so."""
    try:
        return label_of(loop, item)
    except FleetError as error:
        return f"({error.what})"


def _extended(values: list[Any], index: int, *, with_all: bool) -> dict[str, Any]:
    last = len(values) - 1
    more: dict[str, Any] = {"allitems": values} if with_all else {}
    if index > 0:
        more["previtem"] = values[index - 1]
    if index < last:
        more["nextitem"] = values[index + 1]
    return {
        "index": index + 1, "index0": index, "first": index == 0, "last": index == last, "length": len(values),
        "revindex": len(values) - index, "revindex0": last - index, **more,
    }  # fmt: skip


def _looked_up(loop: Loop, scope: Scope) -> list[Any]:
    """Return the values of a ``with_...`` loop."""
    terms = _terms(loop, scope)
    context = environment().from_string("").new_context(scope)  # type: ignore[arg-type]
    try:
        return list(LOOKUPS[loop.kind](context, *terms))
    except FilterError as error:
        raise TemplateFailed(str(error), where=loop.where) from error
    except COMPUTED as error:
        raise TemplateFailed(f"with_{loop.kind}: {error}", where=loop.where) from error


def _terms(loop: Loop, scope: Scope) -> list[Any]:
    """Return a lookup's terms: a list gives one each, except where the lookup takes a mapping."""
    lenient = loop.kind in _PASSES_OVER
    value = plain(render_lazy(loop.value, scope)) if lenient else render(loop.value, scope)
    return value if isinstance(value, list) and loop.kind != "dict" else [value]
