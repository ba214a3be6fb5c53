"""Read accounts from the name service and the shadow file; change them by the system's own tools."""

from __future__ import annotations

import grp
import os
import pwd
import time
from typing import Any

from r1fleet.agent import trees
from r1fleet.agent.context import Context

SHADOW = "/etc/shadow"
_DAY = 86400
_AGES = (
    ("password_expire_max", "-M", 4),
    ("password_expire_min", "-m", 3),
    ("password_expire_warn", "-W", 5),
    ("password_expire_account_disable", "-I", 6),
)


def find_user(name: str) -> pwd.struct_passwd | None:
    """Return the account called ``name``."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def group_number(name: str) -> int | None:
    """Return the number of a group given by name or number."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        pass
    try:
        return grp.getgrgid(int(name)).gr_gid if name.isdigit() else None
    except (KeyError, OverflowError):
        return None


def wanted_groups(ctx: Context) -> list[str]:
    """Return the argument ``groups`` without empty names."""
    return [name for name in ctx.args["groups"] or [] if name]


def shadow(name: str) -> list[str] | None:
    """Return the fields of the account's line in the shadow file."""
    try:
        with open(SHADOW, encoding="utf-8", errors="surrogateescape") as stream:
            found = [line.rstrip("\n").split(":") for line in stream if line.startswith(name + ":")]
    except OSError:
        return None
    return found[0] if found and len(found[0]) >= 9 else None


def add(ctx: Context) -> None:
    """Make the account with useradd."""
    args = ctx.args
    words = [ctx.need("useradd")]
    words += _identity(ctx)
    if args["group"] is not None:
        words += ["-g", args["group"]]
    elif _group_exists(args["name"]):
        # useradd refuses to make a group that stands already; the system's default group it is, then.
        words.append("-N")
    if wanted_groups(ctx):
        words += ["-G", ",".join(wanted_groups(ctx))]
    for argument, flag in (("comment", "-c"), ("home", "-d"), ("shell", "-s")):
        if args[argument] is not None:
            words += [flag, args[argument]]
    if args["expires"] is not None:
        words += ["-e", _expiry(args["expires"])]
    words += _home_flags(ctx)
    for argument, key in (("uid_min", "UID_MIN"), ("uid_max", "UID_MAX")):
        if args[argument] is not None:
            words += ["-K", "{}={}".format(key, args[argument])]
    words += ["-r"] if args["system"] else []
    _must(ctx, [*words, args["name"]])


