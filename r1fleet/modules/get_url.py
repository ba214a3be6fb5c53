"""Download a file, if what lies on the host is not it already."""

from __future__ import annotations

import datetime
import email.utils
import os
import posixpath
import re
import time
import urllib.parse
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.files import FILE_ARGUMENTS, apply_permissions, digest, install, path_info
from r1fleet.modules._edits import backup, wanted_mode
from r1fleet.modules._http import ARGUMENTS as HTTP_ARGUMENTS
from r1fleet.modules._http import opened, request

ARGUMENTS = dict(
    FILE_ARGUMENTS,
    dest={"type": "path", "required": True},
    backup={"type": "bool", "default": False},
    checksum={"type": "str", "default": ""},
    force={"type": "bool", "default": False},
    timeout={"type": "int", "default": 10},
    tmp_dest={"type": "path"},
    **HTTP_ARGUMENTS,
)
LOCAL = True
CHECK_MODE = True

_CHUNK = 1024 * 1024
_PROGRESS_SECONDS = 2.0


def run(ctx: Context) -> dict[str, Any]:
    """Bring ``url`` to ``dest``."""
    args = ctx.args
    dest = args["dest"]
    known = "" if os.path.isdir(dest) else dest
    if args["checksum"] and ":" not in args["checksum"]:
        _wanted(ctx)
    if known:
        there = _already_there(ctx, dest)
        if there is not None:
            return there
    base: dict[str, Any] = {"url": args["url"], "dest": dest, "elapsed": 0}
    started = time.monotonic()
    draft = os.path.join(_drafts(ctx), "download")
    answer = _fetch(ctx, known, draft, base)
    base["elapsed"] = int(time.monotonic() - started)
    if answer["status_code"] == 304:
        changed = apply_permissions(ctx, dest)
        return dict(path_info(dest), **base, **answer, changed=changed)
    if not known:
        base["dest"] = dest = os.path.join(dest, _file_name(ctx, answer.pop("disposition")))
    answer.pop("disposition", None)
    return _place(ctx, draft, dest, dict(base, **answer))


def _drafts(ctx: Context) -> str:
    folder = ctx.args["tmp_dest"]
    if folder and not os.path.isdir(folder):
        ctx.fail(
            "{} is a file but should be a directory.".format(folder)
            if os.path.exists(folder)
            else "{} directory does not exist.".format(folder)
        )
    return ctx.scratch(directory=folder)


def _already_there(ctx: Context, dest: str) -> dict[str, Any] | None:
    """Return the result where the file that lies there has the wanted checksum, or needs no look at all."""
    args = ctx.args
    if not os.path.exists(dest) or args["force"] or not args["checksum"]:
        return None
    algorithm, wanted = _wanted(ctx)
    if digest(dest, algorithm) != wanted:
        return None
    changed = apply_permissions(ctx, dest)
    msg = "file already exists but file attributes changed" if changed else "file already exists"
    base = {"url": args["url"], "dest": dest, "elapsed": 0, "checksum_src": None, "checksum_dest": None}
    return dict(path_info(dest), **base, changed=changed, msg=msg)


def _wanted(ctx: Context) -> tuple[str, str]:
    """Return algorithm and hex digest of the argument ``checksum``, fetched where it names a URL."""
    algorithm, colon, value = ctx.args["checksum"].partition(":")
    if not colon:
        ctx.fail("The checksum parameter has to be in format <algorithm>:<checksum>", url=ctx.args["url"])
    value = value.strip()
    if re.match(r"^(https?|ftp|file)://", value):
        value = _listed(ctx, value)
    if not re.match(r"^[0-9a-fA-F]+$", value):
        ctx.fail("The checksum format is invalid: {!r} is not hexadecimal".format(value), url=ctx.args["url"])
    return algorithm.strip().lower(), value.lower()


def _listed(ctx: Context, address: str) -> str:
    """Read the digest of this file from a list as sha256sum writes it; a list of one digest only is fine, too."""
    built = request(ctx, address)
    try:
        with opened(ctx, built, timeout=ctx.args["timeout"]) as answer:
            text = answer.read(_CHUNK).decode("utf-8", "replace") if (answer.getcode() or 200) < 400 else ""
    except OSError as error:
        ctx.fail("Unable to fetch the checksums from {}: {}".format(address, error), url=ctx.args["url"])
    name = posixpath.basename(urllib.parse.urlsplit(ctx.args["url"]).path)
    found = _digest_of(name, [line.split() for line in text.splitlines() if line.strip()])
    if found is None:
        ctx.fail("Unable to find a checksum for file '{}' in '{}'".format(name, address), url=ctx.args["url"])
    return found


