"""The table of checks, in the order in which a person would look."""

from __future__ import annotations

from typing import Final

from r1fleet.preflight import devices, network, parity, system
from r1fleet.preflight.check import Check

TABLE: Final[tuple[Check, ...]] = (*devices.CHECKS, *system.CHECKS, *network.CHECKS, *parity.CHECKS)