def _group_exists(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _identity(ctx: Context) -> list[str]:
    args = ctx.args
    words = [] if args["uid"] is None else ["-u", str(args["uid"])]
    words += ["-o"] if words and args["non_unique"] else []
    return words + (["-Z", args["seuser"]] if args["seuser"] else [])


def _home_flags(ctx: Context) -> list[str]:
    args = ctx.args
    if not args["create_home"]:
        return ["-M"]
    parent = os.path.dirname((args["home"] or "").rstrip("/"))
    if parent and not os.path.isdir(parent):
        os.makedirs(parent)
    words = ["-m"] + (["-k", args["skeleton"]] if args["skeleton"] else [])
    return words + (["-K", "UMASK=" + args["umask"]] if args["umask"] else [])


def _expiry(seconds: float) -> str:
    return "" if seconds < 0 else time.strftime("%Y-%m-%d", time.gmtime(seconds))


def modify(ctx: Context, present: pwd.struct_passwd) -> bool:
    """Bring passwd and group entries to what the arguments say with one usermod; tell whether that changes anything."""
    args = ctx.args
    words: list[str] = []
    if args["uid"] is not None and present.pw_uid != args["uid"]:
        words += _identity(ctx)
    if args["group"] is not None and present.pw_gid != group_number(args["group"]):
        words += ["-g", args["group"]]
    words += _group_changes(ctx, present)
    if args["comment"] is not None and present.pw_gecos != args["comment"]:
        words += ["-c", args["comment"]]
    if args["home"] is not None and present.pw_dir != args["home"]:
        words += ["-d", args["home"]] + (["-m"] if args["move_home"] else [])
    if args["shell"] is not None and present.pw_shell != args["shell"]:
        words += ["-s", args["shell"]]
    words += _expiry_change(ctx)
    if words and not ctx.check:
        _must(ctx, [ctx.need("usermod"), *words, args["name"]])
    return bool(words)


def _group_changes(ctx: Context, present: pwd.struct_passwd) -> list[str]:
    if ctx.args["groups"] is None:
        return []
    primary = present.pw_gid if ctx.args["group"] is None else group_number(ctx.args["group"])
    wanted = {group_number(name) for name in wanted_groups(ctx)} - {primary}
    actual = {entry.gr_gid for entry in grp.getgrall() if present.pw_name in entry.gr_mem} - {primary}
    if ctx.args["append"]:
        missing = [name for name in wanted_groups(ctx) if group_number(name) in wanted - actual]
        return ["-a", "-G", ",".join(missing)] if missing else []
    return [] if wanted == actual else ["-G", ",".join(wanted_groups(ctx))]


def _expiry_change(ctx: Context) -> list[str]:
    seconds, fields = ctx.args["expires"], shadow(ctx.args["name"])
    if seconds is None or fields is None:
        return []
    present = int(fields[7]) if fields[7].lstrip("-").isdigit() else -1
    wanted = -1 if seconds < 0 else int(seconds // _DAY)
    return [] if max(present, -1) == wanted else ["-e", _expiry(seconds)]


def apply_secrets(ctx: Context, *, created: bool) -> bool:
    """Set the password's hash and its lock; the hash goes by standard input, never by the command line."""
    args, fields = ctx.args, shadow(ctx.args["name"])
    present = fields[1] if fields else ""
    changed = False
    wanted = args["password"] if created or args["update_password"] == "always" else None
    if wanted is not None and present.lstrip("!") != wanted.lstrip("!"):
        changed = True
        if not ctx.check:
            entry = "{}:{}\n".format(args["name"], wanted)
            _must(ctx, [ctx.need("chpasswd"), "-e"], stdin=entry)
        present = wanted
    lock = args["password_lock"]
    if lock is not None and lock is not present.startswith("!"):
        changed = True
        if not ctx.check:
            _must(ctx, [ctx.need("usermod"), "-L" if lock else "-U", args["name"]])
    return changed


def apply_ageing(ctx: Context) -> bool:
    """Set the password's ages with one chage."""
    fields = shadow(ctx.args["name"]) or [""] * 9
    words: list[str] = []
    for argument, flag, at in _AGES:
        wanted = ctx.args[argument]
        if wanted is not None and fields[at] != ("" if wanted < 0 else str(wanted)):
            words += [flag, str(wanted)]
    if words and not ctx.check:
        _must(ctx, [ctx.need("chage"), *words, ctx.args["name"]])
    return bool(words)


def complete_home(ctx: Context) -> None:
    """Make the home folder from the skeleton if it is not there; everything in it belongs to the user."""
    account = find_user(ctx.args["name"])
    if account is None or os.path.exists(account.pw_dir):
        return
    skeleton = ctx.args["skeleton"] or "/etc/skel"
    try:
        if os.path.isdir(skeleton):
            trees.copy(skeleton, account.pw_dir)
        else:
            os.makedirs(account.pw_dir)
    except OSError as error:
        ctx.fail("cannot make the home folder {}: {}".format(account.pw_dir, error), name=account.pw_name)
    os.chmod(account.pw_dir, 0o777 & ~int(ctx.args["umask"] or "022", 8))
    for base, folders, files in os.walk(account.pw_dir):
        for path in [base] + [os.path.join(base, name) for name in folders + files]:
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


def _must(ctx: Context, command: list[str], **more: Any) -> None:
    done = ctx.run(command, locale="C", **more)
    if done.rc:
        text = done.error or done.text or "{} failed".format(os.path.basename(command[0]))
        ctx.fail(text, name=ctx.args["name"], rc=done.rc)
