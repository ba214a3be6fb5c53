"""Plans and status reports as text: what a person reads at a glance."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from r1fleet.command import Command
from r1fleet.console.text import clean, duration, one_line, size
from r1fleet.launch.failure import CONSEQUENCE
from r1fleet.launch.plan import Plan
from r1fleet.launch.record import UNNUMBERED, placed, starts
from r1fleet.status import DeploymentRow, RankRow, StatusReport
from r1fleet.topology import FROM_FACTS, Gang

COLOURS = {
    "ready": "\x1b[32m",
    "done": "\x1b[32m",
    "starting": "\x1b[33m",
    "running": "\x1b[33m",
    "degraded": "\x1b[31m",
    "failed": "\x1b[31m",
    "unreachable": "\x1b[31m",
}
_PLAIN = "\x1b[0m"


def plan_lines(
    plan: Plan, *, commands: bool = True, facts_age: float | None = None, explain: bool = False
) -> Iterator[str]:
    """Spell a plan: what runs where, why so, and each rank's exact command."""
    chosen = plan.deployment
    does = "serves" if plan.kind == "service" else "runs a job with"
    yield f"plan {plan.name} on cluster {plan.cluster}: {chosen.engine} {does} {chosen.model} ({chosen.runtime})"
    for gang in plan.gangs:
        head = f"  replica {gang.replica}: " if len(plan.gangs) > 1 else "  "
        yield f"{head}{_divided(gang)}"
    yield from (f"  endpoint {endpoint}/v1" for endpoint in plan.endpoints)
    yield from (f"  note: {note}" for note in plan.notes)
    yield from (f"  why: {line}" for line in (plan.explanation if explain else ()))
    if facts_age is not None:
        yield f"  facts of the hosts: {duration(facts_age)} old"
    rows = [
        (str(rank.node.rank), rank.node.host, rank.node.address, rank.node.interface, str(rank.node.devices))
        for rank in plan.ranks
    ]
    yield ""
    yield from columns(("rank", "host", "address", "interface", "devices"), rows)
    if commands:
        yield from _preparations(plan)
        yield from _commands(plan)
    if not plan.complete:
        yield ""
        yield f"  {FROM_FACTS} is asked of the hosts at launch (now: r1fleet plan --live)"


def status_lines(report: StatusReport, *, colour: bool = False) -> Iterator[str]:
    """Spell a report: a block per deployment with a row per rank, then the hosts that need a look."""
    if report.message:
        yield report.message
    for row in report.deployments:
        yield from _deployment(row, colour=colour)
    for host in report.hosts:
        if host.state != "ok":
            yield f"{host.cluster}: host {host.host} {_painted(host.state, colour=colour)}: {one_line(host.detail)}"
            yield from [f"  hint: {one_line(host.hint)}"] if host.hint else []
        for stray in host.strays:
            yield f"{host.cluster}: host {host.host} runs {one_line(stray)}, which no deployment names"


def _divided(gang: Gang) -> str:
    ways, nodes = gang.parallel, len(gang.nodes)
    named = {
        "tensor": ways.tensor,
        "pipeline": ways.pipeline,
        "data": ways.data,
        "expert": ways.expert,
        "attention data": ways.attention,
    }
    parts = [f"{name} {count}" for name, count in named.items() if count > 1 or name == "tensor"]
    meet = f", rendezvous {gang.leader.address}:{gang.rendezvous_port}" if nodes > 1 else ""
    return f"{', '.join(parts)} over {nodes} host{'s' if nodes > 1 else ''}{meet}"


def _preparations(plan: Plan) -> Iterator[str]:
    """Spell what makes of the download what the engine reads; a person does it."""
    for number, one in enumerate(plan.preparations, 1):
        yield ""
        yield f"  # before the launch, step {number}: {one.why}; r1fleet does not do this yet"
        for path, text in one.files.items():
            yield f"  # {path}:"
            yield from (f"  #   {line}" for line in text.splitlines())
        yield from _indented(one.command)


def _commands(plan: Plan) -> Iterator[str]:
    """Spell each rank's engine command, and the container that it runs in, where it does."""
    contained = plan.deployment.runtime == "docker"
    shown = placed(plan, UNNUMBERED).ranks
    for rank, start in zip(shown, starts(plan), strict=True):
        place = f"rank {rank.node.rank} on {rank.node.host}"
        yield from ("", f"  # {place}", *_indented(rank.command))
        if contained:
            yield from ("", f"  # {place}: its container, whose entry script runs the above", *_indented(start))
    if contained or any(rank.files for rank in shown):
        yield from ("", f"  {UNNUMBERED} in paths is the number that the launch gets")
    for client in plan.clients:
        yield from ("", "  # once it answers: a chat in the terminal", *_indented(client))


def _indented(command: Command) -> list[str]:
    return [f"  {line}" for line in command.lines().split("\n")]


def columns(head: Sequence[str], rows: Sequence[Sequence[str]], *, colour: bool = False) -> Iterator[str]:
    """Align rows below their heads, indented by two."""
    cells = [[name.upper() for name in head], *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    for cell in cells:
        padded = [text.ljust(width) for text, width in zip(cell, widths, strict=True)]
        shown = [_painted(text, colour=colour) for text in padded]
        yield "  " + "  ".join(shown).rstrip()


def _deployment(row: DeploymentRow, *, colour: bool) -> Iterator[str]:
    since = f", {duration(time.time() - row.since)} ago" if row.since else ""
    by = f" by {row.by}{since}" if row.by else ""
    does = "serves" if row.endpoints else "runs a job with"
    what = f": {row.engine} {does} {row.model}" if row.engine else ""
    generation = f", generation {row.generation}{by}" if row.generation else ""
    yield f"{row.cluster} / {row.name}  {_painted(row.state, colour=colour)}{what}{generation}"
    if row.detail:
        yield f"  {clean(row.detail)}"
    if row.phase and row.state == "starting":
        yield f"  phase: {row.phase}"
    hint = _hint(row)
    if hint:
        yield f"  hint: {hint}"
    yield from (f"  endpoint {endpoint}/v1" for endpoint in row.endpoints)
    if row.lock:
        yield f"  locked by {one_line(row.lock)}"
    rows = [_rank(rank) for rank in row.ranks]
    if rows:
        yield from columns(("rank", "host", "address", "state", "up", "memory", "pid", "detail"), rows, colour=colour)
    for probe in row.probes:
        said = f"answered in {probe.seconds:.1f} s: {one_line(probe.text)!r}" if probe.ok else one_line(probe.text)
        yield f"  probe of replica {probe.replica}: {'ok' if probe.ok else 'FAILED'}, {said}"
    yield ""


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


def _rank(rank: RankRow) -> tuple[str, ...]:
    detail = ": ".join(text for text in (rank.detail, rank.first_error) if text)
    up = duration(rank.seconds) if rank.pid else ""
    memory = size(rank.resident) if rank.resident else ""
    return (str(rank.rank), rank.host, rank.address, rank.state, up, memory, str(rank.pid or ""), detail)


def _painted(text: str, *, colour: bool) -> str:
    paint = COLOURS.get(text.strip())
    return f"{paint}{text}{_PLAIN}" if colour and paint else text
