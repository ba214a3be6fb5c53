"""Keep when an endpoint was last seen to answer, beside its judge's verdict."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from r1fleet.agent.files import write_bytes


def keep(folder: str, answer: dict[str, Any]) -> None:
    """Write ``completion.json``; a generation that has gone, or a full disk, takes nothing from the answer."""
    if not os.path.isdir(folder):
        return
    what = {"schema": 1, "at": time.time(), "seconds": answer.get("seconds"), "tokens": answer.get("tokens")}
    try:
        write_bytes(os.path.join(folder, "completion.json"), json.dumps(what).encode(), mode=0o644)
    except OSError:
        return
