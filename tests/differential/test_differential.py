"""What Ansible did with a play is what r1fleet does: statuses, order, recap, files, packages, accounts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from r1fleet import lab as labs
from r1fleet.lab import Lab
from tests.differential.case import Case, cases
from tests.differential.engines import HOSTS, ansible, judge, r1fleet
from tests.differential.oracle import ensure_oracle
from tests.differential.verdict import RENEW, hunks, saved, unexpected

pytestmark = pytest.mark.lab

CASES = cases()


@pytest.fixture(scope="module")
def ours(lab_name: str) -> Iterator[Lab]:
    name = f"{lab_name}-ours"
    labs.down(name)  # a session that was killed may have left one: plays need fresh hosts
    yield labs.up(name, hosts=HOSTS, extra_vars={})
    labs.down(name)


@pytest.fixture(scope="module")
def theirs(lab_name: str) -> Iterator[Lab]:
    name = f"{lab_name}-theirs"
    labs.down(name)
    yield labs.up(name, hosts=HOSTS, extra_vars={})
    labs.down(name)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_r1fleet_does_what_ansible_did(case: Case, ours: Lab, tmp_path: Path) -> None:
    verdict = saved(case)
    found = unexpected(case, verdict, judge(case, r1fleet(), ours, tmp_path))
    assert not found, f"- {verdict.engine}, + r1fleet\n" + "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_ansible_still_does_it(case: Case, theirs: Lab, tmp_path: Path) -> None:
    verdict = saved(case)
    now = judge(case, ansible(ensure_oracle(case)), theirs, tmp_path)
    changed = [hunk for left, right in zip(verdict.runs, now.runs, strict=True) for hunk in hunks(left, right)]
    assert not changed, f"{verdict.engine} is now {now.engine}; if it is right: {RENEW} {case.name}"
