"""Put a rendered template at its place; the controller renders, the host sees text only."""

from __future__ import annotations

from typing import Any

from r1fleet.agent.context import Context
from r1fleet.modules import copy

# In a playbook's single quotes they are letters.
_NEWLINES = ["\n", "\r", "\r\n", "\\n", "\\r", "\\r\\n"]
_RENDERING = {
    "block_start_string": {"type": "str", "default": "{%"},
    "block_end_string": {"type": "str", "default": "%}"},
    "variable_start_string": {"type": "str", "default": "{{"},
    "variable_end_string": {"type": "str", "default": "}}"},
    "comment_start_string": {"type": "str", "default": "{#"},
    "comment_end_string": {"type": "str", "default": "#}"},
    "lstrip_blocks": {"type": "bool", "default": False},
    "trim_blocks": {"type": "bool", "default": True},
    "newline_sequence": {"type": "str", "default": "\n", "choices": _NEWLINES},
    "output_encoding": {"type": "str", "default": "utf-8"},
}
_COPYING = {name: entry for name, entry in copy.ARGUMENTS.items() if name not in ("content", "remote_src")}
ARGUMENTS = dict(_COPYING, **_RENDERING)
ARGUMENTS["src"] = {"type": "path", "required": True}
LOCAL = True
CHECK_MODE = True


def run(ctx: Context) -> dict[str, Any]:
    """Place the rendered text as copy does."""
    ctx.args = dict(ctx.args, remote_src=False)
    return copy.run(ctx)
