"""``python -m tests.conformance grade|show|raise|judge [TARGET ...]``, as root: it brings lab hosts up.

grade   print each target's score beside the committed one
show    the same, with the tasks that ended otherwise; output is kept in the cache
raise   the same as grade, and write scores that rose into scores.toml and docs/conformance.md
judge   ask Ansible again, also where its verdict is kept
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from r1fleet.cache import cache_dir
from tests.conformance.engines import Engine, ansible, core_oracle, r1fleet
from tests.conformance.grade import Grade, differences, grade
from tests.conformance.play import Run, play
from tests.conformance.scores import committed, fallen, raised, write, write_document
from tests.conformance.sdist import ensure_targets
from tests.conformance.targets import TARGETS, Target, chosen
from tests.conformance.transcript import Step
from tests.conformance.verdicts import save, saved

_COMMANDS = ("grade", "show", "raise", "judge")


class NoVerdict(Exception):
    """Ansible itself broke off."""


def main(words: list[str]) -> int:
    if not words or words[0] not in _COMMANDS:
        sys.stderr.write(__doc__ or "")
        return 5
    command, targets = words[0], chosen(words[1:])
    oracle = core_oracle()
    folder, theirs = ensure_targets(oracle), ansible(oracle)
    old, new = committed(), {}
    for target in targets:
        try:
            verdict = judged(target, theirs, folder, again=command == "judge")
        except NoVerdict as error:
            _tell(str(error))
            continue
        if command == "judge":
            _tell(f"{target.name}: {len(verdict)} tasks judged by {theirs.name}")
            continue
        run = _kept(target, "ours", play(target, r1fleet(), folder, _lab("ours")))
        new[target.name] = grade(verdict, run.steps)
        _tell(_line(target, new[target.name], old.get(target.name)))
        if command == "show":
            _tell(*run.refused, *differences(verdict, run.steps))
        if command == "raise":  # at once: a run that is interrupted keeps what it has found
            write(raised(committed(), {target.name: new[target.name]}))
            write_document(committed(), {each.name: each.kind for each in TARGETS})
    return 2 if any(name in old and fallen(old[name], found) for name, found in new.items()) else 0


def judged(target: Target, theirs: Engine, folder: Path, *, again: bool = False) -> tuple[Step, ...]:
    """Return Ansible's verdict, asked for where it is not kept."""
    verdict = None if again else saved(target, theirs.name)
    if verdict is None:
        run = _kept(target, "theirs", play(target, theirs, folder, _lab("theirs")))
        if not run.steps:
            raise NoVerdict(f"{theirs.name} came to no end of {target.name}: {run.told[-2000:]}")
        verdict = run.steps
        save(target, theirs.name, verdict)
    return verdict


def _kept(target: Target, whose: str, run: Run) -> Run:
    """Keep what an engine told, for people who look for a difference's cause."""
    (cache_dir("conformance", "told") / f"{target.name}-{whose}.txt").write_text(run.told)
    return run


def _lab(whose: str) -> str:
    return f"conformance-{whose}-{os.getpid()}"


def _line(target: Target, found: Grade, old: Grade | None) -> str:
    before = f"  (committed: {old.percent} %)" if old else ""
    return f"{target.kind:9} {target.name:28} {found.same:4} of {found.tasks:4}  {found.percent:5} %{before}"


def _tell(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
