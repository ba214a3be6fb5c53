"""Put files and trees at a place on the host."""

from __future__ import annotations

import os
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.files import FILE_ARGUMENTS, apply_permissions, path_info
from r1fleet.modules._placing import Content, inside, place_file, place_folder, place_link, walk

ARGUMENTS = dict(
    FILE_ARGUMENTS,
    src={"type": "path"},
    content={"type": "raw", "no_log": False},
    dest={"type": "path", "required": True},
    backup={"type": "bool", "default": False},
    force={"type": "bool", "default": True, "aliases": ["thirsty"]},
    follow={"type": "bool", "default": False},
    local_follow={"type": "bool", "default": True},
    directory_mode={"type": "raw"},
    remote_src={"type": "bool", "default": False},
    validate={"type": "str"},
    checksum={"type": "str"},
    decrypt={"type": "bool", "default": True},
    _entries={"type": "list", "elements": "dict"},
    _name={"type": "str"},
)
MUTUALLY_EXCLUSIVE = [["src", "content"]]
LOCAL = True
CHECK_MODE = True


def run(ctx: Context) -> dict[str, Any]:
    """Place what the controller offers, or with ``remote_src`` what lies on the host."""
    if ctx.args["remote_src"]:
        return _from_host(ctx)
    entries = ctx.args["_entries"] or []
    if len(entries) == 1 and not entries[0]["path"] and entries[0]["kind"] == "file":
        return _single(ctx, _offered(ctx, entries[0]), ctx.args["_name"] or "")
    return _tree(ctx, entries)


def _offered(ctx: Context, entry: dict[str, Any]) -> Content:
    def fetch(folder: str) -> str:
        return ctx.blob(entry["sha256"], directory=folder)

    return Content(entry["size"], entry.get("mode") or "", fetch, sha256=entry["sha256"])


def _single(ctx: Context, content: Content, name: str) -> dict[str, Any]:
    asked = ctx.args["dest"]
    into = asked.endswith("/") or os.path.isdir(asked)
    if into and not name:
        ctx.fail("can not use content with a dir as dest")
    dest = os.path.join(asked, name) if into else asked
    folder = os.path.dirname(dest) or "."
    if not os.path.isdir(folder):
        if not asked.endswith("/"):
            if ctx.check:
                return {"changed": True, "dest": dest}
            ctx.fail("Destination directory {} does not exist".format(folder), dest=dest)
        place_folder(ctx, folder)
    reply = place_file(ctx, content, dest)
    return dict(reply, src=ctx.args["src"]) if ctx.args["remote_src"] else reply


def _tree(ctx: Context, entries: list[dict[str, Any]]) -> dict[str, Any]:
    dest = ctx.args["dest"].rstrip("/") or "/"
    changed = False
    diffs: list[Any] = []
    for entry in sorted(entries, key=lambda single: single["path"]):
        path = inside(ctx, dest, entry["path"])
        if entry["kind"] == "directory":
            changed = place_folder(ctx, path) or changed
        elif entry["kind"] == "link":
            place_folder(ctx, os.path.dirname(path))
            changed = place_link(ctx, entry["target"], path) or changed
        else:
            changed = place_folder(ctx, os.path.dirname(path)) or changed
            reply = place_file(ctx, _offered(ctx, entry), path)
            diffs += reply.get("diff", [])
            changed = reply["changed"] or changed
    reply = {"changed": changed, "dest": dest + "/"}
    return dict(reply, diff=diffs) if ctx.diff else reply


def _from_host(ctx: Context) -> dict[str, Any]:
    source = ctx.args["src"]
    if source is None:
        ctx.fail("src (or content) is required")
    if not os.path.exists(source):
        ctx.fail("Source {} not found".format(source))
    if not os.access(source, os.R_OK):
        ctx.fail("Source {} not readable".format(source))
    if os.path.isfile(source):
        return _single(ctx, _lying(source), os.path.basename(source))
    if not os.path.isdir(source):
        ctx.fail("Source {} is not a file".format(source))
    if ctx.args["mode"] == "preserve":
        ctx.args["mode"] = None  # files come with theirs
    dest = ctx.args["dest"]
    target = dest if source.endswith("/") else os.path.join(dest, os.path.basename(source))
    changed = _copy_tree(ctx, source.rstrip("/") or "/", target)
    if os.path.exists(dest):
        changed = apply_permissions(ctx, dest, follow=False) or changed
    reply = {"changed": changed, "src": source, "dest": dest, "checksum": None, "md5sum": None}
    return dict(path_info(dest) if os.path.exists(dest) else {}, **reply)


def _lying(path: str) -> Content:
    status = os.stat(path)
    return Content(status.st_size, "%04o" % (status.st_mode & 0o7777), lambda _: path, keep=True)


def _copy_tree(ctx: Context, source: str, dest: str) -> bool:
    changed = place_folder(ctx, dest, like=source)
    for kind, relative in walk(source, follow=ctx.args["local_follow"]):
        origin, path = os.path.join(source, relative), os.path.join(dest, relative)
        if kind == "directory":
            changed = place_folder(ctx, path, like=origin) or changed
        elif kind == "link":
            changed = place_link(ctx, os.readlink(origin), path) or changed
        elif kind == "file":
            changed = place_file(ctx, _lying(origin), path, like_source=True)["changed"] or changed
    return changed
