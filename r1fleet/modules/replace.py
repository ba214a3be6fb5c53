"""Replace all matches of a regular expression in a file."""

from __future__ import annotations

import re
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.files import FILE_ARGUMENTS, content_diff
from r1fleet.modules._edits import apply_permissions_after, backup, load, store

ARGUMENTS = dict(
    FILE_ARGUMENTS,
    path={"type": "path", "required": True, "aliases": ["dest", "destfile", "name"]},
    regexp={"type": "str", "required": True},
    replace={"type": "str", "default": ""},
    after={"type": "str"},
    before={"type": "str"},
    backup={"type": "bool", "default": False},
    validate={"type": "str"},
    encoding={"type": "str", "default": "utf-8"},
)
LOCAL = True
CHECK_MODE = True


def run(ctx: Context) -> dict[str, Any]:
    """Replace in the whole file, or only ``after`` and ``before`` the given patterns."""
    path, encoding = ctx.args["path"], ctx.args["encoding"]
    content = load(ctx, path, create=False) or b""
    try:
        text = content.decode(encoding, "surrogateescape")
    except LookupError:
        ctx.fail("unknown encoding {!r}".format(encoding))
    span = _span(ctx, text)
    if span is None:
        return {"changed": False, "msg": _unmatched(ctx), "rc": 0}
    start, end = span
    changed_part, count = _substitute(ctx, text[start:end])
    after = (text[:start] + changed_part + text[end:]).encode(encoding, "surrogateescape")
    reply: dict[str, Any] = {"changed": bool(count) and after != content, "msg": "", "rc": 0}
    attributes: dict[str, Any] = {}
    if reply["changed"]:
        reply["msg"] = "{} replacements made".format(count)
        kept = backup(ctx, path)
        reply.update({"backup_file": kept} if kept else {})
        attributes = store(ctx, path, after)
        if ctx.diff:
            reply["diff"] = content_diff(content, after, path)
    if apply_permissions_after(ctx, path, {}, changed=reply["changed"]) or attributes:
        words = "ownership, perms or SE linux context changed"
        reply["msg"] = "{} and {}".format(reply["msg"], words) if reply["msg"] else words
        reply["changed"] = True
    return reply


def _bounds(ctx: Context) -> str:
    """Build the pattern whose group ``subsection`` is what may change; empty for the whole file."""
    after, before = ctx.args["after"], ctx.args["before"]
    if after and before:
        return "{}(?P<subsection>.*?){}".format(after, before)
    if after:
        return "{}(?P<subsection>.*)".format(after)
    return "(?P<subsection>.*){}".format(before) if before else ""


def _span(ctx: Context, text: str) -> tuple[int, int] | None:
    pattern = _bounds(ctx)
    if not pattern:
        return 0, len(text)
    match = _compiled(ctx, pattern, re.DOTALL).search(text)
    return match.span("subsection") if match else None


def _unmatched(ctx: Context) -> str:
    return "Pattern for before/after params did not match the given file: {}".format(_bounds(ctx))


def _compiled(ctx: Context, pattern: str, flags: int) -> re.Pattern[str]:
    try:
        return re.compile(pattern, flags)
    except re.error as error:
        ctx.fail("the regular expression {!r} is wrong: {}".format(pattern, error))


def _substitute(ctx: Context, text: str) -> tuple[str, int]:
    pattern = _compiled(ctx, ctx.args["regexp"], re.MULTILINE)
    try:
        return pattern.subn(ctx.args["replace"], text)
    except (re.error, IndexError) as error:
        ctx.fail("Unable to process replace due to error: {} in {!r}".format(error, ctx.args["replace"]))
