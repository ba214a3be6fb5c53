"""Keep user accounts."""

from __future__ import annotations

import os
import pwd
import re
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.modules import _accounts as accounts
from r1fleet.modules import _sshkey as sshkey

ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True, "aliases": ["user"]},
    "state": {"type": "str", "default": "present", "choices": ["absent", "present"]},
    "append": {"type": "bool", "default": False},
    "comment": {"type": "str"},
    "create_home": {"type": "bool", "default": True, "aliases": ["createhome"]},
    "expires": {"type": "float"},
    "force": {"type": "bool", "default": False},
    "generate_ssh_key": {"type": "bool"},
    "group": {"type": "str"},
    "groups": {"type": "list", "elements": "str"},
    "home": {"type": "path"},
    "local": {"type": "bool", "default": False},
    "move_home": {"type": "bool", "default": False},
    "non_unique": {"type": "bool", "default": False},
    "password": {"type": "str", "no_log": True},
    "password_expire_account_disable": {"type": "int", "no_log": False},
    "password_expire_max": {"type": "int", "no_log": False},
    "password_expire_min": {"type": "int", "no_log": False},
    "password_expire_warn": {"type": "int", "no_log": False},
    "password_lock": {"type": "bool", "no_log": False},
    "remove": {"type": "bool", "default": False},
    "seuser": {"type": "str"},
    "shell": {"type": "path"},
    "skeleton": {"type": "str"},
    "ssh_key_bits": {"type": "int"},
    "ssh_key_comment": {"type": "str"},
    "ssh_key_file": {"type": "path"},
    "ssh_key_passphrase": {"type": "str", "no_log": True},
    "ssh_key_type": {"type": "str", "default": "rsa"},
    "system": {"type": "bool", "default": False},
    "uid": {"type": "int"},
    "uid_max": {"type": "int"},
    "uid_min": {"type": "int"},
    "umask": {"type": "str"},
    "update_password": {"type": "str", "default": "always", "choices": ["always", "on_create"], "no_log": False},
}
LOCAL = True
CHECK_MODE = True


def run(ctx: Context) -> dict[str, Any]:
    """Bring the account into the wanted state."""
    for argument in ("umask", "uid_min", "uid_max"):
        if ctx.args["local"] and ctx.args[argument] is not None:
            ctx.fail("'{}' can not be used with 'local'".format(argument))
    _warn_of_plain_password(ctx)
    present = accounts.find_user(ctx.args["name"])
    if ctx.args["state"] == "absent":
        return _absent(ctx, present)
    if present is None and ctx.check:  # a group that an earlier task would make is not missing
        return {"changed": True, "name": ctx.args["name"], "state": "present"}
    _check_groups(ctx)
    if present is None:
        return _create(ctx)
    return _change(ctx, present)


def _warn_of_plain_password(ctx: Context) -> None:
    password = ctx.args["password"]
    if password and not re.match(r"^[!*]|^\$[0-9a-z]+\$.{16,}|^[./0-9A-Za-z]{13}$", password):
        ctx.warn(
            "The input password appears not to have been hashed. "
            "The 'password' argument must be encrypted for this module to work properly."
        )


def _check_groups(ctx: Context) -> None:
    for name in [ctx.args["group"], *accounts.wanted_groups(ctx)]:
        if name is not None and accounts.group_number(name) is None:
            ctx.fail("Group {} does not exist".format(name))


def _absent(ctx: Context, present: pwd.struct_passwd | None) -> dict[str, Any]:
    name = ctx.args["name"]
    reply: dict[str, Any] = {"name": name, "state": "absent", "changed": present is not None}
    if present is None:
        return reply
    if ctx.check:
        return {"changed": True, "name": name, "state": "absent"}
    flags = (["-f"] if ctx.args["force"] else []) + (["-r"] if ctx.args["remove"] else [])
    done = ctx.run([ctx.need("userdel"), *flags, name], locale="C")
    if done.rc:
        ctx.fail(done.error or "userdel failed", name=name, rc=done.rc)
    reply.update(force=ctx.args["force"], remove=ctx.args["remove"])
    if done.error:
        reply.update(stderr=done.error, stderr_lines=done.error.splitlines())
    return reply


def _create(ctx: Context) -> dict[str, Any]:
    args = ctx.args
    accounts.add(ctx)
    accounts.apply_secrets(ctx, created=True)
    accounts.apply_ageing(ctx)
    reply = {"changed": True, "create_home": args["create_home"], "system": args["system"]}
    if args["create_home"]:
        accounts.complete_home(ctx)
    return dict(_described(ctx), **reply, **_ssh_key(ctx))


def _change(ctx: Context, present: pwd.struct_passwd) -> dict[str, Any]:
    changed = accounts.modify(ctx, present)
    changed = accounts.apply_secrets(ctx, created=False) or changed
    changed = accounts.apply_ageing(ctx) or changed
    if ctx.args["create_home"] and not os.path.exists(ctx.args["home"] or present.pw_dir):
        changed = True
        if not ctx.check:
            accounts.complete_home(ctx)
    key = _ssh_key(ctx)
    changed = key.pop("changed", False) or changed
    reply = {"changed": changed, "append": ctx.args["append"], "move_home": ctx.args["move_home"]}
    return dict(_described(ctx), **reply, **key)


def _described(ctx: Context) -> dict[str, Any]:
    account = accounts.find_user(ctx.args["name"])
    reply: dict[str, Any] = {"name": ctx.args["name"], "state": "present"}
    if account is not None:
        reply.update(uid=account.pw_uid, group=account.pw_gid, comment=account.pw_gecos)
        reply.update(home=account.pw_dir, shell=account.pw_shell)
    if ctx.args["groups"] is not None:
        reply["groups"] = ",".join(ctx.args["groups"])
    if ctx.args["password"] is not None:
        reply["password"] = "NOT_LOGGING_PASSWORD"
    return reply


def _ssh_key(ctx: Context) -> dict[str, Any]:
    account = accounts.find_user(ctx.args["name"])
    return sshkey.make_key(ctx, account) if ctx.args["generate_ssh_key"] and account else {}
