"""Filters of addresses: ``ipaddr`` and its kin, as the collection ansible.utils has them."""

# Signatures are Ansible's: their booleans may be given by position.
# ruff: noqa: FBT001, FBT002

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from r1fleet.playbook.filters_text import FilterError

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_V4_MAX = 2**32 - 1


class Given(NamedTuple):
    """An address with its network, and whether a prefix was written behind it."""

    ip: _Address
    network: _Network
    prefixed: bool
    said: str  # as it was given, which most questions answer with

    @property
    def text(self) -> str:
        """What was given, in the usual spelling."""
        return self.full if self.prefixed else spelled(self.ip)

    @property
    def full(self) -> str:
        """The address with its prefix."""
        return f"{spelled(self.ip)}/{self.network.prefixlen}"

    @property
    def size(self) -> int:
        """How many addresses the network has."""
        return self.network.num_addresses

    @property
    def is_network(self) -> bool:
        """Whether this is the network itself, and not one address of it."""
        return self.size > 1 and self.ip == self.network.network_address

    @property
    def is_host(self) -> bool:
        """Whether a host can have this address: of two alone, both."""
        return self.size == 2 or not self.is_network

    @property
    def usable(self) -> tuple[int, int] | None:
        """The first and the last address that hosts may have; None where a prefix says that it is a lone one."""
        if self.size == 1:
            if self.prefixed:
                return None
            raise FilterError("Not a network address")
        first, last = int(self.network[0]), int(self.network[-1])
        return (first, last) if self.size == 2 else (first + 1, last - 1)

    def at(self, number: int) -> str:
        """Return an address of the same version by its number."""
        return spelled(type(self.ip)(number))


