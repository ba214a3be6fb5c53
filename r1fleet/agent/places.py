"""Where temporary files may lie: the first folder that can be written, so that a read-only /tmp does not matter."""

from __future__ import annotations

import contextlib
import os
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
    return fresh_folder(_root)


def clear() -> None:
    """Remove all of this agent's temporary files."""
    global _root
    if _root is not None:
        remove_tree(_root)
        _root = None


def forget() -> None:
    """Leave the temporary folder to the process that this one was forked from."""
    global _root
    _root = None


def fresh_name(directory: str, prefix: str = "") -> str:
    """Return a path in ``directory`` that nobody can guess.

    ``tempfile`` and ``shutil`` would do this and what follows; importing them costs a quarter of the agent's start.
    """
    return os.path.join(directory, prefix + os.urandom(8).hex())


def fresh_folder(directory: str, prefix: str = "") -> str:
    """Make a folder of mode 0700 with a new name in ``directory``."""
    path = fresh_name(directory, prefix)
    os.mkdir(path, 0o700)
    return path


def remove_tree(path: str) -> None:
    """Remove a folder with all that is in it, as far as that is allowed; links are not followed."""
    for folder, folders, names in os.walk(path, topdown=False):
        for name in names + folders:
            with contextlib.suppress(OSError):
                _remove(os.path.join(folder, name))
    with contextlib.suppress(OSError):
        os.rmdir(path)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        os.rmdir(path)
    else:
        os.unlink(path)


def _make_root() -> str:
    reasons = []
    for directory in _candidates():
        try:
            return fresh_folder(directory, "r1fleet-")
        except OSError as error:
            reasons.append("%s: %s" % (directory, error.strerror))
    raise ModuleFailed("no folder for temporary files can be written (%s)" % "; ".join(reasons))


def _candidates() -> List[str]:
    named = [_preferred and os.path.expandvars(os.path.expanduser(_preferred)), os.environ.get("TMPDIR")]
    system = ["/var/tmp", "/tmp", "/dev/shm", "/run/user/%d" % os.geteuid(), "/run", os.path.expanduser("~")]
    return [directory for directory in named + system if directory]
