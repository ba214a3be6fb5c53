"""The committed scores: how many tasks of each target are graded, and how many end as under Ansible."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from tests.conformance.grade import Grade

SCORES = Path(__file__).parent / "scores.toml"
DOCUMENT = Path(__file__).parents[2] / "docs" / "conformance.md"
_MARK = "<!-- Below: written by `python -m tests.conformance raise`. -->"
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


def write_document(grades: Mapping[str, Grade], kinds: Mapping[str, str]) -> None:
    """Write the table of docs/conformance.md anew."""
    lines = []
    for kind in dict.fromkeys(kinds.values()):
        found = {name: grades[name] for name in sorted(grades) if kinds.get(name) == kind}
        whole = Grade(sum(row.tasks for row in found.values()), sum(row.same for row in found.values()))
        lines += [f"## {kind.capitalize()}", "", "| target | tasks | alike | score |", "|---|---|---|---|"]
        lines += [f"| {name} | {row.tasks} | {row.same} | {row.percent} % |" for name, row in found.items()]
        lines += [f"| **all** | {whole.tasks} | {whole.same} | **{whole.percent} %** |", ""]
    head, mark, _ = DOCUMENT.read_text().partition(_MARK)
    DOCUMENT.write_text(f"{head}{mark}\n\n" + "\n".join(lines).rstrip() + "\n")


def raised(old: Mapping[str, Grade], new: Mapping[str, Grade]) -> dict[str, Grade]:
    """Return the better of two scores for each target."""
    return {name: max(_both(name, old, new), key=lambda found: found.percent) for name in {*old, *new}}


def fallen(old: Grade, new: Grade) -> bool:
    """Tell whether a score is lower than the committed one."""
    return new.percent < old.percent


def _both(name: str, old: Mapping[str, Grade], new: Mapping[str, Grade]) -> list[Grade]:
    return [scores[name] for scores in (new, old) if name in scores]
