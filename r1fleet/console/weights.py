"""Syncs and shelves as text."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from r1fleet.console.tables import columns
from r1fleet.console.text import duration, one_line, size
from r1fleet.weights import Brought, Entry, HostRow, ModelPlan, Shelf, SyncPlan


def sync_lines(plan: SyncPlan, cluster: str) -> Iterator[str]:
    """Spell what a sync will do: each model, where it comes from, and each host's part."""
    for one in plan.models:
        amount = f" ({one.files} files, {size(one.size)})" if one.files else ""
        yield f"{one.model.title} for {', '.join(one.model.deployments)} on cluster {cluster}{amount}: {_way(one)}"
        yield f"  folder {one.model.path}"
        if one.moves or any(row.problem for row in one.rows):
            yield from columns(("host", "has", "needs", "free", "detail"), [_row(row) for row in one.rows])


def brought_lines(done: Brought) -> Iterator[str]:
    """Spell how a sync has ended."""
    if not done.exit_code and not any(outcome.changed for one in done.models for outcome in one.outcomes):
        yield "nothing to do: every host holds its models"
        return
    for one in done.models:
        changed = [outcome.host for outcome in one.outcomes if outcome.changed]
        if changed:
            yield f"{one.path}: brought to {', '.join(changed)}; sha256 {one.digest[:12]}"
        for failed in one.failed:
            error = failed.error
            yield f"{one.path}: {failed.host} does not hold it: {one_line(error.what if error else '')}"
            if error and error.hint:
                yield f"  hint: {one_line(error.hint)}"


def shelf_lines(shelf: Shelf) -> Iterator[str]:
    """Spell what hosts keep, a row for each folder of each host."""
    rows = [_entry(one) for one in shelf.entries]
    if rows:
        yield from columns(("host", "folder", "state", "size", "revision", "used by"), rows)
    else:
        yield "no models are kept there"
    for host, error in shelf.lost.items():
        yield f"  {host}: {one_line(error.what)}"


def pruned_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """Spell what is taken away, and how much room that makes."""
    listed = list(entries)
    yield from columns(("host", "folder", "state", "size", "untouched for"), [_unused(one) for one in listed])
    yield f"  {size(sum(one.bytes for one in listed))} in all"


def _way(one: ModelPlan) -> str:
    if one.error is not None:
        return f"cannot be had: {one_line(one.error.what)}"
    if one.origin is None or not one.moves:
        return one.note or ("every host holds it" if all(row.state == "holds" for row in one.rows) else "nothing to do")
    others = len([row for row in one.waiting if row.host != one.origin.host])
    spread = f", then to {others} other host{'s' if others > 1 else ''}" if others else ""
    if one.origin.fetches:
        where = "this controller" if one.origin.host == "localhost" else one.origin.host
        if one.listing is not None and one.listing.in_place:
            return f"sealed where it lies on {where}{spread}"
        return f"fetched from {one.origin.source} on {where}{spread}"
    return f"from {one.origin.host}, which holds it, to {others} host{'s' if others > 1 else ''}"


def _row(row: HostRow) -> tuple[str, ...]:
    detail = row.problem or row.fault or (f"the same storage as {row.by}" if row.by else "")
    return (
        row.host,
        row.state,
        size(row.needs) if row.needs else "",
        size(row.room.free) if row.room.free else "",
        detail or (f"{row.room.kind} {row.room.source}" if row.room.shared else ""),
    )


def _entry(one: Entry) -> tuple[str, ...]:
    return (one.host, one.path, one.state, size(one.bytes), one.revision[:12], ", ".join(one.users))


def _unused(one: Entry) -> tuple[str, ...]:
    untouched = duration(max(0.0, time.time() - one.touched)) if one.touched else ""
    return (one.host, one.path, one.state, size(one.bytes), untouched)
