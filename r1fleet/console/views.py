"""Plans as text: what a person reads before a launch."""

from __future__ import annotations

from collections.abc import Iterator

from r1fleet.command import Command
from r1fleet.console.tables import columns
from r1fleet.console.text import duration
from r1fleet.launch.plan import Plan
from r1fleet.launch.record import UNNUMBERED, placed, starts
from r1fleet.topology import FROM_FACTS, Gang


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
    """Spell what makes of the download what the engine reads."""
    for number, one in enumerate(plan.preparations, 1):
        yield ""
        yield f"  # before the launch, step {number}: {one.why}; r1fleet sync does it"
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
