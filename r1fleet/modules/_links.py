"""Make symbolic and hard links."""

from __future__ import annotations

import os
from typing import Any, Callable

from r1fleet.agent import places
from r1fleet.agent.context import Context
from r1fleet.agent.files import apply_permissions, path_info, state_of


def symbolic_link(ctx: Context, path: str, diff: dict[str, Any]) -> dict[str, Any]:
    """Make ``path`` a symbolic link to the argument ``src``."""
    present = state_of(path)
    source = ctx.args["src"]
    if source is None:
        if present != "link":
            ctx.fail("src is required for creating new symlinks")
        source = os.readlink(path)
    _refuse_dangling(ctx, path, source, present)
    _refuse_conversion(ctx, path, present)
    changed = present != "link" or os.readlink(path) != source
    if present == "link" and changed:
        diff["before"]["src"], diff["after"]["src"] = os.readlink(path), source
    reply = {"dest": path, "src": source, "changed": changed}
    if changed and not ctx.check:
        if present == "directory":
            os.rmdir(path)
        put_link(ctx, path, lambda name: os.symlink(source, name))
    if ctx.check and present != "link":
        return reply
    if not os.path.exists(path) and ctx.args["follow"]:
        ctx.warn(
            "Cannot set fs attributes on a non-existent symlink target. follow should be set to False to avoid this."
        )
        return reply
    return dict(reply, changed=apply_permissions(ctx, path, diff=diff, follow=ctx.args["follow"]) or changed)


def _refuse_dangling(ctx: Context, path: str, source: str, present: str) -> None:
    folder = path if present == "directory" else os.path.dirname(path)
    if ctx.args["force"] or os.path.exists(os.path.join(folder, source)):
        return
    text = "src file does not exist, use 'force=yes' if you really want to create the link: {}"
    ctx.fail(text.format(os.path.join(folder, source)), path=path, src=source)


def _refuse_conversion(ctx: Context, path: str, present: str) -> None:
    if present in ("absent", "link"):
        return
    if not ctx.args["force"]:
        text = "refusing to convert from {} to symlink for {}".format(present, path)
        ctx.fail(text, path=path, **path_info(path))
    if present == "directory" and os.listdir(path):
        text = "the directory {} is not empty, refusing to convert it".format(path)
        ctx.fail(text, path=path, **path_info(path))


def hard_link(ctx: Context, path: str, diff: dict[str, Any]) -> dict[str, Any]:
    """Make ``path`` another name of the file ``src``."""
    source = ctx.args["src"]
    if os.path.isdir(path) and source:
        path = os.path.join(path, os.path.basename(source))
    present = state_of(path)
    if source is None:
        if present != "hard":
            ctx.fail("src is required for creating new hardlinks")
        return {"dest": path, "changed": apply_permissions(ctx, path, diff=diff, follow=ctx.args["follow"])}
    if not os.path.exists(source):
        ctx.fail("src does not exist", dest=path, src=source, **(path_info(path) if present != "absent" else {}))
    changed = present == "absent" or not os.path.samestat(os.stat(source), os.lstat(path))
    if changed:
        _refuse_hard(ctx, path, source, present)
    reply = {"dest": path, "src": source, "changed": changed}
    if changed and not ctx.check:
        put_link(ctx, path, lambda name: os.link(_followed(ctx, source), name))
    if ctx.check and present == "absent":
        return reply
    return dict(reply, changed=apply_permissions(ctx, path, diff=diff, follow=ctx.args["follow"]) or changed)


def _followed(ctx: Context, source: str) -> str:
    return os.path.realpath(source) if ctx.args["follow"] else source


def _refuse_hard(ctx: Context, path: str, source: str, present: str) -> None:
    if present == "absent" or (ctx.args["force"] and present != "directory"):
        return
    what = "different hard link" if present == "hard" else present
    ctx.fail("Cannot link, {} exists at destination".format(what), dest=path, src=source, **path_info(path))


def put_link(ctx: Context, path: str, make: Callable[[str], None]) -> None:
    """Make a link under a neighbour name and rename it, so that ``path`` is never missing."""
    try:
        folder = places.fresh_folder(os.path.dirname(path) or ".", ".r1fleet-")
        neighbour = os.path.join(folder, "link")
        try:
            make(neighbour)
            os.rename(neighbour, path)
        finally:
            if os.path.lexists(neighbour):
                os.unlink(neighbour)
            os.rmdir(folder)
    except OSError as error:
        ctx.fail("Error while linking: {}".format(error), path=path)
