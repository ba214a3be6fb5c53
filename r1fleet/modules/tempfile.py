"""Make a temporary file or folder on the host."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.files import path_info

ARGUMENTS = {
    "state": {"type": "str", "default": "file", "choices": ["directory", "file"]},
    "path": {"type": "path"},
    "prefix": {"type": "str", "default": "ansible."},
    "suffix": {"type": "str", "default": ""},
}
LOCAL = True
CHECK_MODE = False


def run(ctx: Context) -> dict[str, Any]:
    """Make it; whoever asked removes it."""
    args = ctx.args
    for name in ("prefix", "suffix"):
        if os.sep in args[name]:
            ctx.fail("{} must be a valid file name component, got {!r}".format(name, args[name]))
    try:
        if args["state"] == "file":
            descriptor, path = tempfile.mkstemp(prefix=args["prefix"], suffix=args["suffix"], dir=args["path"])
            os.close(descriptor)
        else:
            path = tempfile.mkdtemp(prefix=args["prefix"], suffix=args["suffix"], dir=args["path"])
    except OSError as error:
        ctx.fail("cannot make a temporary {}: {}".format(args["state"], error))
    return dict(path_info(path), changed=True, path=path)
