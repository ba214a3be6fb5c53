"""Owner, group, mode, label and attributes of files, as Ansible's common file arguments ask for them."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from typing import Any, Dict, Optional, Union

from r1fleet.agent import labels
from r1fleet.agent.context import Context, ModuleFailed
from r1fleet.agent.modes import parse_mode

FILE_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "raw"},
    "attributes": {"type": "str", "aliases": ["attr"]},
    "seuser": {"type": "str"},
    "serole": {"type": "str"},
    "setype": {"type": "str"},
    "selevel": {"type": "str"},
    "unsafe_writes": {"type": "bool", "default": False},
}
"""Ansible's arguments common to all modules that make files; merge them into a module's ARGUMENTS."""


def apply_permissions(ctx: Context, path: str, *, diff: Optional[Dict[str, Any]] = None, follow: bool = True) -> bool:
    """Give ``path`` the owner, group, mode and label that ``ctx.args`` names; tell whether that changes anything.

    In check mode nothing is touched, and a path that is not there yet counts as changed. ``diff`` collects
    ``before`` and ``after`` as Ansible shows them.
    """
    wanted = {name: ctx.args.get(name) for name in ("owner", "group", "mode", "attributes")}
    parts = labels.wanted(ctx.args)
    if not parts and not any(value is not None for value in wanted.values()):
        return False
    if ctx.check and not os.path.lexists(path):
        return True
    changed = _apply_label(ctx, path, parts, diff, follow=follow)
    changed = _apply_owner(ctx, path, wanted, diff, follow=follow) or changed
    changed = _apply_mode(ctx, path, wanted["mode"], diff, follow=follow) or changed
    return _apply_attributes(ctx, path, wanted["attributes"], diff) or changed


def current_umask() -> int:
    """Tell the process's umask."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _apply_label(
    ctx: Context, path: str, parts: Dict[str, str], diff: Optional[Dict[str, Any]], *, follow: bool
) -> bool:
    change = labels.apply(path, parts, check=ctx.check, follow=follow) if parts else None
    if change:
        _note(diff, "secontext", change["before"].split(":", 3), change["after"].split(":", 3))
    return change is not None


def _apply_owner(
    ctx: Context, path: str, wanted: Dict[str, Any], diff: Optional[Dict[str, Any]], *, follow: bool
) -> bool:
    uid = -1 if wanted["owner"] is None else number_of(wanted["owner"], "owner")
    gid = -1 if wanted["group"] is None else number_of(wanted["group"], "group")
    status = os.stat(path) if follow and os.path.exists(path) else os.lstat(path)
    changed = False
    for name, number, present in (("owner", uid, status.st_uid), ("group", gid, status.st_gid)):
        if number not in (-1, present):
            changed = True
            _note(diff, name, present, number)
    if changed and not ctx.check:
        try:
            os.chown(path, uid, gid, follow_symlinks=follow)
        except OSError as error:
            verb = "chown" if uid != -1 else "chgrp"
            ctx.fail("%s failed: %s" % (verb, error.strerror), path=path, details=str(error))
    return changed


def number_of(name: Union[str, int], kind: str) -> int:
    """Return the number of an owner or a group (``kind``) that is given by name or number."""
    try:
        return int(name)
    except ValueError:
        pass
    try:
        return pwd.getpwnam(str(name)).pw_uid if kind == "owner" else grp.getgrnam(str(name)).gr_gid
    except KeyError:
        verb, noun = ("chown", "user") if kind == "owner" else ("chgrp", "group")
        raise ModuleFailed("%s failed: failed to look up %s %s" % (verb, noun, name)) from None


def _apply_mode(ctx: Context, path: str, mode: Any, diff: Optional[Dict[str, Any]], *, follow: bool) -> bool:
    if mode is None or (os.path.islink(path) and not follow):
        return False
    status = os.stat(path) if os.path.exists(path) else os.lstat(path)
    present = stat.S_IMODE(status.st_mode)
    try:
        number = parse_mode(mode, status.st_mode, current_umask())
    except ValueError as error:
        ctx.fail("mode must be in octal or symbolic form", path=path, details=str(error))
    if number == present:
        return False
    _note(diff, "mode", "0%03o" % present, "0%03o" % number)
    if not ctx.check and not stat.S_ISLNK(status.st_mode):
        try:
            os.chmod(path, number)
        except OSError as error:
            ctx.fail("chmod failed: %s" % error.strerror, path=path, details=str(error))
    return True


def _apply_attributes(ctx: Context, path: str, attributes: Optional[str], diff: Optional[Dict[str, Any]]) -> bool:
    if attributes is None:
        return False
    sign = attributes[0] if attributes[:1] in ("+", "-", "=") else "="
    flags = set(attributes.lstrip("+-="))
    listed = ctx.run(["lsattr", "-vd", path], locale="C")
    words = listed.text.split()
    present = set(words[1].replace("-", "")) if listed.rc == 0 and len(words) > 1 else set()
    after = {"+": present | flags, "-": present - flags, "=": flags}[sign]
    # The file system itself sets these; nobody can ask for them.
    if after - {"e", "I"} == present - {"e", "I"}:
        return False
    _note(diff, "attributes", "".join(sorted(present)), "".join(sorted(after)))
    if not ctx.check:
        done = ctx.run(["chattr", sign + "".join(sorted(flags)), path], locale="C")
        if done.rc != 0:
            ctx.fail("chattr failed", path=path, details=done.error.strip())
    return True


def _note(diff: Optional[Dict[str, Any]], name: str, before: Any, after: Any) -> None:
    if diff is not None:
        diff.setdefault("before", {})[name] = before
        diff.setdefault("after", {})[name] = after
