"""Filters that reckon with networks: their parts, their hosts, and sums."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any

from r1fleet.playbook.filters_network import NETWORK_FILTERS, Given, parsed, spelled
from r1fleet.playbook.filters_text import FilterError

_COLLECTIONS = ("ansible.utils", "ansible.netcommon")


def ipsubnet(value: Any, query: Any = "", index: Any = None) -> Any:
    """Return how many networks of a prefix a network has, one of them by its index, or a network's place in another."""
    given = parsed(value)
    if given is None:
        return False
    if query == "":
        return _named(given.network)
    around = parsed(query) if "/" in str(query) else None
    if around is not None:
        return _place(given, around)
    prefix = _whole(query, "ipsubnet: a prefix")
    if not 0 <= prefix <= given.ip.max_prefixlen:
        return False
    if index is None:
        return _count(given, prefix) if given.size > 1 else _around(given, prefix)
    number = _whole(index, "ipsubnet: an index")
    if prefix < given.network.prefixlen:
        if number and given.size > 1:
            return False
        if number:
            raise FilterError(f"ipsubnet: {given.full} is smaller than /{prefix}: only index 0 is supported")
        return _around(given, prefix)
    return _part(given, prefix, number)


def _count(given: Given, prefix: int) -> str:
    if prefix < given.network.prefixlen:
        raise FilterError(f"Requested subnet size of {prefix} is invalid")
    return str(2 ** (prefix - given.network.prefixlen))


def _part(given: Given, prefix: int, number: int) -> Any:
    count, step = 2 ** (prefix - given.network.prefixlen), 2 ** (given.ip.max_prefixlen - prefix)
    if not -count <= number < count:
        return False
    return f"{given.at(int(given.network[0]) + number % count * step)}/{prefix}"


def _around(given: Given, prefix: int) -> str:
    return _named(ipaddress.ip_network((given.ip, prefix), strict=False))


def _place(given: Given, around: Given) -> str:
    inside = given.ip.version == around.ip.version and given.network.subnet_of(around.network)  # type: ignore[arg-type]
    if not inside:
        raise FilterError(f"{_named(given.network)} is not in the subnet {_named(around.network)}")
    return str((int(given.network[0]) - int(around.network[0])) // given.size + 1)


def _named(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    return f"{spelled(network.network_address)}/{network.prefixlen}"


def nthhost(value: Any, query: Any = "") -> Any:
    """Return the address at a place in a network, from its end where the number is below zero."""
    given = parsed(value)
    if given is None or query == "":
        return False
    number = _whole(query, "nthhost: a place")
    return spelled(given.network[number]) if -given.size <= number < given.size else False


def ipmath(value: Any, amount: Any) -> str:
    """Add to an address, or subtract."""
    given = parsed(value)
    if given is None:
        raise FilterError(f"You must pass a valid IP address; {value} is invalid")
    return given.at(int(given.ip) + _whole(amount, "ipmath: what is added"))


def _whole(value: Any, what: str) -> int:
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise FilterError(f"{what} is a number, not {value!r}") from error


ADDRESS_FILTERS: Mapping[str, Callable[..., Any]] = {
    **NETWORK_FILTERS,
    "ipmath": ipmath,
    "ipsubnet": ipsubnet,
    "nthhost": nthhost,
}
IN_COLLECTIONS: Mapping[str, Callable[..., Any]] = {
    f"{collection}.{name}": function for collection in _COLLECTIONS for name, function in ADDRESS_FILTERS.items()
}
"""The same by their full names."""
