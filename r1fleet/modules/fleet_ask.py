"""Ask an endpoint of this host, from this host: a completion, a streamed chat, or SGLang's /generate."""

from __future__ import annotations

import json
from typing import Any

from r1fleet.agent.chat import converse, generate
from r1fleet.agent.completion import NoAnswer, complete, key_from
from r1fleet.agent.context import Context
from r1fleet.modules import _seen

ARGUMENTS = {
    "url": {"type": "str", "required": True},
    "model": {"type": "str", "default": ""},
    "prompt": {"type": "str", "default": ""},
    "max_tokens": {"type": "int", "default": 64},
    "body": {"type": "dict"},
    "sampling": {"type": "dict"},
    "seconds": {"type": "float", "default": 60.0},
    "key_file": {"type": "str", "default": ""},
    "key_name": {"type": "str", "default": ""},
    "seen": {"type": "str", "default": ""},
}
CHECK_MODE = False


def run(ctx: Context) -> dict[str, Any]:
    """Return the answer, or fail with what came instead; the pieces of a chat (``body``) are told as they come."""
    args = ctx.args
    try:
        key = key_from(args["key_file"], args["key_name"])
        answer = _asked(ctx, key)
    except (NoAnswer, OSError) as error:
        return ctx.fail("%s: %s" % (args["url"], error))
    if args["seen"]:
        _seen.keep(args["seen"], answer)
    return dict(answer, changed=False)


def _asked(ctx: Context, key: str) -> dict[str, Any]:
    args = ctx.args
    url, patience = args["url"], args["seconds"]
    if args["sampling"] is not None:
        return generate(url, args["prompt"], args["sampling"], key=key, timeout=patience)
    if args["body"] is None:
        return complete(url, args["model"], args["prompt"], key=key, max_tokens=args["max_tokens"], timeout=patience)
    end: dict[str, Any] = {}
    for piece in converse(url, args["body"], key=key, timeout=patience):
        end = piece.get("end", end)
        if "end" not in piece:
            ctx.progress(json.dumps(piece))
    return end
