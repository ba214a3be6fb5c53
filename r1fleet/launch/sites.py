"""Where each host of a deployment meets the others: what is written, else what facts tell, else SSH's own address."""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from r1fleet.errors import SpecError, Where
from r1fleet.facts import HostFacts
from r1fleet.inventory import Host
from r1fleet.inventory.addresses import is_loopback
from r1fleet.topology import FROM_FACTS, Gang, Site, machine_of


def site_of(host: Host, variables: Mapping[str, Any], facts: HostFacts | None) -> Site:
    """Find where the other ranks reach this host, over which interface and adapters, and what it carries."""
    told = facts or HostFacts()
    interface = _text(variables.get("r1fleet_interface"))
    _refuse_absent(host.name, interface, told)
    address = (
        _text(variables.get("r1fleet_address"))
        or (told.address_of(interface) if interface else None)
        or told.default_address
        or _ssh_address(variables, host)
        or FROM_FACTS
    )
    found = interface or told.interface_of(address) or _default_interface(told, address) or FROM_FACTS
    devices = told.accelerators
    machine = machine_of([one.name for one in devices], [one.memory_bytes for one in devices])
    written = _hcas(host.name, variables), _gid_index(host.name, variables)
    hcas = told.hcas if written[0] is None else written[0]
    gid_index = told.gid_index if written[1] is None else written[1]
    return Site(host.name, address, found, machine, hcas, gid_index)


def refuse_foreign(gangs: Sequence[Gang], facts: Mapping[str, HostFacts]) -> None:
    """Refuse an address that its host does not have where other ranks need it; what a name means is asked at launch."""
    for node in (node for gang in gangs if len(gang.nodes) > 1 for node in gang.nodes):
        told = facts.get(node.host)
        if told and told.interfaces and is_address(node.address) and told.interface_of(node.address) is None:
            known = ", ".join(f"{one.name} {' '.join(one.addresses)}" for one in told.interfaces if one.addresses)
            raise SpecError(
                f"no interface of the host has the address {node.address}",
                where=Where(host=node.host),
                hint=f"it has {known}; correct r1fleet_address (facts may be old: r1fleet plan --live)",
            )


def is_address(text: str) -> bool:
    """Tell whether a text is an IP address, not a name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _refuse_absent(host: str, interface: str | None, told: HostFacts) -> None:
    names = [one.name for one in told.interfaces]
    if interface and names and interface not in names:
        near = difflib.get_close_matches(interface, names, n=1)
        raise SpecError(
            f"the host has no interface {interface}" + (f"; did you mean {near[0]}?" if near else ""),
            where=Where(host=host),
            hint=f"it has {', '.join(names)}; correct r1fleet_interface (facts may be old: r1fleet plan --live)",
        )


def _default_interface(facts: HostFacts, address: str) -> str | None:
    named = address != FROM_FACTS and not is_address(address)
    return facts.default_interface if named or address == facts.default_address else None


def _ssh_address(variables: Mapping[str, Any], host: Host) -> str | None:
    """Return SSH's address when the other hosts can use it: an IP address that is not a loopback."""
    address = str(variables.get("ansible_host") or host.address)
    return address if is_address(address) and not is_loopback(address) else None


def _hcas(host: str, variables: Mapping[str, Any]) -> tuple[str, ...] | None:
    written = variables.get("r1fleet_hcas")
    if written is None:
        return None
    names = written.split(",") if isinstance(written, str) else written
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) and name.strip() for name in names):
        raise SpecError(
            f"r1fleet_hcas is {written!r}; it must be a list of RDMA adapters",
            where=Where(host=host),
            hint="write [mlx5_0, mlx5_1]: names as `ibv_devices` prints them",
        )
    return tuple(name.strip() for name in names)


def _gid_index(host: str, variables: Mapping[str, Any]) -> int | None:
    written = variables.get("r1fleet_gid_index")
    if written is None:
        return None
    try:
        index = int(written)
    except (TypeError, ValueError):
        index = -1
    if index < 0 or isinstance(written, bool):
        raise SpecError(
            f"r1fleet_gid_index is {written!r}; it must be a number from 0 on",
            where=Where(host=host),
            hint="the GID of RoCE v2, as `show_gids` prints it; 3 on most machines",
        )
    return index


def _text(value: object) -> str | None:
    return str(value) if value else None
