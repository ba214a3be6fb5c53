"""Make one file of a folder's files."""

from __future__ import annotations

import hashlib
import os
import re
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.files import FILE_ARGUMENTS, apply_permissions, content_diff, path_info, read_bytes
from r1fleet.modules._edits import backup, store
from r1fleet.modules._fragments import joined

ARGUMENTS: dict[str, dict[str, Any]] = dict(
    FILE_ARGUMENTS,
    src={"type": "path", "required": True},
    dest={"type": "path", "required": True},
    backup={"type": "bool", "default": False},
    delimiter={"type": "str"},
    regexp={"type": "str"},
    ignore_hidden={"type": "bool", "default": False},
    remote_src={"type": "bool", "default": True},
    validate={"type": "str"},
    decrypt={"type": "bool", "default": True},
)
LOCAL = True
CHECK_MODE = True


def run(ctx: Context) -> dict[str, Any]:
    """Join the files of ``src`` and put them at ``dest`` if they are not there."""
    args, dest = ctx.args, ctx.args["dest"]
    content = _content(ctx)
    if os.path.isdir(dest):
        ctx.fail("Destination {} is a folder".format(dest))
    before = read_bytes(dest)
    reply: dict[str, Any] = {"src": args["src"], "dest": dest, "msg": "OK", "changed": before != content}
    reply.update(checksum=hashlib.sha1(content).hexdigest(), md5sum=_md5(content))
    if reply["changed"]:
        kept = backup(ctx, dest)
        reply.update({"backup_file": kept} if kept else {})
        store(ctx, dest, content)
    if os.path.exists(dest):
        reply["changed"] = apply_permissions(ctx, dest) or reply["changed"]
    if ctx.diff:
        reply["diff"] = content_diff(before, content, dest)
    return dict(path_info(dest), **reply) if os.path.exists(dest) else reply


def _content(ctx: Context) -> bytes:
    args, source = ctx.args, ctx.args["src"]
    if not os.path.exists(source):
        ctx.fail("Source ({}) does not exist".format(source))
    if not os.path.isdir(source):
        ctx.fail("Source ({}) is not a directory".format(source))
    options = {name: args[name] for name in ("regexp", "delimiter", "ignore_hidden")}
    try:
        return joined(source, **options)
    except re.error as error:
        ctx.fail('Invalid Regexp ({}) in "{}"'.format(error, args["regexp"]))


def _md5(content: bytes) -> str | None:
    try:
        return hashlib.md5(content).hexdigest()
    except ValueError:  # a host that allows approved digests only
        return None
