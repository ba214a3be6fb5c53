"""Two deployments of one inventory that want the same port or the same device of a host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from r1fleet.errors import SpecError


@dataclass(frozen=True, slots=True)
class Claim:
    """What a deployment wants of its hosts: ports by host with what they are for, and devices by host."""

    name: str
    ports: dict[str, dict[int, str]]
    devices: dict[str, frozenset[int]]
    instead_of: tuple[str, ...] = ()


def refuse_conflicts(mine: Claim, others: tuple[Claim, ...]) -> None:
    """Refuse what another deployment of the inventory wants, too, unless one is meant in place of the other."""
    for other in others:
        if other.name in mine.instead_of or mine.name in other.instead_of:
            continue
        clash = next(_clashes(mine, other), None)
        if clash is not None:
            raise SpecError(
                f"deployments {mine.name} and {other.name} {clash}",
                hint=f"give them different ones, or write `instead_of: [{other.name}]` in {mine.name} "
                "where only one is to run",
            )


def refuse_own(mine: Claim) -> None:
    """Refuse a deployment that wants one port for two purposes."""
    for ports in mine.ports.values():
        double = next((what for what in ports.values() if " and " in what), None)
        if double is not None:
            port = next(number for number, what in ports.items() if what == double)
            raise SpecError(
                f"deployment {mine.name}: {double} are both {port}",
                hint="the leader listens on both: give them different numbers",
            )


def _clashes(mine: Claim, other: Claim) -> Iterator[str]:
    for host, ports in mine.ports.items():
        for port in sorted(set(ports) & set(other.ports.get(host, {}))):
            yield f"both want port {port} of host {host} ({ports[port]}; {other.ports[host][port]})"
    for host, devices in mine.devices.items():
        shared = sorted(devices & other.devices.get(host, frozenset()))
        if shared:
            numbers = ", ".join(map(str, shared[:4])) + (" ..." if len(shared) > 4 else "")
            yield f"both want device {numbers} of host {host}"
