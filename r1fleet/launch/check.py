"""Quick looks before a launch, all hosts and all findings together; they change nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from r1fleet.engines import engine_of
from r1fleet.errors import FleetError, PreflightFailed
from r1fleet.launch.plan import Plan
from r1fleet.launch.record import port_of, runtime_name
from r1fleet.launch.sites import is_address
from r1fleet.launch.wants import WORKERS_LISTEN
from r1fleet.status.contact import Contact

MANIFESTS = (".r1fleet-manifest.json",)
MARKERS = ("r1fleet.json",)
HINTS = {
    "model": "r1fleet provision makes the tiny models; put any other there on every host, or correct model_path",
    "executable": "r1fleet provision installs the engine",
    "user": "r1fleet provision makes the user",
    "port": "stop what holds it, or choose another port in the deployment",
    "resolves": "put the name into every host's /etc/hosts or the DNS, or set r1fleet_address to an address",
    "leftovers": "r1fleet stop {name}",
    "parity": "r1fleet provision all hosts together, so that they hold the same",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that would break the launch."""

    host: str
    kind: str
    detail: str


def standing_checks(plan: Plan, host: str) -> list[dict[str, Any]]:
    """List what must be on a host: model, engine, user, and the hashes that must be equal everywhere."""
    spec = plan.deployment
    rows: list[dict[str, Any]] = [{"kind": "user", "name": spec.user}]
    if spec.model_path:
        rows.append({"kind": "model", "path": spec.model_path, "manifests": list(MANIFESTS)})
    programs = {rank.command.argv[0] for rank in plan.ranks if rank.node.host == host}
    if runtime_name(plan) == "venv":
        rows += [{"kind": "executable", "path": path} for path in sorted(programs) if path.startswith("/")]
        rows.append({"kind": "marker", "paths": [f"{spec.venv}/{name}" for name in MARKERS]})
    return rows + [{"kind": "resolves", "name": name} for name in _names(plan, host)]


def room_checks(plan: Plan, host: str) -> list[dict[str, Any]]:
    """List what must not be on a host: takers of our ports, processes of an earlier generation."""
    rows: list[dict[str, Any]] = [{"kind": "leftovers", "pattern": rf"r1fleet-{re.escape(plan.name)}-\d+-(\d+|ready)$"}]
    for gang in plan.gangs:
        if host not in {node.host for node in gang.nodes}:
            continue
        leads = gang.leader.host == host
        if leads or plan.deployment.engine in WORKERS_LISTEN:
            rows.append({"kind": "port", "port": port_of(plan), "purpose": "endpoint"})
        if leads and len(gang.nodes) > 1:
            taken = range(engine_of(plan.deployment.engine).ports(plan.deployment, gang))
            rows += [{"kind": "port", "port": gang.rendezvous_port + n, "purpose": "rendezvous"} for n in taken]
    return rows


def look(contact: Contact, rows: Mapping[str, list[dict[str, Any]]]) -> list[Finding]:
    """Run the checks of all hosts, one round trip each, and compare what must be equal."""
    answers = contact.ask_all("fleet_check", {host: {"checks": checks} for host, checks in rows.items()})
    findings: list[Finding] = []
    values: dict[str, dict[str, str]] = {}
    for host, answer in answers.items():
        if isinstance(answer, FleetError):
            raise answer
        for row in answer["answers"]:
            if not row["ok"]:
                findings.append(Finding(host, row["kind"], row["detail"]))
            elif row["kind"] in ("model", "marker"):
                values.setdefault(row["kind"], {})[host] = row["value"]
    return findings + list(_unequal(values))


def refuse(plan: Plan, findings: Iterable[Finding]) -> None:
    """Raise one error that holds every finding, if there is any."""
    rows = list(findings)
    if not rows:
        return
    first, *more = (f"{row.host}: {row.detail}" for row in rows)
    lines = "\n".join([first, *(f"  {line}" for line in more)])
    hints = dict.fromkeys(HINTS[row.kind].format(name=plan.name) for row in rows)
    raise PreflightFailed(f"{plan.name} cannot start: {lines}", hint="; ".join(hints))


def _names(plan: Plan, host: str) -> list[str]:
    """Return the names, in place of addresses, by which a host's gang meets."""
    gangs = [gang for gang in plan.gangs if len(gang.nodes) > 1 and host in {node.host for node in gang.nodes}]
    return [gang.leader.address for gang in gangs if not is_address(gang.leader.address)]


def _unequal(values: Mapping[str, Mapping[str, str]]) -> Iterable[Finding]:
    words = {"model": "the model's manifest", "marker": "the engine's environment"}
    for kind, by_host in values.items():
        kinds = list(by_host.values())
        usual = max(kinds, key=kinds.count)
        for host, value in by_host.items():
            if value != usual:
                others = ", ".join(other for other, same in by_host.items() if same == usual)
                told = f"{value[:12] or 'none'}, not {usual[:12] or 'none'} as on {others}"
                yield Finding(host, "parity", f"{words[kind]} differs: {told}")
