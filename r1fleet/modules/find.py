"""Find files by name, age, size and content."""

from __future__ import annotations

import fnmatch
import os
import re
import stat as modes
import time
from typing import Any, Iterator

from r1fleet.agent.context import Context
from r1fleet.agent.files import digest
from r1fleet.agent.modes import parse_mode
from r1fleet.modules.stat import describe

ARGUMENTS: dict[str, dict[str, Any]] = {
    "paths": {"type": "list", "elements": "path", "required": True, "aliases": ["name", "path"]},
    "patterns": {"type": "list", "elements": "str", "default": [], "aliases": ["pattern"]},
    "excludes": {"type": "list", "elements": "str", "aliases": ["exclude"]},
    "contains": {"type": "str"},
    "read_whole_file": {"type": "bool", "default": False},
    "file_type": {"type": "str", "default": "file", "choices": ["any", "directory", "file", "link"]},
    "age": {"type": "str"},
    "age_stamp": {"type": "str", "default": "mtime", "choices": ["atime", "ctime", "mtime"]},
    "size": {"type": "str"},
    "recurse": {"type": "bool", "default": False},
    "hidden": {"type": "bool", "default": False},
    "follow": {"type": "bool", "default": False},
    "get_checksum": {"type": "bool", "default": False},
    "checksum_algorithm": {
        "type": "str",
        "default": "sha1",
        "choices": ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"],
        "aliases": ["checksum", "checksum_algo"],
    },
    "use_regex": {"type": "bool", "default": False},
    "depth": {"type": "int"},
    "mode": {"type": "raw"},
    "exact_mode": {"type": "bool", "default": True},
    "limit": {"type": "int"},
    "encoding": {"type": "str"},
}
LOCAL = True
CHECK_MODE = True

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_BYTES = {"b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


class _Unreadable(Exception):
    """A file is not in the encoding that was told: its path is left there, as Ansible does."""


def run(ctx: Context) -> dict[str, Any]:
    """Walk the paths and describe what fits."""
    args = ctx.args
    age = _measure(ctx, "age", _SECONDS)
    size = _measure(ctx, "size", _BYTES)
    found: list[dict[str, Any]] = []
    skipped: dict[str, str] = {}
    examined = 0
    for root in args["paths"]:
        if not os.path.isdir(root):
            skipped[root] = "'{}' is not a directory".format(root)
            ctx.warn("Skipped '{}' path due to this access issue: {}\n".format(root, skipped[root]))
            continue
        try:
            for path in _walk(ctx, root, skipped):
                examined += 1
                entry = _fitting(ctx, path, age, size) if path else None
                if entry is not None:
                    found.append(entry)
                    if args["limit"] and len(found) >= args["limit"]:
                        return _reply(found, examined, skipped, "Limit of matches reached")
        except _Unreadable as error:
            skipped[root] = str(error)
            ctx.warn("Skipped '{}' path due to this access issue: {}\n".format(root, error))
    msg = "Not all paths examined, check warnings for details" if skipped else "All paths examined"
    return _reply(found, examined, skipped, msg)


def _reply(found: list[dict[str, Any]], examined: int, skipped: dict[str, str], msg: str) -> dict[str, Any]:
    reply = {"changed": False, "files": found, "matched": len(found), "examined": examined, "msg": msg}
    return dict(reply, skipped_paths=skipped)


def _measure(ctx: Context, argument: str, units: dict[str, int]) -> int | None:
    text = ctx.args[argument]
    if text is None:
        return None
    match = re.match(r"^(-?\d+)({})?$".format("|".join(units)), text.lower())
    if match is None:
        ctx.fail("failed to process {}: {!r}".format(argument, text), **{argument: text})
    return int(match.group(1)) * units.get(match.group(2) or "", 1)


def _walk(ctx: Context, root: str, skipped: dict[str, str]) -> Iterator[str]:
    """Yield what is below ``root``; empty for what lies one level too deep, which is looked at and left."""

    def refused(error: OSError) -> None:
        skipped[str(error.filename)] = str(error)
        ctx.warn("Skipped '{}' path due to this access issue: {}\n".format(error.filename, error))

    for base, folders, files in os.walk(root, onerror=refused, followlinks=ctx.args["follow"]):
        below = os.path.relpath(base, root)
        level = 1 if below == "." else below.count(os.sep) + 2
        beyond = bool(ctx.args["depth"]) and level > ctx.args["depth"]
        for name in files + folders:
            yield "" if beyond else os.path.join(base, name)
        if beyond or not ctx.args["recurse"]:
            folders[:] = []


def _fitting(ctx: Context, path: str, age: int | None, size: int | None) -> dict[str, Any] | None:
    args = ctx.args
    try:
        status = os.stat(path) if args["follow"] else os.lstat(path)
    except OSError:
        return None
    kinds = {"file": modes.S_ISREG, "directory": modes.S_ISDIR, "link": modes.S_ISLNK}
    kind = args["file_type"]
    if kind != "any" and not kinds[kind](status.st_mode):
        return None
    name = os.path.basename(path)
    if (name.startswith(".") and not args["hidden"]) or not _named(ctx, name) or not _old_enough(ctx, status, age):
        return None
    regular = modes.S_ISREG(status.st_mode)
    if size is not None and regular and not _beyond(status.st_size, size):
        return None
    if args["mode"] is not None and not _has_mode(ctx, status):
        return None
    if args["contains"] and regular and not _contains(ctx, path):
        return None
    entry = {name: value for name, value in describe(path, status).items() if name not in _UNTOLD}
    if args["get_checksum"] and regular:
        entry["checksum"] = digest(path, args["checksum_algorithm"])
    return entry


_UNTOLD = ("exists", "blocks", "block_size", "device_type")


def _named(ctx: Context, name: str) -> bool:
    excludes = ctx.args["excludes"] or []
    wanted = ctx.args["patterns"]
    return (not wanted or _any(ctx, name, wanted)) and not _any(ctx, name, excludes)


def _any(ctx: Context, name: str, patterns: list[str]) -> bool:
    if not ctx.args["use_regex"]:
        return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
    return any(_compiled(ctx, pattern).match(name) for pattern in patterns)


def _compiled(ctx: Context, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        ctx.fail("the regular expression {!r} is wrong: {}".format(pattern, error))


def _old_enough(ctx: Context, status: os.stat_result, age: int | None) -> bool:
    if age is None:
        return True
    stamp = {"mtime": status.st_mtime, "atime": status.st_atime, "ctime": status.st_ctime}[ctx.args["age_stamp"]]
    passed = time.time() - stamp
    return passed >= age if age >= 0 else passed <= -age


def _beyond(size: int, limit: int) -> bool:
    return size >= limit if limit >= 0 else size <= -limit


def _has_mode(ctx: Context, status: os.stat_result) -> bool:
    present = modes.S_IMODE(status.st_mode)
    try:
        wanted = parse_mode(ctx.args["mode"], modes.S_IFMT(status.st_mode), 0)
    except ValueError as error:
        ctx.fail("mode must be in octal or symbolic form", details=str(error))
    return present == wanted if ctx.args["exact_mode"] else bool(present & wanted)


def _contains(ctx: Context, path: str) -> bool:
    pattern = _compiled(ctx, ctx.args["contains"])
    encoding = ctx.args["encoding"]
    try:
        with open(path, encoding=encoding or "utf-8", errors="strict" if encoding else "surrogateescape") as stream:
            if ctx.args["read_whole_file"]:
                return bool(pattern.search(stream.read()))
            return any(pattern.match(line) for line in stream)
    except UnicodeDecodeError:
        text = "Failed to read the file {} due to an encoding error. current encoding: {}"
        raise _Unreadable(text.format(path, encoding)) from None
    except LookupError as error:
        raise _Unreadable(str(error)) from None
    except OSError:
        return False
