"""Install, upgrade and remove packages with dnf, under its older name."""

from __future__ import annotations

from r1fleet.modules.dnf import ARGUMENTS, CHECK_MODE, LOCAL, MUTUALLY_EXCLUSIVE, run

__all__ = ["ARGUMENTS", "CHECK_MODE", "LOCAL", "MUTUALLY_EXCLUSIVE", "run"]
