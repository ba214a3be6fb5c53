"""What addresses mean."""

from __future__ import annotations

import ipaddress
from typing import Final

EVERYWHERE: Final = frozenset({"0.0.0.0", "::", "*"})
"""What one listens on to be reached at every address of a host."""


def is_loopback(address: str) -> bool:
    """Tell whether an address is a host's own loopback."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
