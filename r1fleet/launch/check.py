"""What a launch asks each host to look at itself, and how it refuses to start."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from r1fleet.engines import takes_key
from r1fleet.errors import PreflightFailed
from r1fleet.events import Note
from r1fleet.inventory.addresses import is_loopback
from r1fleet.launch.plan import Plan
from r1fleet.launch.record import runtime_name
from r1fleet.launch.sites import is_address
from r1fleet.preflight import FEW, Finding, Verdict, few
from r1fleet.runtimes import kept_container, kept_name
from r1fleet.status.record import folder_of

MANIFESTS = (".r1fleet-manifest.json",)
MARKERS = ("r1fleet.json",)


def standing_checks(plan: Plan, host: str) -> list[dict[str, Any]]:
    """List what must be on a host: model, engine, user, and the hashes that must be equal everywhere."""
    spec = plan.deployment
    rows: list[dict[str, Any]] = [{"kind": "user", "name": spec.user}]
    if spec.model_path:
        rows.append({"kind": "model", "path": spec.model_path, "manifests": list(MANIFESTS)})
        rows.append({"kind": "weights", "path": spec.model_path})
    programs = {rank.command.argv[0] for rank in plan.ranks if rank.node.host == host}
    if spec.environment_on_host:
        rows += [{"kind": "executable", "path": path} for path in sorted(programs) if path.startswith("/")]
        rows.append({"kind": "marker", "paths": [f"{spec.venv}/{name}" for name in MARKERS]})
    if runtime_name(plan) == "docker" and spec.container.keep:
        _, digest = kept_container(plan.name, spec)
        rows.append({"kind": "container", "name": kept_name(plan.name), "digest": digest, "paths": sorted(programs)})
        rows.append({"kind": "marker", "paths": [f"{spec.venv}/{name}" for name in MARKERS]})
    if runtime_name(plan) == "docker" and spec.image:
        rows.append({"kind": "image", "name": spec.image})
    rows += [{"kind": "input", "path": path} for path in _inputs(plan, host)]
    return rows + [{"kind": "resolves", "name": name} for name in _names(plan, host)]


def room_checks(plan: Plan, host: str) -> list[dict[str, Any]]:
    """List what must not be on a host: processes of an earlier generation."""
    # A job may be done before its judge has seen its ranks meet; what is left of that one is stopped before the start.
    which = r"\d+" if plan.kind == "job" else r"(\d+|ready)"
    rows: list[dict[str, Any]] = [{"kind": "leftovers", "pattern": rf"r1fleet-{re.escape(plan.name)}-\d+-{which}$"}]
    return rows


def exposed(plan: Plan) -> Iterator[Note]:
    """Warn of an endpoint that anybody who reaches its host may use, and name the setting that mends it."""
    spec = plan.deployment
    if plan.kind != "service" or spec.api_key is not None or is_loopback(spec.bind):
        return
    able = "set api_key: {env: NAME}, or " if takes_key(spec.engine) else ""
    yield Note(f"the endpoint listens on {spec.bind} without an api key; {able}set bind: 127.0.0.1", "warning")


def refuse(plan: Plan, findings: Iterable[Finding], forced: frozenset[str]) -> None:
    """Raise one error that holds every finding which failed and is not forced, if there is any."""
    failed: dict[str, list[Finding]] = {}
    for row in findings:
        if row.verdict is Verdict.FAIL and row.check not in forced:
            failed.setdefault(row.check, []).append(row)
    if not failed:
        return
    first, *more = (line for rows in failed.values() for line in _evidence(rows))
    lines = "\n".join([first, *(f"  {line}" for line in more)])
    hints = [*dict.fromkeys(map(_remedy, failed.values()))]
    if any(len(rows) > FEW for rows in failed.values()):
        hints.append(f"r1fleet preflight {plan.name} tells each host's")
    hints.append("or start all the same: " + " ".join(f"--force {name}" for name in failed))
    raise PreflightFailed(f"{plan.name} cannot start: {lines}", hint="; ".join(hints))


def _evidence(rows: Sequence[Finding]) -> Iterator[str]:
    """Tell what one check has found: hosts that tell the same together, and of many only a few."""
    alike: dict[str, list[str]] = {}
    for row in rows:
        alike.setdefault(row.evidence, []).append(row.host)
    yield from (f"{few(hosts)}: {evidence}" for evidence, hosts in list(alike.items())[:FEW])
    rest = [host for hosts in list(alike.values())[FEW:] for host in hosts]
    if rest:
        yield f"{few(rest)}: {rows[0].check}, too"


def _remedy(rows: Sequence[Finding]) -> str:
    """Tell how to mend the first of them, and where the same is to be done."""
    others = [row.host for row in rows if row.remedy != rows[0].remedy]
    return rows[0].remedy + (f" (likewise on {few(others)})" if others else "")


def _inputs(plan: Plan, host: str) -> list[str]:
    """Return what the ranks of a job read on a host, beside the model and the launch's own files."""
    if plan.kind != "job":
        return []
    mine = [rank for rank in plan.ranks if rank.node.host == host]
    own, model = f"{folder_of(plan.name)}/", str(plan.deployment.model_path)
    words = (word for rank in mine for word in rank.command.argv[1:] if word.startswith("/"))
    return list(dict.fromkeys(word for word in words if not word.startswith(own) and word != model))


def _names(plan: Plan, host: str) -> list[str]:
    """Return the names, in place of addresses, by which a host's gang meets."""
    gangs = [gang for gang in plan.gangs if len(gang.nodes) > 1 and host in {node.host for node in gang.nodes}]
    return [gang.leader.address for gang in gangs if not is_address(gang.leader.address)]
