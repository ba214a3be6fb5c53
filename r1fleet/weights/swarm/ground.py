"""Look at all hosts before a byte moves: who has everything, who has room, who can take part, who reaches whom."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from r1fleet.errors import FleetError, HostFailed, LockHeld, Where
from r1fleet.transport.protocol import Reply
from r1fleet.weights.cargo import Cargo
from r1fleet.weights.manifest import MANIFEST, parse
from r1fleet.weights.swarm.model import Member, SwarmSettings
from r1fleet.weights.swarm.party import Answer, Party

_SPARE = 64 << 20
_SHOWN_PAIRS = 6


@dataclass(slots=True)
class Ground:
    """What was found: hosts that have the set, hosts that cannot get it and why, and what the others told."""

    held: set[str] = field(default_factory=set)
    unfit: dict[str, FleetError] = field(default_factory=dict)
    told: dict[str, Reply] = field(default_factory=dict)


def look(party: Party, cargo: Cargo, source: Member, targets: Sequence[Member], settings: SwarmSettings) -> Ground:
    """Ask all hosts; raise where the source does not answer or another transfer runs."""
    answers = party.ask("look", {one.name: _question(cargo, one, source, settings) for one in (source, *targets)})
    ground = Ground()
    first = answers[source.name]
    if isinstance(first, FleetError):
        raise first
    for host, told in answers.items():
        if isinstance(told, FleetError):
            ground.unfit[host] = told
        elif host != source.name and _has_it(cargo, host, told):
            ground.held.add(host)
        elif host != source.name and (problem := _unfit(cargo, host, told)) is not None:
            ground.unfit[host] = problem
        else:
            ground.told[host] = told
    _refuse_others(ground)
    return ground


def check_ways(party: Party, members: Sequence[Member], settings: SwarmSettings) -> None:
    """Raise HostFailed unless every host can connect to every other one at the ports of the transfer."""
    ports = list(range(settings.first_port, settings.first_port + settings.sessions))
    token = uuid.uuid4().hex
    listening = {
        one.name: {"action": "listen", "address": one.address, "ports": ports, "token": token} for one in members
    }
    opened = party.run("fleet_reach", listening)
    try:
        _refuse_taken(opened, members, ports)
        targets = [{"host": one.name, "address": one.address, "ports": ports} for one in members]
        asked = {
            one.name: {
                "action": "connect",
                "token": token,
                "targets": [row for row in targets if row["host"] != one.name],
            }
            for one in members
        }
        tried = party.run("fleet_reach", asked)
    finally:
        party.run("fleet_reach", {one.name: {"action": "end"} for one in members})
    _refuse_blocked(tried, ports)


def _question(cargo: Cargo, member: Member, source: Member, settings: SwarmSettings) -> dict[str, Any]:
    given: dict[str, Any] = {"address": member.address, "manifest": {"name": MANIFEST}}
    if member is source:
        return {**given, "place": cargo.folder}
    return {
        **given,
        "place": cargo.place,
        "folder": cargo.staging,
        "sizes": {file.path: file.size for file in cargo.manifest.files},
        "reuse": [cargo.place, *settings.reuse],
    }


def _has_it(cargo: Cargo, host: str, told: Reply) -> bool:
    if not told["published"]:
        return False
    try:
        return parse(told["published"], Where(path=cargo.place, host=host)).digest == cargo.manifest.digest
    except FleetError:
        return False  # a damaged manifest is replaced with its folder


def _unfit(cargo: Cargo, host: str, told: Reply) -> FleetError | None:
    if not told["writable"]:
        return HostFailed(
            f"{cargo.place} cannot be written: its file system is read-only, or not ours",
            where=Where(host=host),
            hint="mount it writable, or set another weights_dir",
        )
    if told["missing"] + (_SPARE if told["missing"] else 0) > told["free"]:
        need, free = told["missing"] / 1e9, told["free"] / 1e9
        return HostFailed(
            f"no space for {cargo.place}: {need:.1f} GB are to come, {free:.1f} GB are free",
            where=Where(host=host),
            hint="remove old models (r1fleet weights prune), or set another weights_dir",
        )
    return None


def _refuse_others(ground: Ground) -> None:
    for host, told in ground.told.items():
        if told["others"]:
            raise LockHeld(
                "another set is on its way to this host",
                where=Where(host=host),
                hint="wait for it, or run that sync again to follow it; r1fleet sync --stop ends it",
            )


def _refuse_taken(opened: Mapping[str, Answer], members: Sequence[Member], ports: Sequence[int]) -> None:
    for one in members:
        told = opened[one.name]
        if isinstance(told, FleetError):
            raise told
        taken = [port for port in ports if port not in told["ports"]]
        if taken:
            raise HostFailed(
                f"port {taken[0]} at {one.address} is in use, or the host does not have that address",
                where=Where(host=one.name),
                hint=f"see what listens there (ss -ltnp 'sport = :{taken[0]}') and end it, or correct r1fleet_address",
            )


def _refuse_blocked(tried: Mapping[str, Answer], ports: Sequence[int]) -> None:
    pairs = []
    for host, told in tried.items():
        if isinstance(told, FleetError):
            raise told
        blocked: dict[str, list[str]] = {}
        for row in told["tried"]:
            if row["problem"]:
                blocked.setdefault(f"{host} -> {row['host']} ({row['address']})", []).append(
                    f"port {row['port']}: {row['problem']}"
                )
        pairs += [f"{pair} {problems[0]}" for pair, problems in blocked.items()]
    if pairs:
        more = f" and {len(pairs) - _SHOWN_PAIRS} more" if len(pairs) > _SHOWN_PAIRS else ""
        span = str(ports[0]) if len(ports) == 1 else f"{ports[0]}-{ports[-1]}"
        raise HostFailed(
            f"hosts cannot connect to each other: {'; '.join(pairs[:_SHOWN_PAIRS])}{more}",
            hint=f"open TCP {span} between the hosts (firewall, security group), or correct r1fleet_address",
        )
