"""Which deployments an inventory names, without looking into them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from r1fleet.inventory.model import Host, Inventory


def deployment_names(inventory: Inventory, variables_of: Callable[[Host], Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the names of all deployments that the inventory's hosts hold, in order."""
    written = (variables_of(host).get("deployments") for host in inventory.hosts.values())
    found = (str(name) for names in written if isinstance(names, Mapping) for name in names)
    return tuple(dict.fromkeys(found))
