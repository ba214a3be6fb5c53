"""A status report as text: what a person reads at a glance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from r1fleet.console.tables import columns, painted
from r1fleet.console.text import clean, duration, one_line, size
from r1fleet.status import DeploymentRow, GangRow, RankRow, StatusReport
from r1fleet.status.judge import CONSEQUENCE, DONE, STOPPED


def status_lines(report: StatusReport, *, colour: bool = False) -> Iterator[str]:
    """Spell a report: a block per deployment with a row per rank, then the hosts that need a look."""
    if report.message:
        yield report.message
    for row in report.deployments:
        yield from _deployment(row, colour=colour)
    for host in report.hosts:
        if host.state != "ok":
            yield f"{host.cluster}: host {host.host} {painted(host.state, colour=colour)}: {one_line(host.detail)}"
            yield from [f"  hint: {one_line(host.hint)}"] if host.hint else []
        for stray in host.strays:
            end = "which no deployment names; r1fleet stop --orphans ends it"
            yield f"{host.cluster}: host {host.host} runs {one_line(stray)}, {end}"
    for cluster, name in report.unlaunched:
        yield f"{cluster} / {name}: not launched"


def _deployment(row: DeploymentRow, *, colour: bool) -> Iterator[str]:
    by = f" by {row.by}, {duration(row.age)} ago" if row.by else ""
    does = "runs a job with" if row.kind == "job" else "serves"
    what = f": {row.engine} {does} {row.model}" if row.engine else ""
    what += ", unsupervised" if row.runtime == "unsupervised" else ""
    generation = f", generation {row.generation}{by}" if row.generation else ""
    yield f"{row.cluster} / {row.name}  {painted(row.state, colour=colour)}{what}{generation}"
    if row.detail:
        yield f"  {clean(row.detail)}"
    if row.phase and row.state == "starting":
        yield f"  phase: {row.phase}"
    hint = _hint(row)
    if hint:
        yield f"  hint: {hint}"
    if not row.declared:
        ends = "" if row.state in (DONE, STOPPED) else f"; r1fleet stop {row.name} ends it"
        yield f"  the inventory names no such deployment{ends}"
    yield from (_endpoint(gang, many=len(row.gangs) > 1) for gang in row.gangs if gang.endpoint)
    if row.lock:
        yield f"  locked by {one_line(row.lock)}"
    if row.ranks:
        yield from _ranks(row, colour=colour)
    for probe in row.probes:
        said = f"answered in {probe.seconds:.1f} s: {one_line(probe.text)!r}" if probe.ok else one_line(probe.text)
        yield f"  probe of replica {probe.replica}: {'ok' if probe.ok else 'FAILED'}, {said}"
    yield ""


def _endpoint(gang: GangRow, *, many: bool) -> str:
    head = f"  replica {gang.replica}: " if many else "  "
    age = gang.completion_age
    seen = "" if age is None else f", last completion seen {duration(age)} ago"
    return f"{head}endpoint {gang.endpoint}/v1{seen}"


def _hint(row: DeploymentRow) -> str:
    """Return the commands that help with a deployment that is not well."""
    if row.state not in ("failed", "degraded") or not row.generation:
        return ""
    rank = next((rank for rank in _by_cause(row.ranks) if rank.state == "failed"), None)
    look = f"r1fleet logs {row.name} --rank {rank.rank}; then " if rank else ""
    return f"{look}r1fleet restart {row.name}, or r1fleet stop {row.name}"


def _by_cause(ranks: Sequence[RankRow]) -> list[RankRow]:
    """Order ranks: those whose own error only tells that another one went away come last."""
    return sorted(ranks, key=lambda rank: bool(CONSEQUENCE.search(rank.first_error)))


def _ranks(row: DeploymentRow, *, colour: bool) -> Iterator[str]:
    """Spell a table of ranks; what no rank has, a column for replicas or GPUs, is left out."""
    named = [_cells(rank) for rank in row.ranks]
    always = ("rank", "host", "address", "state")
    heads = [head for head in named[0] if head in always or any(cells[head] for cells in named)]
    if len(row.gangs) < 2:
        heads.remove("replica")
    yield from columns(heads, [[cells[head] for head in heads] for cells in named], colour=colour)


def _cells(rank: RankRow) -> dict[str, str]:
    return {
        "replica": str(rank.replica),
        "rank": str(rank.rank),
        "host": rank.host,
        "address": rank.address,
        "state": rank.state,
        "up": duration(rank.seconds) if rank.seconds else "",
        "memory": size(rank.resident) if rank.resident else "",
        "gpu memory": _gpus(rank),
        "pid": str(rank.pid or ""),
        "detail": ": ".join(text for text in (rank.detail or rank.phase, rank.first_error) if text),
    }


def _gpus(rank: RankRow) -> str:
    if not rank.gpus:
        return ""
    used, total = (sum(getattr(gpu, name) for gpu in rank.gpus) / 2**30 for name in ("used", "total"))
    many = f" on {len(rank.gpus)}" if len(rank.gpus) > 1 else ""
    return f"{used:.1f}/{total:.1f} GiB{many}"