def spelled(address: _Address) -> str:
    """Return an address as text; of one that stands for an IPv4 address, that one's digits stay."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return f"::ffff:{mapped}" if mapped else str(address)


def parsed(value: Any, version: int | bool = False) -> Given | None:
    """Read an address, a network or a number; None where it is none of them, or of another version."""
    if isinstance(value, bool) or not isinstance(value, (int, str)) or (isinstance(value, str) and "%" in value):
        return None
    try:
        if str(value).isdigit():
            number = int(value)
            ip = ipaddress.IPv6Address(number) if version == 6 or number > _V4_MAX else ipaddress.IPv4Address(number)
            found = Given(ip, ipaddress.ip_network(ip), prefixed=False, said=f"{ip}/{ip.max_prefixlen}")
        else:
            whole = ipaddress.ip_interface(value)
            found = Given(whole.ip, whole.network, prefixed="/" in str(value), said=str(value))
    except ValueError:
        return None
    return None if version and found.ip.version != version else found


_Test = Callable[[Given], bool]
_Answer = Callable[[Given], Any]


def _when(test: _Test, found: _Answer, otherwise: Any = None) -> _Answer:
    return lambda given: found(given) if test(given) else otherwise


def _said(given: Given) -> str:
    return given.said


def _end(index: int) -> Callable[[Given], str | None]:
    return lambda given: given.at(given.usable[index]) if given.usable else None


def _range(given: Given) -> str | None:
    return f"{_end(0)(given)}-{_end(1)(given)}" if given.usable else None


def _beside(step: int) -> Callable[[Given], str | None]:
    def beside(given: Given) -> str | None:
        ends, number = given.usable, int(given.ip) + step
        return given.at(number) if ends and ends[0] <= number <= ends[1] else None

    return beside


def _peer(given: Given) -> str:
    if given.size == 1:
        raise FilterError("Not a network address")
    if given.size == 2:
        return given.at(int(given.ip) ^ 1)
    if given.size == 4:
        if given.ip in (given.network[0], given.network[-1]):
            what = "Network" if given.ip == given.network[0] else "Broadcast"
            raise FilterError(f"{what} address of a /{given.network.prefixlen} has no peer")
        return given.at(int(given.ip) ^ 3)
    raise FilterError("Not a point-to-point network")


def _to_v4(given: Given) -> Any:
    if isinstance(given.ip, ipaddress.IPv4Address):
        return given.said
    mapped = given.ip.ipv4_mapped
    return f"{mapped}/{given.network.prefixlen - 96}" if mapped else False


def _to_v6(given: Given) -> str:
    return given.said if given.ip.version == 6 else f"::ffff:{given.ip}/{given.network.prefixlen + 96}"


def _to_6to4(given: Given) -> Any:
    if given.ip.version == 6:
        return given.text if given.text.startswith("2002:") else False
    number = int(given.ip)
    if given.is_network or given.ip.is_multicast:
        return False
    return f"2002:{number >> 16:04x}:{number & 0xFFFF:04x}::1/48"


def _wrapped(given: Given) -> str:
    if given.ip.version == 4:
        return given.said
    return f"[{spelled(given.ip)}]" + (f"/{given.network.prefixlen}" if given.prefixed else "")


def _number(given: Given) -> Any:
    return f"{int(given.ip)}/{given.network.prefixlen}" if given.prefixed else int(given.ip)


def _is_private(given: Given) -> bool:
    return not given.ip.is_global and not given.ip.is_multicast


def _is_public(given: Given) -> bool:
    return given.ip.is_global and not given.ip.is_multicast


def _usable_size(given: Given) -> int:
    return 0 if given.size == 1 else 2 if given.size == 2 else given.size - 2


_full: Callable[[Given], str] = lambda given: given.full  # noqa: E731
_ip: Callable[[Given], str] = lambda given: spelled(given.ip)  # noqa: E731
_inside: Callable[[Given], bool] = lambda given: given.size > 1 and given.is_host  # noqa: E731
_of_network: Callable[[Given], str] = lambda given: spelled(given.network.network_address)  # noqa: E731
_subnet: Callable[[Given], str] = lambda given: f"{_of_network(given)}/{given.network.prefixlen}"  # noqa: E731
_QUERIES: Mapping[str, Callable[[Given], Any]] = {
    "": lambda given: given.text,
    "6to4": _to_6to4,
    **dict.fromkeys(["address", "ip"], _when(lambda given: given.is_host or given.ip.version == 6, _ip)),
    **dict.fromkeys(
        ["address/prefix", "gateway", "gw", "host/prefix", "hostnet", "router"],
        _when(lambda given: given.is_host, _full, otherwise=False),
    ),
    "bool": lambda _: True,
    "broadcast": _when(lambda given: given.size > 2, lambda given: spelled(given.network.broadcast_address)),
    "cidr": _full,
    "first_usable": _end(0),
    "host": _when(lambda given: given.is_host, _full),
    **dict.fromkeys(["hostmask", "wildcard"], lambda given: str(given.network.hostmask)),
    "int": _number,
    "ip/prefix": _when(_inside, _full),
    "ip_netmask": _when(_inside, lambda given: f"{_ip(given)} {given.network.netmask}"),
    "ipv4": _to_v4,
    "ipv6": _to_v6,
    "last_usable": _end(1),
    "link-local": _when(lambda given: given.ip.is_link_local, _said),
    **dict.fromkeys(["lo", "loopback"], _when(lambda given: given.ip.is_loopback, _said)),
    "multicast": _when(lambda given: given.ip.is_multicast, _said),
    "net": _when(lambda given: given.is_network, _subnet),
    "netmask": lambda given: str(given.network.netmask),
    **dict.fromkeys(["network", "network_id"], _of_network),
    **dict.fromkeys(["network/prefix", "subnet"], _subnet),
    "network_netmask": lambda given: f"{_of_network(given)} {given.network.netmask}",
    "network_wildcard": lambda given: f"{_of_network(given)} {given.network.hostmask}",
    "next_usable": _beside(1),
    "peer": _peer,
    "prefix": lambda given: given.network.prefixlen,
    "previous_usable": _beside(-1),
    "private": _when(_is_private, _said),
    "public": _when(_is_public, _said),
    "range_usable": _range,
    "revdns": lambda given: f"{given.ip.reverse_pointer}.",
    "size": lambda given: given.size,
    "size_usable": _usable_size,
    "type": lambda given: "network" if given.is_network else "address",
    "unicast": _when(lambda given: not given.ip.is_multicast, _said),
    "version": lambda given: given.ip.version,
    "wrap": _wrapped,
}


def ipaddr(value: Any, query: Any = "", version: int | bool = False, alias: str = "ipaddr") -> Any:
    """Tell what is asked of an address or network, or whether it lies in one; of a list, the items that fit."""
    if not isinstance(value, (str, list, tuple, int)):
        raise FilterError(f"Unrecognized type <{type(value)}> for {alias} filter <value>")
    return _told(value, query, version, alias)


def _told(value: Any, query: Any, version: int | bool, alias: str) -> Any:
    if isinstance(value, (list, tuple)):
        return [found for found in (_told(item, query, version, alias) for item in value) if found]
    given = parsed(value, version)
    if given is None:
        return False
    asked = _QUERIES.get(str(query)) if not isinstance(query, bool) else None
    if asked is not None:
        return asked(given)
    if str(query).lstrip("-").isdigit():
        return _nth(given, int(query))
    around = parsed(query)
    if around is None:
        raise FilterError(f"{alias}: unknown filter type: {query}")
    inside = given.ip.version == around.ip.version and given.network.subnet_of(around.network)  # type: ignore[arg-type]
    return given.said if inside else None


def _nth(given: Given, number: int) -> Any:
    if given.size == 1:
        return given.text
    if not -given.size <= number < given.size:
        return False
    return f"{spelled(given.network[number])}/{given.network.prefixlen}"


def ipv4(value: Any, query: Any = "") -> Any:
    """Do as ``ipaddr`` does, for IPv4 only."""
    return ipaddr(value, query, 4, "ipv4")


def ipv6(value: Any, query: Any = "") -> Any:
    """Do as ``ipaddr`` does, for IPv6 only."""
    return ipaddr(value, query, 6, "ipv6")


def ipwrap(value: Any, query: Any = "") -> Any:
    """Put IPv6 addresses into brackets, for URLs; leave all else as it is."""
    if isinstance(value, (list, tuple)):
        return [ipwrap(item) for item in value] if ipaddr(value, query) else value
    given = parsed(value) if ipaddr(value, query) else None
    return value if given is None else _wrapped(given._replace(said=given.text))


NETWORK_FILTERS: Mapping[str, Callable[..., Any]] = {"ipaddr": ipaddr, "ipv4": ipv4, "ipv6": ipv6, "ipwrap": ipwrap}
