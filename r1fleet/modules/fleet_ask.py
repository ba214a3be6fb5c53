"""Ask an endpoint for one chat completion, from this host."""

from __future__ import annotations

from typing import Any

from r1fleet.agent.completion import NoAnswer, complete, key_from
from r1fleet.agent.context import Context

ARGUMENTS = {
    "url": {"type": "str", "required": True},
    "model": {"type": "str", "required": True},
    "prompt": {"type": "str", "required": True},
    "max_tokens": {"type": "int", "default": 64},
    "seconds": {"type": "float", "default": 60.0},
    "key_file": {"type": "str", "default": ""},
    "key_name": {"type": "str", "default": ""},
}


def run(ctx: Context) -> dict[str, Any]:
    """Return the answer's text, or fail with what came instead."""
    args = ctx.args
    try:
        key = key_from(args["key_file"], args["key_name"])
        answer = complete(
            args["url"], args["model"], args["prompt"], key=key, max_tokens=args["max_tokens"], timeout=args["seconds"]
        )
    except (NoAnswer, OSError) as error:
        return ctx.fail("%s: %s" % (args["url"], error))
    return dict(answer, changed=False)
