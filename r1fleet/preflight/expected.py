"""What machines of a type have, where the maker's own description says so; a declared machine is held against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Expected:
    """One type of machine: devices, and the least rate of the network between nodes in Gbit/s that it is built for."""

    devices: int
    network_gbit: int
    switched: bool = False
    note: str = ""


MACHINES: Final[dict[str, Expected]] = {
    "8xH100": Expected(8, 200, switched=True, note="HGX: NVSwitch, usually eight 400 Gbit/s adapters"),
    "8xH800": Expected(8, 200, switched=True),
    "8xH200": Expected(8, 200, switched=True, note="HGX: NVSwitch, usually eight 400 Gbit/s adapters"),
    "8xH20": Expected(8, 100, switched=True),
    "8xB200": Expected(8, 400, switched=True),
    "8xA100": Expected(8, 100, switched=True),
    "8xL40S": Expected(8, 25),
    "8xVA16": Expected(32, 0, note="32 dies; ranks never leave the server"),
}
"""Rates are thresholds for a warning, chosen below what such machines usually carry; not a vendor's requirement."""
