"""The committed scores: how many tasks of each target are graded, and how many end as under Ansible."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from tests.conformance.grade import Grade

SCORES = Path(__file__).parent / "scores.toml"
_HEAD = (
    "# Per target: tasks graded, and tasks that end as under Ansible. `python -m tests.conformance raise` writes it.\n"
)


def committed() -> dict[str, Grade]:
    """Return the committed scores, by target."""
    if not SCORES.exists():
        return {}
    return {name: Grade(row["tasks"], row["same"]) for name, row in tomllib.loads(SCORES.read_text()).items()}


def write(grades: Mapping[str, Grade]) -> None:
    """Write scores down."""
    rows = [f"{name} = {{ tasks = {found.tasks}, same = {found.same} }}\n" for name, found in sorted(grades.items())]
    SCORES.write_text(_HEAD + "".join(rows))


def raised(old: Mapping[str, Grade], new: Mapping[str, Grade]) -> dict[str, Grade]:
    """Return the better of two scores for each target."""
    return {name: max(_both(name, old, new), key=lambda found: found.percent) for name in {*old, *new}}


def fallen(old: Grade, new: Grade) -> bool:
    """Tell whether a score is lower than the committed one."""
    return new.percent < old.percent


def _both(name: str, old: Mapping[str, Grade], new: Mapping[str, Grade]) -> list[Grade]:
    return [scores[name] for scores in (new, old) if name in scores]
