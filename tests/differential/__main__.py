"""``python -m tests.differential renew [CASE ...]``: ask Ansible about cases, and keep what it did.

Without names, those whose verdict is missing or no longer theirs. ``compare`` runs r1fleet and shows differences.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from r1fleet.lab import Lab
from tests.differential.case import Case, cases
from tests.differential.engines import NoRecap, ansible, judge, r1fleet
from tests.differential.ground import fresh_lab
from tests.differential.oracle import ensure_oracle
from tests.differential.verdict import save, saved, unexpected


def main(words: list[str]) -> int:
    if not words or words[0] not in ("renew", "compare"):
        sys.stderr.write(__doc__ or "")
        return 5
    chosen = [case for case in cases() if case.name in words[1:]] if words[1:] else cases()
    if words[0] == "compare":
        return _compare(chosen)
    return _renew(chosen if words[1:] else [case for case in chosen if _is_stale(case)])


def _renew(chosen: list[Case]) -> int:
    failed = 0
    for lab, case in _grounds("theirs", chosen):
        engine = ansible(ensure_oracle(case))
        with tempfile.TemporaryDirectory() as folder:
            try:
                save(case, judge(case, engine, lab, Path(folder)))
                told = f"judged by {engine.name}"
            except NoRecap as error:
                failed += 1
                told = str(error)
        sys.stdout.write(f"{case.name}: {told}\n")
        sys.stdout.flush()
    return 2 if failed else 0


def _compare(chosen: list[Case]) -> int:
    found: list[str] = []
    for lab, case in _grounds("ours", chosen):
        with tempfile.TemporaryDirectory() as folder:
            try:
                found += unexpected(case, saved(case), judge(case, r1fleet(), lab, Path(folder)))
            except (AssertionError, NoRecap) as error:
                found.append(f"{case.name}: {error}")
    sys.stdout.write("\n".join([*found, f"{len(chosen)} cases, {len(found)} differences", ""]))
    return 2 if found else 0


def _grounds(side: str, chosen: list[Case]) -> Iterator[tuple[Lab, Case]]:
    """Yield each case with the hosts it needs, this checkout's own."""
    checkout = hashlib.sha256(str(Path(__file__).parent).encode()).hexdigest()[:4]
    for dressed in (False, True):
        alike = [case for case in chosen if case.dressed is dressed]
        if alike:
            with fresh_lab(f"differential-{checkout}-{side}", dressed=dressed) as lab:
                yield from ((lab, case) for case in alike)


def _is_stale(case: Case) -> bool:
    try:
        saved(case)
    except AssertionError:
        return True
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
