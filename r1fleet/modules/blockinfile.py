"""Keep a block of lines between two marker lines of a text file."""

from __future__ import annotations

import re
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.files import FILE_ARGUMENTS
from r1fleet.modules._edits import backup, encoded, load, save

ARGUMENTS = dict(
    FILE_ARGUMENTS,
    path={"type": "path", "required": True, "aliases": ["dest", "destfile", "name"]},
    state={"type": "str", "default": "present", "choices": ["absent", "present"]},
    block={"type": "str", "default": "", "aliases": ["content"]},
    marker={"type": "str", "default": "# {mark} ANSIBLE MANAGED BLOCK"},
    marker_begin={"type": "str", "default": "BEGIN"},
    marker_end={"type": "str", "default": "END"},
    insertafter={"type": "str"},
    insertbefore={"type": "str"},
    create={"type": "bool", "default": False},
    backup={"type": "bool", "default": False},
    append_newline={"type": "bool", "default": False},
    prepend_newline={"type": "bool", "default": False},
    validate={"type": "str"},
)
MUTUALLY_EXCLUSIVE = [["insertbefore", "insertafter"]]
LOCAL = True
CHECK_MODE = True


def run(ctx: Context) -> dict[str, Any]:
    """Insert, replace or remove the block."""
    args, path = ctx.args, ctx.args["path"]
    before = load(ctx, path, create=args["create"])
    if before is None and args["state"] == "absent":
        return {"changed": False, "msg": "File {} not present".format(path)}
    begin, end = _markers(ctx)
    block = _block(ctx, begin, end)
    lines = (before or b"").splitlines(True)
    _write_block(ctx, lines, begin, end, block)
    after = b"".join(lines)
    msg = _told(before, after, block)
    reply: dict[str, Any] = {"changed": bool(msg), "msg": msg}
    if msg:
        kept = backup(ctx, path)
        reply.update({"backup_file": kept} if kept else {})
    return save(ctx, path, before, after, reply)


def _markers(ctx: Context) -> tuple[bytes, bytes]:
    marker = ctx.args["marker"]
    begin = encoded(re.sub(r"\{mark\}", lambda _: ctx.args["marker_begin"], marker))
    end = encoded(re.sub(r"\{mark\}", lambda _: ctx.args["marker_end"], marker))
    return begin, end


def _block(ctx: Context, begin: bytes, end: bytes) -> list[bytes]:
    text = encoded(ctx.args["block"])
    if ctx.args["state"] == "absent" or not text:
        return []
    lines = [line if line.endswith(b"\n") else line + b"\n" for line in text.splitlines(True)]
    return [begin + b"\n", *lines, end + b"\n"]


def _write_block(ctx: Context, lines: list[bytes], begin: bytes, end: bytes, block: list[bytes]) -> None:
    found = _range(lines, begin, end)
    if found is None:
        if not block:
            return
        at = _position(ctx, lines)
    else:
        at = found[0]
        del lines[found[0] : found[1] + 1]
    if at > 0 and not lines[at - 1].endswith(b"\n"):
        lines[at - 1] += b"\n"
    block = list(block)
    if ctx.args["prepend_newline"] and block and at > 0 and lines[at - 1].strip():
        block.insert(0, b"\n")
    if ctx.args["append_newline"] and block and at < len(lines) and lines[at].strip():
        block.append(b"\n")
    lines[at:at] = block


def _range(lines: list[bytes], begin: bytes, end: bytes) -> tuple[int, int] | None:
    """Find the last begin and end marker, in whichever order they stand."""
    first = max((at for at, line in enumerate(lines) if line.rstrip(b"\r\n") == begin), default=None)
    last = max((at for at, line in enumerate(lines) if line.rstrip(b"\r\n") == end), default=None)
    if first is None or last is None:
        return None
    return (first, last) if first < last else (last, first)


def _position(ctx: Context, lines: list[bytes]) -> int:
    before, after = ctx.args["insertbefore"], ctx.args["insertafter"]
    text = before if before is not None else after
    if text == "BOF":
        return 0
    if text is None or text == "EOF":
        return len(lines)
    try:
        pattern = re.compile(encoded(text))
    except re.error as error:
        ctx.fail("the regular expression {!r} is wrong: {}".format(text, error))
    if pattern.flags & re.MULTILINE:
        at = _line_of(b"".join(lines), pattern, before=before is not None)
    else:
        at = max((index for index, line in enumerate(lines) if pattern.search(line)), default=None)
    if at is None:
        return len(lines)
    return at if before is not None else at + 1


def _line_of(content: bytes, pattern: re.Pattern[bytes], *, before: bool) -> int | None:
    """Return the line where the first match, which may go over several, begins or ends."""
    match = pattern.search(content)
    return None if match is None else content.count(b"\n", 0, match.start() if before else match.end())


def _told(before: bytes | None, after: bytes, block: list[bytes]) -> str:
    if before is None:
        return "File created" if after or block else ""
    if before == after:
        return ""
    return "Block inserted" if block else "Block removed"
