"""What Ansible did with a play is what r1fleet does: statuses, order, recap, files, packages, accounts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from r1fleet.lab import Lab
from tests.differential.case import Case, cases
from tests.differential.engines import ansible, judge, r1fleet
from tests.differential.ground import fresh_lab
from tests.differential.oracle import ensure_oracle
from tests.differential.verdict import RENEW, hunks, saved, unexpected

pytestmark = pytest.mark.lab

CASES = cases()
QUICK_AND_SLOW = [pytest.param(case, marks=[pytest.mark.slow] if case.slow else []) for case in CASES]


@pytest.fixture(scope="module")
def ours(lab_name: str) -> Iterator[Lab]:
    with fresh_lab(f"{lab_name}-ours") as lab:
        yield lab


@pytest.fixture(scope="module")
def ours_dressed(lab_name: str) -> Iterator[Lab]:
    with fresh_lab(f"{lab_name}-ours-dressed", dressed=True) as lab:
        yield lab


@pytest.fixture(scope="module")
def theirs(lab_name: str) -> Iterator[Lab]:
    with fresh_lab(f"{lab_name}-theirs") as lab:
        yield lab


@pytest.fixture(scope="module")
def theirs_dressed(lab_name: str) -> Iterator[Lab]:
    with fresh_lab(f"{lab_name}-theirs-dressed", dressed=True) as lab:
        yield lab


@pytest.mark.parametrize("case", QUICK_AND_SLOW, ids=lambda case: case.name)
def test_r1fleet_does_what_ansible_did(case: Case, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    verdict = saved(case)
    ours = request.getfixturevalue("ours_dressed" if case.dressed else "ours")
    found = unexpected(case, verdict, judge(case, r1fleet(), ours, tmp_path))
    assert not found, f"- {verdict.engine}, + r1fleet\n" + "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_ansible_still_does_it(case: Case, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    verdict = saved(case)
    theirs = request.getfixturevalue("theirs_dressed" if case.dressed else "theirs")
    now = judge(case, ansible(ensure_oracle(case)), theirs, tmp_path)
    changed = [hunk for left, right in zip(verdict.runs, now.runs, strict=True) for hunk in hunks(left, right)]
    assert not changed, f"{verdict.engine} is now {now.engine}; if it is right: {RENEW} {case.name}"
