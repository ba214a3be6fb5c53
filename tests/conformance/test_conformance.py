"""What ansible-core's own targets say of r1fleet: no target's score is lower than the committed one."""

from __future__ import annotations

import pytest

from tests.conformance.__main__ import judged
from tests.conformance.engines import ansible, core_oracle, r1fleet
from tests.conformance.grade import differences, grade
from tests.conformance.play import play
from tests.conformance.scores import committed, fallen
from tests.conformance.sdist import ensure_targets
from tests.conformance.targets import TARGETS, Target

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(3000)]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_no_score_falls(target: Target, lab_name: str) -> None:
    oracle = core_oracle()
    folder = ensure_targets(oracle)
    verdict = judged(target, ansible(oracle), folder)
    run = play(target, r1fleet(), folder, f"{lab_name}-graded")
    found, old = grade(verdict, run.steps), committed()[target.name]
    told = "\n".join([*run.refused, *differences(verdict, run.steps)])
    assert not fallen(old, found), f"{target.name}: {found.percent} %, committed are {old.percent} %\n{told}"


def test_every_target_has_a_committed_score() -> None:
    assert set(committed()) == {target.name for target in TARGETS}
