"""SELinux's labels of files: where a new file gets its own, and the parts that a task asks for."""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping, Optional

from r1fleet.agent.outcome import ModuleFailed

ENFORCE = "/sys/fs/selinux/enforce"
ATTRIBUTE = "security.selinux"
_PARTS = ("seuser", "serole", "setype", "selevel")


def are_used() -> bool:
    """Tell whether SELinux is on."""
    return os.path.exists(ENFORCE)


def wanted(args: Mapping[str, Any]) -> Dict[str, str]:
    """Return the parts that a task names; none where SELinux is off, and none for the policy's default."""
    parts = {name: args.get(name) for name in _PARTS}
    named = {name: value for name, value in parts.items() if value not in (None, "_default")}
    return named if named and are_used() else {}


def apply(path: str, parts: Mapping[str, str], *, check: bool, follow: bool = True) -> Optional[Dict[str, str]]:
    """Give ``path`` these parts of a label; return the label before and after where they differ."""
    try:
        before = os.getxattr(path, ATTRIBUTE, follow_symlinks=follow).decode("ascii").rstrip("\0")
    except OSError:
        return None  # a file system without labels
    fields = before.split(":", 3)
    present = dict(zip(_PARTS, fields + [""] * (4 - len(fields))))
    after = ":".join(value for value in (parts.get(name, present[name]) for name in _PARTS) if value)
    if after == before:
        return None
    if not check:
        try:
            os.setxattr(path, ATTRIBUTE, after.encode("ascii") + b"\0", follow_symlinks=follow)
        except OSError as error:
            text = "set selinux context failed: %s" % error.strerror
            raise ModuleFailed(text, path=path, new_context=after.split(":", 3)) from error
    return {"before": before, "after": after}
