"""Which RDMA adapters join hosts, and which of their GIDs, read from what a host tells of its ports."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gid:
    """One entry of an RDMA port's table."""

    index: int
    gid: str
    kind: str = ""
    interface: str = ""


@dataclass(frozen=True, slots=True)
class RdmaPort:
    """One port of an RDMA adapter; ``rate`` as the kernel writes it (``400 Gb/sec (4X NDR)``)."""

    device: str
    port: int
    state: str = ""
    physical: str = ""
    rate: str = ""
    link: str = ""
    pci: str = ""
    interfaces: tuple[str, ...] = ()
    gids: tuple[Gid, ...] = ()


def joining_adapters(ports: Sequence[RdmaPort]) -> tuple[str, ...]:
    """Return InfiniBand's live ports as NCCL names them; of Ethernet's, which also carry other things, none."""
    several = Counter(one.device for one in ports)
    live = [one for one in ports if _live(one, "InfiniBand")]
    return tuple(one.device if several[one.device] == 1 else f"{one.device}:{one.port}" for one in live)


def common_gid(ports: Sequence[RdmaPort]) -> int | None:
    """Return the entry that is RoCE v2 over IPv4 on every live port; None over InfiniBand, or where ports differ."""
    if joining_adapters(ports):
        return None
    found = {next(_routable(one), None) for one in ports if _live(one, "Ethernet")}
    return found.pop() if len(found) == 1 else None


def _live(port: RdmaPort, link: str) -> bool:
    return port.state == "ACTIVE" and port.link == link


def _routable(port: RdmaPort) -> Iterator[int]:
    yield from (one.index for one in port.gids if one.kind == "RoCE v2" and _of_ipv4(one.gid))


def _of_ipv4(gid: str) -> bool:
    try:
        return ipaddress.IPv6Address(gid).ipv4_mapped is not None
    except ValueError:
        return False
