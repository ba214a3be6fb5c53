"""Moments as people write them: a span before now, or a date and time."""

from __future__ import annotations

import re
from datetime import datetime

from r1fleet.errors import UsageError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


def moment(text: str) -> tuple[float | None, float | None]:
    """Read ``10m``, ``1h30m`` or ``2026-11-24T10:30``: seconds before now, or else seconds since 1970.

    >>> moment("1h30m")
    (5400.0, None)
    """
    if re.fullmatch(rf"(?:{_SPAN.pattern})+", text):
        return sum(float(count) * _SECONDS[unit] for count, unit in _SPAN.findall(text)), None
    if re.fullmatch(r"\d{9,}(?:\.\d+)?", text):
        return None, float(text)
    try:
        return None, datetime.fromisoformat(text.strip()).timestamp()
    except ValueError:
        hint = "10m, 1h30m, 2d, or 2026-11-24T10:30 (local time; with Z or +02:00 of that zone)"
        raise UsageError(f"{text!r} is no moment", hint=hint) from None
