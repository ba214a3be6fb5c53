"""Who this agent is."""

from __future__ import annotations

import os
import pwd
import sys
from typing import Any, Dict


def introduction(mark: bytes) -> Dict[str, Any]:
    """Return what the controller is told at the start."""
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    return {
        "python": "%d.%d.%d" % sys.version_info[:3],
        "executable": sys.executable,
        "user": user,
        "pid": os.getpid(),
        "mark": mark.hex(),
    }


def login() -> str:
    """Tell who logged in and became root by sudo."""
    return os.environ.get("SUDO_USER") or "root"


def is_me(user: str) -> bool:
    """Tell whether ``user`` is the one that this process is."""
    try:
        return pwd.getpwnam(user).pw_uid == os.geteuid()
    except KeyError:
        return False
