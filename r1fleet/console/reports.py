"""Facts and findings as text."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from r1fleet.console.tables import columns
from r1fleet.console.text import clean, one_line
from r1fleet.errors import FleetError
from r1fleet.facts.report import Report
from r1fleet.launch.preflight import Preflight
from r1fleet.preflight import TABLE, Finding, Verdict

_UNKNOWN = "-"


def facts_lines(cluster: str, reports: Sequence[Report], lost: Mapping[str, FleetError]) -> Iterator[str]:
    """Spell what hosts have told, a row each; the whole of it is in JSON."""
    yield f"{cluster}: {len(reports)} hosts"
    rows = [tuple(clean(cell) for cell in _row(report)) for report in reports]
    heads = ("host", "system", "devices", "driver", "cuda", "network", "memory", "clock", "docker")
    yield from columns(heads, rows) if rows else ()
    for host, error in lost.items():
        yield f"  {host}: {one_line(error.what)}"
        if error.hint:
            yield f"    hint: {one_line(error.hint)}"


def check_lines() -> Iterator[str]:
    """Spell the table of checks, one a line."""
    rows = [(check.name, str(check.severity), check.applies, check.cause) for check in TABLE]
    yield from columns(("check", "else", "applies to", "because"), rows)


def preflight_lines(found: Preflight, inventory: str, *, everything: bool) -> Iterator[str]:
    """Spell findings: how many there are, then what is wrong, on which hosts, why, and the command that mends it."""
    head = f"preflight of {found.deployment}" if found.deployment else "preflight of the hosts"
    counted = Counter(str(one.verdict) for one in found.findings)
    told = ", ".join(f"{counted[verdict]} {verdict}" for verdict in Verdict if counted[verdict])
    yield f"{head}: {told or 'no host answered'}"
    alike: dict[Finding, list[str]] = {}
    for one in found.findings:
        if everything or one.verdict in (Verdict.WARN, Verdict.FAIL):
            alike.setdefault(replace(one, host=""), []).append(one.host)
    for same, hosts in alike.items():
        yield from _finding(same, hosts, inventory)
    for host, error in found.lost.items():
        yield f"[SKIP] {host}: {one_line(error.what)}"
        if error.hint:
            yield f"       {one_line(error.hint)}"


def _finding(one: Finding, hosts: Sequence[str], inventory: str) -> Iterator[str]:
    names = ", ".join(hosts[:6]) + (f" and {len(hosts) - 6} more" if len(hosts) > 6 else "")
    yield f"[{one.verdict}] {one.check} on {names}: {one_line(one.evidence)}"
    if one.cause:
        yield f"       why: {one_line(one.cause)}"
        yield f"       fix: {one_line(one.remedy.replace('INVENTORY', shlex.quote(inventory)))}"


def _row(report: Report) -> tuple[str, ...]:
    nvidia, vastai = report.nvidia, report.vastai
    counted = Counter(gpu.name for gpu in nvidia.gpus)
    devices = [f"{count}x{name}" for name, count in counted.items()]
    devices += [f"{vastai.dies} dies {vastai.card}".strip()] if vastai.dies else []
    default = report.network.default_interface
    network = f"{default} {report.network.default_address}" if default else _UNKNOWN
    memory = report.memory.total_kib
    system = report.release.get("PRETTY_NAME") or report.release.get("ID") or _UNKNOWN
    return (
        report.host,
        f"{system}{' (WSL)' if report.wsl else ''}",
        ", ".join(devices) or nvidia.problem or "none",
        nvidia.driver or vastai.driver or _UNKNOWN,
        nvidia.cuda or _UNKNOWN,
        network,
        f"{memory / 1048576:.0f} GiB" if memory else _UNKNOWN,
        f"{report.offset:+.2f} s",
        report.docker.version or _UNKNOWN,
    )
