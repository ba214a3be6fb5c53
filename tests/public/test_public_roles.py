"""Public roles run unchanged, and do what they do under Ansible."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from r1fleet import lab as labs
from r1fleet.lab import Lab
from tests.differential.engines import HOSTS, ansible, judge, r1fleet
from tests.differential.oracle import ensure_oracle
from tests.differential.verdict import unexpected
from tests.public.sources import ROLES, PublicRole

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def ours(lab_name: str) -> Iterator[Lab]:
    yield from fresh(f"{lab_name}-public-ours")


@pytest.fixture(scope="module")
def theirs(lab_name: str) -> Iterator[Lab]:
    yield from fresh(f"{lab_name}-public-theirs")


def fresh(name: str) -> Iterator[Lab]:
    labs.down(name)  # a session that was killed may have left one
    yield labs.up(name, hosts=HOSTS, extra_vars={})
    labs.down(name)


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_public_role_does_what_it_does_under_ansible(
    role: PublicRole, ours: Lab, theirs: Lab, tmp_path: Path
) -> None:
    case = role.case(tmp_path / "written")
    right = judge(case, ansible(ensure_oracle(case)), theirs, tmp_path / "theirs")
    found = unexpected(case, right, judge(case, r1fleet(), ours, tmp_path / "ours"))
    assert not found, f"- {right.engine}, + r1fleet\n" + "\n".join(found)
