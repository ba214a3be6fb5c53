"""Where temporary files may lie: the first folder that can be written, so that a read-only /tmp does not matter."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import List, Optional

from r1fleet.agent.outcome import ModuleFailed

_preferred: Optional[str] = None
_root: Optional[str] = None


def prefer(directory: Optional[str]) -> None:
    """Try ``directory`` before all others."""
    global _preferred
    _preferred = directory


def scratch() -> str:
    """Make a folder of mode 0700 below this agent's own temporary folder."""
    global _root
    if _root is None or not os.path.isdir(_root):
        _root = _make_root()
    return tempfile.mkdtemp(dir=_root)


def clear() -> None:
    """Remove all of this agent's temporary files."""
    global _root
    if _root is not None:
        shutil.rmtree(_root, ignore_errors=True)
        _root = None


def _make_root() -> str:
    reasons = []
    for directory in _candidates():
        try:
            return tempfile.mkdtemp(prefix="r1fleet-", dir=directory)
        except OSError as error:
            reasons.append("%s: %s" % (directory, error.strerror))
    raise ModuleFailed("no folder for temporary files can be written (%s)" % "; ".join(reasons))


def _candidates() -> List[str]:
    named = [_preferred and os.path.expandvars(os.path.expanduser(_preferred)), os.environ.get("TMPDIR")]
    system = ["/var/tmp", "/tmp", "/dev/shm", "/run/user/%d" % os.geteuid(), "/run", os.path.expanduser("~")]
    return [directory for directory in named + system if directory]
