"""How much of what Ansible did with a target's tasks r1fleet did, too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from tests.conformance.transcript import Step


@dataclass(frozen=True, slots=True)
class Grade:
    """``same`` of ``tasks`` ended alike; what ran under one engine only counts among the tasks."""

    tasks: int
    same: int

    @property
    def percent(self) -> float:
        """The share, rounded down to a tenth: 100 is all."""
        return self.same * 1000 // self.tasks / 10 if self.tasks else 0.0


def grade(theirs: Sequence[Step], ours: Sequence[Step]) -> Grade:
    """Compare two runs, step after step in order."""
    same = sum(block.size for block in _matcher(theirs, ours).get_matching_blocks())
    return Grade(max(len(theirs), len(ours)), same)


def differences(theirs: Sequence[Step], ours: Sequence[Step]) -> Iterator[str]:
    """Yield Ansible's steps with ``-`` and ours with ``+`` where they differ."""
    for tag, a, b, c, d in _matcher(theirs, ours).get_opcodes():
        if tag != "equal":
            yield from (f"- {step}" for step in theirs[a:b])
            yield from (f"+ {step}" for step in ours[c:d])


def _matcher(theirs: Sequence[Step], ours: Sequence[Step]) -> SequenceMatcher[Step]:
    return SequenceMatcher(None, theirs, ours, autojunk=False)
