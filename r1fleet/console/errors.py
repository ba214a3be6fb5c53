"""Errors, as a person reads them."""

from __future__ import annotations

from r1fleet.console.text import clean
from r1fleet.errors import FleetError
from r1fleet.inventory.vault import masked


def render_error(error: FleetError) -> str:
    """Spell an error: the cause in the first line, then the place with what stands there, then the hint."""
    cause, *more = clean(masked(error.what)).split("\n")
    lines = [f"error: {cause}"]
    if error.where is not None and str(error.where):
        lines.append(f"  at {clean(error.where)}")
    lines += more
    if error.hint:
        first, *rest = clean(masked(error.hint)).split("\n")
        lines += [f"  hint: {first}", *(f"        {line}" for line in rest)]
    return "\n".join(lines)
