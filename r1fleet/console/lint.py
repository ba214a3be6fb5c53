"""What lint found, as text and as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from r1fleet.console.text import clean
from r1fleet.errors import FleetError
from r1fleet.playbook import Report


def lint_lines(report: Report) -> Iterator[str]:
    """Yield every problem with its place and hint, then the figures."""
    for problem in report.problems:
        yield from clean(str(problem)).split("\n")
    if report.problems:
        yield ""
    for place in report.unread:
        yield f"not looked at: {clean(place)}"
    if report.missing:
        names = ", ".join(f"{name} ({count})" for name, count in report.missing.most_common())
        yield f"modules that are not here: {clean(names)}"
    total = report.total
    named, inside = _share(total.named, total.tasks), _share(total.inside, total.tasks)
    yield (
        f"{total.tasks} tasks in {len(report.parts)} roles and playbooks: "
        f"{named} name a module that is here, {inside} are inside as a whole; "
        f"{len(report.whole)} of {len(report.parts)} without any problem"
    )


def lint_data(report: Report) -> dict[str, Any]:
    """Return the same as plain data."""
    return {
        "tasks": report.total.tasks,
        "named": report.total.named,
        "inside": report.total.inside,
        "parts": {
            name: {"tasks": part.tasks, "named": part.named, "inside": part.inside, "whole": name in report.whole}
            for name, part in report.parts.items()
        },
        "missing_modules": dict(report.missing.most_common()),
        "not_looked_at": report.unread,
        "problems": [_problem(problem) for problem in report.problems],
    }


def _problem(problem: FleetError) -> dict[str, Any]:
    where = problem.where
    place = {"path": where.path, "line": where.line, "column": where.column} if where else {}
    return {**place, "what": problem.what, "hint": problem.hint}


def _share(part: int, whole: int) -> str:
    return f"{part} ({100 * part / whole:.1f} %)" if whole else "0"
