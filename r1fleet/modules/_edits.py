"""What modules that change a file's text have in common: read, check, keep a copy, write, tell."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import time
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.files import apply_permissions, content_diff, current_umask, install, read_bytes
from r1fleet.agent.modes import parse_mode


def encoded(text: str) -> bytes:
    """Encode an argument as the bytes it stood for."""
    return text.encode("utf-8", "surrogateescape")


def load(ctx: Context, path: str, *, create: bool, missing: str = "Path {} does not exist !") -> bytes | None:
    """Read the file to change; None where it is absent and may be made."""
    if os.path.isdir(path):
        ctx.fail("Path {} is a directory !".format(path), rc=256)
    try:
        content = read_bytes(path)
    except OSError as error:
        ctx.fail("cannot read {}: {}".format(path, error.strerror), rc=error.errno)
    if content is None and not create:
        ctx.fail(missing.format(path), rc=257)
    return content


def store(ctx: Context, path: str, content: bytes, *, follow: bool = True) -> dict[str, Any]:
    """Check ``content`` with the argument ``validate`` and put it at ``path``; nothing happens in check mode.

    A file is never more open than asked, not even for a moment: what that changes of its mode is returned as a diff.
    """
    if ctx.check:
        return {}
    draft = os.path.join(ctx.scratch(), os.path.basename(path))
    with open(draft, "wb") as stream:
        stream.write(content)
    done = validate(ctx, draft)
    if done is not None and done.rc:
        ctx.fail("failed to validate: rc:{} error:{}".format(done.rc, done.error))
    folder = os.path.dirname(path)
    if folder and not os.path.isdir(folder):
        try:
            os.makedirs(folder)
        except OSError as error:
            ctx.fail("Error creating {} ({})".format(folder, error.strerror))
    mode, present = wanted_mode(ctx, path), _mode(path)
    install(draft, path, mode=mode, in_place=bool(ctx.args.get("unsafe_writes")), follow=follow)
    if mode is None or mode == present:
        return {}
    return {"before": {"mode": "%04o" % present}, "after": {"mode": "%04o" % mode}}


def _mode(path: str) -> int:
    """Return a file's mode, or the one that it would get."""
    return stat.S_IMODE(os.stat(path).st_mode) if os.path.exists(path) else 0o666 & ~current_umask()


def validate(ctx: Context, draft: str) -> Any:
    """Run the argument ``validate`` over ``draft``; None where there is nothing to run."""
    command = ctx.args.get("validate")
    if not command:
        return None
    if "%s" not in command:
        ctx.fail("validate must contain %s: {}".format(command))
    return ctx.run([word.replace("%s", draft) for word in shlex.split(command)])


def wanted_mode(ctx: Context, path: str) -> int | None:
    """Return the mode that a file gets at the moment it appears, so that it is never more open than asked."""
    mode = ctx.args.get("mode")
    if mode is None:
        return None
    umask = current_umask()
    status = os.stat(path).st_mode if os.path.exists(path) else stat.S_IFREG | (0o666 & ~umask)
    try:
        return parse_mode(mode, status, umask)
    except ValueError as error:
        ctx.fail("mode must be in octal or symbolic form", path=path, details=str(error))


def backup(ctx: Context, path: str) -> str:
    """Keep a copy of ``path`` beside it where the argument ``backup`` asks; return its name."""
    if not ctx.args.get("backup") or ctx.check or not os.path.exists(path):
        return ""
    copy = _backup_name(path)
    try:
        shutil.copy2(path, copy)
        status = os.stat(path)
        os.chown(copy, status.st_uid, status.st_gid)
    except OSError as error:
        ctx.fail("Could not make backup of {} to {}: {}".format(path, copy, error))
    return copy


def _backup_name(path: str) -> str:
    """Return Ansible's kind of name; this process may keep two copies in one second, and neither may be lost."""
    number = os.getpid()
    while True:
        name = "{}.{}.{}~".format(path, number, time.strftime("%Y-%m-%d@%H:%M:%S"))
        if not os.path.lexists(name):
            return name
        number += 1


def save(ctx: Context, path: str, before: bytes | None, after: bytes, reply: dict[str, Any]) -> dict[str, Any]:
    """Write a changed text, apply owner, group and mode, complete ``reply`` and add the diffs of both."""
    attributes = store(ctx, path, after) if reply["changed"] else {}
    changed = apply_permissions_after(ctx, path, attributes, changed=reply["changed"])
    if changed or attributes:
        words = "ownership, perms or SE linux context changed"
        reply["msg"] = "{} and {}".format(reply["msg"], words) if reply["msg"] else words
        reply["changed"] = True
    if ctx.diff:
        text = content_diff(before, after, path + " (content)")
        header = path + " (file attributes)"
        reply["diff"] = [text, dict(attributes, before_header=header, after_header=header)]
    return reply


def apply_permissions_after(ctx: Context, path: str, diff: dict[str, Any], *, changed: bool) -> bool:
    """Apply owner, group and mode; a file that would only now be made counts by its content alone."""
    if ctx.check and changed and not os.path.exists(path):
        return False
    return apply_permissions(ctx, path, diff=diff)
