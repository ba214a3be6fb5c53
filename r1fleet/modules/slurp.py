"""Bring a file's content back, as base64."""

from __future__ import annotations

import base64
import os
from typing import Any

from r1fleet.agent.context import Context

ARGUMENTS = {"src": {"type": "path", "required": True, "aliases": ["path"]}}
LOCAL = True
CHECK_MODE = True


def run(ctx: Context) -> dict[str, Any]:
    """Read ``src``."""
    source = ctx.args["src"]
    if os.path.isdir(source):
        ctx.fail("Source is a directory and must be a file: {}".format(source))
    try:
        with open(source, "rb") as stream:
            content = stream.read()
    except FileNotFoundError:
        ctx.fail("File not found: {}".format(source))
    except PermissionError:
        ctx.fail("File is not readable: {}".format(source))
    except OSError as error:
        ctx.fail("unable to slurp file: {}".format(error))
    text = base64.b64encode(content).decode("ascii")
    return {"changed": False, "content": text, "encoding": "base64", "source": source}
