"""Make, change or remove files, folders and links."""

from __future__ import annotations

import grp
import os
import pwd
import time
from typing import Any

from r1fleet.agent import trees
from r1fleet.agent.context import Context, ModuleFailed
from r1fleet.agent.files import FILE_ARGUMENTS, apply_permissions, path_info, state_of
from r1fleet.modules._links import hard_link, symbolic_link

ARGUMENTS = dict(
    FILE_ARGUMENTS,
    path={"type": "path", "required": True, "aliases": ["dest", "name"]},
    state={"type": "str", "choices": ["absent", "directory", "file", "hard", "link", "touch"]},
    src={"type": "path"},
    recurse={"type": "bool", "default": False},
    force={"type": "bool", "default": False},
    follow={"type": "bool", "default": True},
    modification_time={"type": "str"},
    modification_time_format={"type": "str", "default": "%Y%m%d%H%M.%S"},
    access_time={"type": "str"},
    access_time_format={"type": "str", "default": "%Y%m%d%H%M.%S"},
)
LOCAL = True
CHECK_MODE = True


def run(ctx: Context) -> dict[str, Any]:
    """Bring ``path`` into the wanted state."""
    path, state = ctx.args["path"], ctx.args["state"] or _implied(ctx)
    if ctx.args["recurse"] and state not in ("directory", None):
        ctx.fail("recurse option requires state to be 'directory'", path=path)
    if ctx.args["src"] and state not in ("link", "hard"):
        ctx.fail("src option requires state to be 'link' or 'hard'", path=path)
    # A link and what it leads to are two things: only these states mean the link itself.
    if state not in ("link", "hard", "absent") and ctx.args["follow"] and os.path.islink(path):
        path = os.path.realpath(path)
    _warn_of_strangers(ctx)
    before = state_of(path)
    diff: dict[str, Any] = {"before": {"path": path}, "after": {"path": path}}
    if state not in (before, "touch") and not (state == "file" and before == "hard"):
        diff["before"]["state"], diff["after"]["state"] = before, state
    actions = {"absent": _absent, "directory": _directory, "touch": _touch, "file": _file}
    actions.update(link=symbolic_link, hard=hard_link)
    try:
        reply = actions[state](ctx, path, diff)
    except ModuleFailed as error:
        error.reply = dict(path_info(path) if os.path.lexists(path) else {}, **error.reply)
        raise
    if state in ("link", "hard"):
        reply["changed"] = _set_times(ctx, path, diff) or reply["changed"]
    # What stands there is told after all changes; in check mode that is what stood there before.
    reply = dict(path_info(path) if os.path.lexists(path) else {}, **reply)
    return dict(reply, diff=diff) if ctx.diff else reply


def _warn_of_strangers(ctx: Context) -> None:
    """Say in check mode that an owner or a group is not there yet: an earlier task may be the one that makes it."""
    for name, noun, table in (("owner", "user", "passwd"), ("group", "group", "group")):
        wanted = ctx.args[name]
        if ctx.check and wanted is not None and not _is_known(wanted, table):
            kind = " with {}id".format(noun[0]) if wanted.isdigit() else ""
            text = "failed to look up {}{} {}. Create {} up to this point in real play"
            ctx.warn(text.format(noun, kind, wanted, noun))


def _is_known(wanted: str, table: str) -> bool:
    try:
        if table == "passwd":
            pwd.getpwuid(int(wanted)) if wanted.isdigit() else pwd.getpwnam(wanted)
        else:
            grp.getgrgid(int(wanted)) if wanted.isdigit() else grp.getgrnam(wanted)
    except KeyError:
        return False
    return True


def _implied(ctx: Context) -> str:
    if ctx.args["recurse"]:
        return "directory"
    present = state_of(ctx.args["path"])
    if present == "absent":
        return "link" if ctx.args["src"] else "file"
    return "file" if present == "hard" and not ctx.args["src"] else present


def _file(ctx: Context, path: str, diff: dict[str, Any]) -> dict[str, Any]:
    present = state_of(path)
    if present == "absent":
        ctx.fail("file ({}) is absent, cannot continue".format(path), path=path, state="absent")
    if present not in ("file", "hard"):
        ctx.fail("file ({}) is {}, cannot continue".format(path, present), path=path, **path_info(path))
    changed = apply_permissions(ctx, path, diff=diff, follow=ctx.args["follow"])
    return {"path": path, "changed": _set_times(ctx, path, diff) or changed}


def _absent(ctx: Context, path: str, diff: dict[str, Any]) -> dict[str, Any]:
    present = state_of(path)
    if present == "absent":
        return {"path": path, "changed": False, "state": "absent"}
    if present == "directory" and ctx.diff:
        diff["before"]["path_content"] = _listing(path)
    if ctx.check:
        return {"path": path, "changed": True}
    try:
        if present == "directory":
            trees.remove(path)
        else:
            os.unlink(path)
    except FileNotFoundError:
        return {"path": path, "changed": False, "state": "absent"}
    except OSError as error:
        verb = "rmtree" if present == "directory" else "unlinking"
        ctx.fail("{} failed: {}".format(verb, error), path=path, **path_info(path))
    return {"path": path, "changed": True, "state": "absent"}


