"""Run the table over what is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from r1fleet.preflight.check import Check, Finding, Ground, Seen, Site, Verdict
from r1fleet.preflight.table import TABLE


def judge(ground: Ground, checks: Iterable[Check] = TABLE) -> tuple[Finding, ...]:
    """Return every finding of every check on every host where it applies, in the table's order."""
    return tuple(finding for check in checks for finding in _found(check, ground))


def worst(findings: Iterable[Finding]) -> Verdict:
    """Return FAIL where anything failed, else WARN where anything warns, else OK."""
    verdicts = {finding.verdict for finding in findings}
    return next((verdict for verdict in (Verdict.FAIL, Verdict.WARN) if verdict in verdicts), Verdict.OK)


def _found(check: Check, ground: Ground) -> Iterator[Finding]:
    if check.look is not None:
        for host, report in ground.reports.items():
            seen = check.look(Site(host, report, ground.wants.get(host), ground))
            if seen is not None:
                yield _finding(check, host, seen)
    if check.look_at_all is not None:
        for host, seen in check.look_at_all(ground):
            yield _finding(check, host, seen)


def _finding(check: Check, host: str, seen: Seen) -> Finding:
    if seen.ok:
        return Finding(host, check.name, Verdict.OK, seen.evidence)
    if seen.ok is None:
        return Finding(host, check.name, Verdict.SKIP, seen.evidence)
    remedy = check.remedy
    for name, value in {"host": host, **seen.values}.items():
        remedy = remedy.replace("{" + name + "}", value)
    return Finding(host, check.name, check.severity, seen.evidence, check.cause, remedy)