def _digest_of(name: str, rows: list[list[str]]) -> str | None:
    if len(rows) == 1 and len(rows[0]) == 1:
        return rows[0][0]
    for row in rows:
        bsd = re.match(r"^\w+ \((.+)\) = ([0-9a-fA-F]+)$", " ".join(row))
        if bsd and posixpath.basename(bsd.group(1)) == name:
            return bsd.group(2)
        if len(row) > 1 and posixpath.basename(row[-1].lstrip("*")) == name:
            return row[0]
    return None


def _fetch(ctx: Context, dest: str, draft: str, base: dict[str, Any]) -> dict[str, Any]:
    """Download into ``draft``; return status, message and the name that the server proposes."""
    args = ctx.args
    built = request(ctx, args["url"], method="HEAD" if ctx.check else "GET", headers=_condition(ctx, dest))
    if args["force"]:
        built.add_header("cache-control", "no-cache")
    try:
        with opened(ctx, built, timeout=args["timeout"]) as answer:
            status = answer.getcode()
            if status is not None and status >= 400:
                text = "HTTP Error {}: {}".format(status, answer.reason)
                ctx.fail("Request failed", status_code=status, response=text, **base)
            if status == 304:
                return {"status_code": 304, "msg": "HTTP Error 304: Not Modified"}
            _receive(ctx, answer, draft)
            length = answer.headers.get("Content-Length", "unknown")
            msg = "OK ({} bytes)".format(length)
            return {"status_code": status, "msg": msg, "disposition": answer.headers.get("Content-Disposition")}
    except OSError as error:
        ctx.fail("Request failed: {}".format(error), **base)


def _condition(ctx: Context, dest: str) -> dict[str, str]:
    if ctx.args["force"] or not dest or not os.path.exists(dest) or ctx.args["checksum"]:
        return {}
    when = datetime.datetime.fromtimestamp(os.path.getmtime(dest), datetime.timezone.utc)
    return {"If-Modified-Since": email.utils.format_datetime(when, usegmt=True)}


def _receive(ctx: Context, answer: Any, draft: str) -> None:
    total = int(answer.headers.get("Content-Length") or 0)
    done, told = 0, time.monotonic()
    with open(draft, "wb") as stream:
        for chunk in iter(lambda: answer.read(_CHUNK), b""):
            stream.write(chunk)
            done += len(chunk)
            if time.monotonic() - told >= _PROGRESS_SECONDS:
                told = time.monotonic()
                share = " of {:.0f}".format(total / 1e6) if total else ""
                ctx.progress("{:.0f}{} MB of {}".format(done / 1e6, share, ctx.args["url"]))
    if total and done < total and not ctx.check and not answer.headers.get("Content-Encoding"):
        ctx.fail("Request failed: the connection ended after {} of {} bytes".format(done, total), url=ctx.args["url"])


def _file_name(ctx: Context, disposition: str | None) -> str:
    named = re.search(r'filename="?([^";]+)"?', disposition or "")
    path = named.group(1) if named else urllib.parse.urlsplit(ctx.args["url"]).path
    return posixpath.basename(path) or "index.html"


def _place(ctx: Context, draft: str, dest: str, reply: dict[str, Any]) -> dict[str, Any]:
    reply["checksum_src"], reply["checksum_dest"] = digest(draft, "sha1"), digest(dest, "sha1")
    folder = os.path.dirname(dest) or "."
    if not os.path.isdir(folder):
        ctx.fail("Destination {} does not exist".format(folder), **_without_msg(reply))
    if not os.access(folder, os.W_OK):
        ctx.fail("Destination {} is not writable".format(folder), **_without_msg(reply))
    differs = reply["checksum_src"] != reply["checksum_dest"]
    if ctx.check:
        present = path_info(dest) if os.path.exists(dest) else {}
        return dict(present, **reply, changed=differs if present and ctx.args["checksum"] else True)
    if ctx.args["checksum"]:
        _check(ctx, draft, reply)
    if differs:
        kept = backup(ctx, dest)
        reply.update({"backup_file": kept} if kept else {})
        install(draft, dest, mode=wanted_mode(ctx, dest), in_place=ctx.args["unsafe_writes"])
    changed = apply_permissions(ctx, dest) or differs
    return dict(path_info(dest), **reply, changed=changed, md5sum=_md5(dest))


def _check(ctx: Context, draft: str, reply: dict[str, Any]) -> None:
    algorithm, wanted = _wanted(ctx)
    found = digest(draft, algorithm)
    if found != wanted:
        text = "The checksum for {} did not match {}; it was {}.".format(ctx.args["url"], wanted, found)
        ctx.fail(text, **_without_msg(reply))


def _without_msg(reply: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in reply.items() if name != "msg"}


def _md5(path: str) -> str | None:
    try:
        return digest(path, "md5")
    except ValueError:  # a host that allows approved digests only
        return None
