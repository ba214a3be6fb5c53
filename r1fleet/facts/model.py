"""One host's facts, as far as a plan needs them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One device as the driver names it; ``memory_bytes`` is None where the driver does not tell."""

    name: str
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Interface:
    """One network interface with its addresses, IPv4 first; ``speed`` is in Mbit/s."""

    name: str
    addresses: tuple[str, ...] = ()
    speed: int | None = None


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What one host has told, and when (seconds since the epoch).

    ``hcas`` are the RDMA adapters that join hosts, as NCCL names them; ``gid_index`` is the entry of their GID tables.
    ``systemd`` tells whether it is process 1 there.
    """

    accelerators: tuple[Accelerator, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    default_address: str | None = None
    default_interface: str | None = None
    gathered_at: float | None = None
    hcas: tuple[str, ...] = ()
    gid_index: int | None = None
    systemd: bool | None = None

    def interface_of(self, address: str) -> str | None:
        """Return the name of the interface that carries ``address``."""
        return next((one.name for one in self.interfaces if address in one.addresses), None)

    def address_of(self, interface: str) -> str | None:
        """Return the first address of ``interface``."""
        found = next((one for one in self.interfaces if one.name == interface), None)
        return found.addresses[0] if found and found.addresses else None


def from_setup(facts: Mapping[str, Any], *, gathered_at: float | None = None) -> HostFacts:
    """Read Ansible's ``setup`` facts (with their ``ansible_`` prefix)."""
    default = _mapping(facts.get("ansible_default_ipv4"))
    names = facts.get("ansible_interfaces")
    interfaces = tuple(_interface(facts, str(name)) for name in sorted(names)) if isinstance(names, list) else ()
    return HostFacts(
        interfaces=interfaces,
        default_address=_text(default.get("address")),
        default_interface=_text(default.get("interface")),
        gathered_at=gathered_at,
    )


def _interface(facts: Mapping[str, Any], name: str) -> Interface:
    """Read one interface; Ansible turns ``-``, ``.`` and ``:`` of its name into ``_`` in the fact's key."""
    key = "ansible_" + name.translate(str.maketrans("-.:", "___"))
    told = _mapping(facts.get(key))
    speed = told.get("speed")
    return Interface(name, tuple(_addresses(told)), speed if isinstance(speed, int) and speed > 0 else None)


def _addresses(told: Mapping[str, Any]) -> Iterator[str]:
    secondaries = told.get("ipv4_secondaries")
    sixes = told.get("ipv6")
    for entry in [
        told.get("ipv4"),
        *(secondaries if isinstance(secondaries, list) else []),
        *(sixes if isinstance(sixes, list) else []),
    ]:
        address = _mapping(entry).get("address")
        if isinstance(address, str) and _is_address(address):
            yield address


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
