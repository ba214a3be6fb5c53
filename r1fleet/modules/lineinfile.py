"""Make sure that a line is, or is not, in a text file."""

from __future__ import annotations

import os
import re
from typing import Any, Callable

from r1fleet.agent.context import Context
from r1fleet.agent.files import FILE_ARGUMENTS
from r1fleet.modules._edits import backup, encoded, load, save

ARGUMENTS = dict(
    FILE_ARGUMENTS,
    path={"type": "path", "required": True, "aliases": ["dest", "destfile", "name"]},
    state={"type": "str", "default": "present", "choices": ["absent", "present"]},
    regexp={"type": "str", "aliases": ["regex"]},
    search_string={"type": "str"},
    line={"type": "str", "aliases": ["value"]},
    backrefs={"type": "bool", "default": False},
    insertafter={"type": "str"},
    insertbefore={"type": "str"},
    create={"type": "bool", "default": False},
    backup={"type": "bool", "default": False},
    firstmatch={"type": "bool", "default": False},
    validate={"type": "str"},
)
MUTUALLY_EXCLUSIVE = [["insertbefore", "insertafter"], ["regexp", "search_string"], ["backrefs", "search_string"]]
LOCAL = True
CHECK_MODE = True

Match = Callable[[bytes], Any]


def run(ctx: Context) -> dict[str, Any]:
    """Add, replace or remove lines of ``path``."""
    args, path = ctx.args, ctx.args["path"]
    if args["state"] == "present":
        return _present(ctx, path)
    if args["regexp"] is None and args["search_string"] is None and args["line"] is None:
        ctx.fail("one of line, search_string, or regexp is required with state=absent")
    return _absent(ctx, path)


def _present(ctx: Context, path: str) -> dict[str, Any]:
    args = ctx.args
    if args["backrefs"] and args["regexp"] is None:
        ctx.fail("regexp is required with backrefs=true")
    if args["line"] is None:
        ctx.fail("line is required with state=present")
    before = load(ctx, path, create=args["create"], missing="Destination {} does not exist !")
    lines = (before or b"").splitlines(True) if before and b"\r" not in before else _split(before or b"")
    msg = _put(ctx, lines)
    return _save(ctx, path, before, lines, {"msg": msg, "changed": bool(msg)})


def _split(content: bytes) -> list[bytes]:
    """Split at newlines only: a lone carriage return is no end of a line."""
    parts = content.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _put(ctx: Context, lines: list[bytes]) -> str:
    """Change ``lines`` so that the line is there; return what was done, empty where nothing was to do."""
    args = ctx.args
    line = encoded(args["line"])
    at = _find(lines, _matcher(ctx), first=args["firstmatch"])
    if at is not None:
        return _replace(ctx, lines, at, line)
    if args["backrefs"]:
        return ""
    exact = next((index for index, text in enumerate(lines) if text.rstrip(b"\r\n") == line), None)
    if exact is not None:
        return ""
    return _insert(ctx, lines, line + _ending(lines))


def _matcher(ctx: Context) -> Match | None:
    args = ctx.args
    if args["regexp"] is not None:
        return _pattern(ctx, args["regexp"]).search
    if args["search_string"] is not None:
        wanted = encoded(args["search_string"])
        return lambda line: wanted in line or None
    return None


def _pattern(ctx: Context, text: str) -> re.Pattern[bytes]:
    try:
        return re.compile(encoded(text))
    except re.error as error:
        ctx.fail("the regular expression {!r} is wrong: {}".format(text, error))


def _find(lines: list[bytes], match: Match | None, *, first: bool) -> int | None:
    if match is None:
        return None
    found = (index for index, line in enumerate(lines) if match(line))
    return next(found, None) if first else max(found, default=None)


def _ending(lines: list[bytes]) -> bytes:
    return b"\r\n" if lines and lines[0].endswith(b"\r\n") else b"\n"


def _replace(ctx: Context, lines: list[bytes], at: int, line: bytes) -> str:
    if ctx.args["backrefs"]:
        match = _pattern(ctx, ctx.args["regexp"]).search(lines[at])
        try:
            line = match.expand(line) if match else line
        except (re.error, IndexError) as error:
            ctx.fail("cannot fill the groups into {!r}: {}".format(ctx.args["line"], error))
    if not line.endswith(b"\n"):
        line += b"\r\n" if lines[at].endswith(b"\r\n") else b"\n"
    if lines[at] == line:
        return ""
    lines[at] = line
    return "line replaced"


def _insert(ctx: Context, lines: list[bytes], line: bytes) -> str:
    args = ctx.args
    where = _position(ctx, lines)
    if lines and where == len(lines) and not lines[-1].endswith(b"\n"):
        lines[-1] += b"\n"
    if _there_already(ctx, lines, where, line):
        return ""
    lines.insert(where, line)
    if args["insertbefore"] == "BOF" and len(lines) > 1 and not lines[0].endswith(b"\n"):
        lines[0] += b"\n"
    return "line added"


def _position(ctx: Context, lines: list[bytes]) -> int:
    args = ctx.args
    if args["insertbefore"] == "BOF" or args["insertafter"] == "BOF":
        return 0
    for argument, offset in (("insertafter", 1), ("insertbefore", 0)):
        text = args[argument]
        if text is None or text == "EOF":
            continue
        at = _find(lines, _pattern(ctx, text).search, first=args["firstmatch"])
        if at is not None:
            return at + offset
    return len(lines)


def _there_already(ctx: Context, lines: list[bytes], where: int, line: bytes) -> bool:
    """Tell whether the neighbour at the place of insertion is that very line."""
    if ctx.args["regexp"] is not None or ctx.args["search_string"] is not None:
        if ctx.args["insertbefore"] is not None:
            return where > 0 and lines[where - 1].rstrip(b"\r\n") == line.rstrip(b"\r\n")
        return where < len(lines) and lines[where].rstrip(b"\r\n") == line.rstrip(b"\r\n")
    return False


def _absent(ctx: Context, path: str) -> dict[str, Any]:
    if not os.path.lexists(path):
        return {"changed": False, "msg": "file not present"}
    before = load(ctx, path, create=False)
    match = _matcher(ctx)
    wanted = encoded(ctx.args["line"] or "")
    lines = _split(before or b"")
    kept = [line for line in lines if not (match(line) if match else line.rstrip(b"\r\n") == wanted)]
    found = len(lines) - len(kept)
    msg = "{} line(s) removed".format(found) if found else ""
    return _save(ctx, path, before, kept, {"msg": msg, "changed": bool(found), "found": found})


def _save(ctx: Context, path: str, before: bytes | None, lines: list[bytes], reply: dict[str, Any]) -> dict[str, Any]:
    after = b"".join(lines)
    reply["backup"] = ""
    if reply["changed"]:
        reply["backup"] = backup(ctx, path)
    return save(ctx, path, before, after, reply)
