"""What one engine did with a case, as lines; Ansible's is kept in a file."""

from __future__ import annotations

import difflib
import json
import shlex
from dataclasses import dataclass

from tests.differential.case import Case, Known

RENEW = "python -m tests.differential renew"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The lines of each run, told by ``engine`` about the case with this digest."""

    engine: str
    digest: str
    runs: tuple[tuple[str, ...], ...]


def save(case: Case, verdict: Verdict) -> None:
    """Write down what Ansible did."""
    case.verdict.parent.mkdir(exist_ok=True)
    content = {"engine": verdict.engine, "digest": verdict.digest, "runs": verdict.runs}
    case.verdict.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def saved(case: Case) -> Verdict:
    """Return what Ansible did, or raise AssertionError where that is not known of the case as it is now."""
    command = f"{RENEW} {case.name}"
    assert case.verdict.exists(), f"no verdict of Ansible's on {case.name}; ask for it: {command}"
    content = json.loads(case.verdict.read_text())
    verdict = Verdict(content["engine"], content["digest"], tuple(tuple(run) for run in content["runs"]))
    assert verdict.digest == case.digest(), f"{case.name} has changed since Ansible judged it; ask again: {command}"
    return verdict


def hunks(theirs: tuple[str, ...], ours: tuple[str, ...]) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return where two runs differ: Ansible's lines, and ours in their place."""
    matcher = difflib.SequenceMatcher(None, theirs, ours, autojunk=False)
    return [(theirs[a:b], ours[c:d]) for tag, a, b, c, d in matcher.get_opcodes() if tag != "equal"]


def unexpected(case: Case, theirs: Verdict, ours: Verdict) -> list[str]:
    """Return a text for each difference that is not known, and for each known one that is no more."""
    told: list[str] = []
    for number, (options, left, right) in enumerate(zip(case.runs, theirs.runs, ours.runs, strict=True), 1):
        known = [row for row in case.known if row.run == number]
        where = f"{case.name}, run {number} {shlex.join(options)}".rstrip()
        for hunk in hunks(left, right):
            match = next((row for row in known if (row.ansible, row.r1fleet) == hunk), None)
            if match:
                known.remove(match)
            else:
                told.append("\n".join([f"{where}:", *(f"  - {x}" for x in hunk[0]), *(f"  + {x}" for x in hunk[1])]))
        told += [f"{where}: no longer different, take it from known.yml: {_first(row)}" for row in known]
    return told


def _first(row: Known) -> str:
    return next(iter((*row.ansible, *row.r1fleet)), row.because)