def _listing(path: str) -> dict[str, list[str]]:
    listing: dict[str, list[str]] = {"directories": [], "files": []}
    for base, folders, files in os.walk(path):
        listing["directories"] += [os.path.join(base, name) for name in folders]
        listing["files"] += [os.path.join(base, name) for name in files]
    return listing


def _directory(ctx: Context, path: str, diff: dict[str, Any]) -> dict[str, Any]:
    present = state_of(path)
    if present not in ("absent", "directory"):
        ctx.fail("{} already exists as a {}".format(path, present), path=path, **path_info(path))
    if present == "absent" and ctx.check:
        return {"path": path, "changed": True}
    changed = present == "absent" and _make_folders(ctx, path, diff)
    changed = apply_permissions(ctx, path, diff=diff, follow=ctx.args["follow"]) or changed
    changed = _set_times(ctx, path, diff) or changed
    if ctx.args["recurse"]:
        changed = _recurse(ctx, path) or changed
    return {"path": path, "changed": changed}


def _make_folders(ctx: Context, path: str, diff: dict[str, Any]) -> bool:
    """Make the folders that are missing; each new one gets the permissions that were asked for."""
    missing = []
    base = path.rstrip("/") or "/"
    while not os.path.isdir(base):
        missing.append(base)
        base = os.path.dirname(base) or "."
    for folder in reversed(missing):
        try:
            os.mkdir(folder)
        except FileExistsError:
            if not os.path.isdir(folder):
                ctx.fail("There was an issue creating {}: a parent is not a folder".format(path), path=path)
        except OSError as error:
            ctx.fail("There was an issue creating {} as requested: {}".format(folder, error), path=path)
        apply_permissions(ctx, folder, diff=diff, follow=False)
    return True


def _recurse(ctx: Context, path: str) -> bool:
    changed = False
    for base, folders, files in os.walk(path):
        for name in folders + files:
            inner = os.path.join(base, name)
            changed = apply_permissions(ctx, inner, follow=False) or changed
            if os.path.islink(inner) and ctx.args["follow"] and os.path.exists(inner):
                target = os.path.realpath(inner)
                changed = apply_permissions(ctx, target) or changed
                changed = (os.path.isdir(target) and not _inside(target, path) and _recurse(ctx, target)) or changed
    return changed


def _inside(path: str, folder: str) -> bool:
    """Tell whether the walk through ``folder`` comes to ``path`` by itself, or would never end."""
    root = os.path.realpath(folder)
    return (path + "/").startswith(root + "/") or (root + "/").startswith(path + "/")


def _touch(ctx: Context, path: str, diff: dict[str, Any]) -> dict[str, Any]:
    present = state_of(path)
    if present == "absent" and ctx.check:
        return {"dest": path, "changed": True}
    changed = present == "absent"
    if changed:
        try:
            with open(path, "ab"):
                pass
        except OSError as error:
            ctx.fail("Error, could not touch target: {}".format(error), path=path)
    diff["before"]["state"], diff["after"]["state"] = present, "touch"
    try:
        changed = apply_permissions(ctx, path, diff=diff, follow=ctx.args["follow"]) or changed
        changed = _set_times(ctx, path, diff, default="now") or changed
    except ModuleFailed:
        if present == "absent":
            os.unlink(path)  # a file that cannot be as asked is not left behind
        raise
    return {"dest": path, "changed": changed}


def _set_times(ctx: Context, path: str, diff: dict[str, Any], *, default: str = "preserve") -> bool:
    """Set access and modification time; tell whether that changes anything."""
    if (ctx.check and not os.path.lexists(path)) or not os.path.exists(path):
        return False
    status, now = os.stat(path), time.time_ns()
    accessed = _time(ctx, "access_time", default, status.st_atime_ns, now)
    modified = _time(ctx, "modification_time", default, status.st_mtime_ns, now)
    if (accessed, modified) == (status.st_atime_ns, status.st_mtime_ns):
        return False
    for name, before, after in (
        ("atime", status.st_atime_ns, accessed),
        ("mtime", status.st_mtime_ns, modified),
    ):
        if before != after:
            diff["before"][name], diff["after"][name] = before / 1e9, after / 1e9
    if not ctx.check:
        try:
            # Whoever may write to a file may set both to now, only its owner may choose.
            os.utime(path) if accessed == modified == now else os.utime(path, ns=(accessed, modified))
        except OSError as error:
            ctx.fail("Error while updating modification or access time: {}".format(error), path=path)
    return True


def _time(ctx: Context, argument: str, default: str, present: int, now: int) -> int:
    text = ctx.args[argument] or default
    if text == "preserve":
        return present
    if text == "now":
        return now
    layout = ctx.args[argument + "_format"]
    try:
        return int(time.mktime(time.strptime(text, layout))) * 10**9
    except (ValueError, OverflowError) as error:
        ctx.fail("Error while obtaining timestamp for time {} using format {}: {}".format(text, layout, error))
