"""``r1fleet restart``: see ``r1fleet.cli.launch``, which it shares everything with."""

from __future__ import annotations

from r1fleet.cli.launch import restart_app as app

__all__ = ["app"]
