"""Start, stop, enable and mask units of systemd: systemd's own newer name."""

from __future__ import annotations

from r1fleet.modules.systemd import ARGUMENTS, CHECK_MODE, LOCAL, REQUIRED_BY, REQUIRED_ONE_OF, run

__all__ = ["ARGUMENTS", "CHECK_MODE", "LOCAL", "REQUIRED_BY", "REQUIRED_ONE_OF", "run"]
