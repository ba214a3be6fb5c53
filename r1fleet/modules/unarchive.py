"""Unpack an archive where what it holds is not there already."""

from __future__ import annotations

import os
import posixpath
import urllib.parse
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.files import FILE_ARGUMENTS, apply_permissions, path_info
from r1fleet.modules import _http, _tar, _zip

ARGUMENTS = dict(
    FILE_ARGUMENTS,
    src={"type": "path", "required": True},
    dest={"type": "path", "required": True},
    remote_src={"type": "bool", "default": False},
    creates={"type": "path"},
    list_files={"type": "bool", "default": False},
    keep_newer={"type": "bool", "default": False},
    exclude={"type": "list", "elements": "str", "default": []},
    include={"type": "list", "elements": "str", "default": []},
    extra_opts={"type": "list", "elements": "str", "default": []},
    validate_certs={"type": "bool", "default": True},
    io_buffer_size={"type": "int", "default": 65536},
    copy={"type": "bool", "default": True},
    decrypt={"type": "bool", "default": True},
    _entries={"type": "list", "elements": "dict"},
    _name={"type": "str"},
)
LOCAL = True
CHECK_MODE = True

_MAGIC = 6


def run(ctx: Context) -> dict[str, Any]:
    """Look at what lies in ``dest``, unpack where it differs, then give all of it owner, group and mode."""
    args = ctx.args
    if args["creates"] and os.path.lexists(args["creates"]):
        return {"changed": False, "skipped": True, "msg": "skipped, since {} exists".format(args["creates"])}
    if args["include"] and args["exclude"]:
        ctx.fail("parameters are mutually exclusive: include|exclude")
    if not os.path.isdir(args["dest"]):
        ctx.fail("dest '{}' must be an existing dir".format(args["dest"]))
    source = _source(ctx)
    archive = _opened(ctx, source)
    if ctx.check and isinstance(archive, _tar.TarArchive):
        msg = "remote module (unarchive) does not support check mode when using gtar"
        return {"changed": False, "skipped": True, "msg": msg}
    names = archive.names()
    for name in names:
        _keep_inside(ctx, name, names)
    reply: dict[str, Any] = {"handler": archive.handler, "dest": args["dest"], "src": source, "changed": False}
    _unpack(ctx, archive, reply)
    if not ctx.check:
        reply["changed"] = _dress(ctx, names) or reply["changed"]
    if args["list_files"]:
        reply["files"] = names
    return dict(path_info(args["dest"]), **reply)


def _source(ctx: Context) -> str:
    """Return the archive's path on this host, fetched where it is elsewhere."""
    args = ctx.args
    entries = args["_entries"]
    if entries:
        return _weighed(ctx, ctx.blob(entries[0]["sha256"]), args["_name"])
    source = args["src"]
    if "://" in source and not os.path.exists(source):
        name = posixpath.basename(urllib.parse.urlsplit(source).path) or "archive"
        path = os.path.join(ctx.scratch(), name)
        _http.download(ctx, source, path)
        return _weighed(ctx, path, source)
    if not os.path.exists(source):
        ctx.fail("Source '{}' does not exist".format(source))
    if not os.access(source, os.R_OK):
        ctx.fail("Source '{}' not readable".format(source))
    return _weighed(ctx, os.path.abspath(source), source)


def _weighed(ctx: Context, path: str, name: str) -> str:
    if os.path.isfile(path) and os.path.getsize(path) == 0:
        ctx.fail("Invalid archive '{}', the file is 0 bytes".format(name))
    return path


def _opened(ctx: Context, source: str) -> Any:
    try:
        with open(source, "rb") as stream:
            magic = stream.read(_MAGIC)
    except OSError as error:
        ctx.fail("Source '{}' not readable: {}".format(source, error.strerror))
    archive = _zip.ZipArchive if magic[:2] == b"PK" else _tar.TarArchive
    return archive(ctx, source, magic)


def _keep_inside(ctx: Context, name: str, names: list[str]) -> None:
    """Refuse a name that would be written outside of ``dest``, by ``..`` or by a link that lies there."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        ctx.fail("the archive's entry '{}' leads out of {}; nothing was unpacked".format(name, ctx.args["dest"]))
    root = os.path.realpath(ctx.args["dest"])
    path = root
    for part in parts[:-1]:
        path = os.path.join(path, part)
        if not os.path.islink(path):
            continue
        target = os.path.realpath(path)
        if (target + "/").startswith(root + "/"):
            path = target
        elif _keeps_links(ctx) or os.path.relpath(path, root) + "/" not in names:
            text = "the archive's entry '{}' would be written through the link {} to {}; nothing was unpacked"
            ctx.fail(text.format(name, path, target))
        else:
            return  # a folder of the archive takes the link's place


def _keeps_links(ctx: Context) -> bool:
    return any(len(option) > 6 and "--keep-directory-symlink".startswith(option) for option in ctx.args["extra_opts"])


def _unpack(ctx: Context, archive: Any, reply: dict[str, Any]) -> None:
    missing, diff = archive.differences()
    if ctx.diff and diff:
        reply["diff"] = {"prepared": diff}
    if not missing or ctx.check:
        reply["changed"] = missing
        return
    command, done = archive.unpack()
    texts = {"out": done.text, "err": done.error}
    reply["extract_results"] = dict(texts, cmd=command, rc=done.rc)
    if done.rc:
        msg = "failed to unpack {} to {}: {}".format(reply["src"], reply["dest"], done.error.strip() or done.text)
        ctx.fail(msg[:4000], **dict(path_info(reply["dest"]), **reply))
    reply["changed"] = True


def _dress(ctx: Context, names: list[str]) -> bool:
    """Give owner, group and mode to everything unpacked; links themselves, never what they lead to."""
    args = ctx.args
    if all(args[name] is None for name in ("owner", "group", "mode", "attributes")):
        return False
    changed = False
    tops = {name.split("/")[0]: None for name in names if "/" in name}
    for name in [*names, *tops]:
        path = os.path.join(args["dest"], name.lstrip("/"))
        if os.path.lexists(path.rstrip("/")):
            changed = apply_permissions(ctx, path.rstrip("/"), follow=False) or changed
    return changed
