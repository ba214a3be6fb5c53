"""Make an SSH key for an account."""

from __future__ import annotations

import os
import pwd
import socket
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.files import read_bytes


def make_key(ctx: Context, account: pwd.struct_passwd) -> dict[str, Any]:
    """Make the key that the ``ssh_key_*`` arguments describe, unless it is there; tell what it is."""
    args = ctx.args
    path = args["ssh_key_file"] or os.path.join(".ssh", "id_" + args["ssh_key_type"])
    path = os.path.join(account.pw_dir, path)
    exists = os.path.exists(path)
    if exists and not args["force"]:
        ctx.warn('Found existing ssh key private file "{}", no force, so skipping ssh-keygen generation'.format(path))
        return dict(_described(ctx, path), changed=False)
    if ctx.check:
        return {"changed": True, "ssh_key_file": path}
    _make_folder(path, account)
    for stale in (path, path + ".pub"):
        if os.path.exists(stale):
            os.unlink(stale)
    _generate(ctx, path, account)
    return dict(_described(ctx, path), changed=True)


def _make_folder(path: str, account: pwd.struct_passwd) -> None:
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        os.makedirs(folder, mode=0o700)
        os.chown(folder, account.pw_uid, account.pw_gid)


def _generate(ctx: Context, path: str, account: pwd.struct_passwd) -> None:
    args = ctx.args
    comment = args["ssh_key_comment"] or "ansible-generated on {}".format(socket.gethostname())
    words = [ctx.need("ssh-keygen"), "-t", args["ssh_key_type"], "-C", comment, "-f", path]
    words += ["-b", str(args["ssh_key_bits"])] if args["ssh_key_bits"] else []
    secret = args["ssh_key_passphrase"]
    if secret is None:
        done = ctx.run([*words, "-N", ""], locale="C")
    else:
        done = ctx.run(words, locale="C", env=_asking(ctx, secret))
    if done.rc:
        ctx.fail(done.error or "ssh-keygen failed", name=account.pw_name, rc=done.rc)
    for made in (path, path + ".pub"):
        os.chown(made, account.pw_uid, account.pw_gid)


def _asking(ctx: Context, secret: str) -> dict[str, str]:
    """Let ssh-keygen ask a program for the passphrase, so that it stands in no command line and no environment."""
    folder = ctx.scratch()
    answer, program = os.path.join(folder, "answer"), os.path.join(folder, "ask")
    for path, text, mode in ((answer, secret + "\n", 0o600), (program, "#!/bin/sh\ncat '{}'\n".format(answer), 0o700)):
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as stream:
            stream.write(text)
    return {"SSH_ASKPASS": program, "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":"}


def _described(ctx: Context, path: str) -> dict[str, Any]:
    public = (read_bytes(path + ".pub") or b"").decode("utf-8", "replace").strip()
    done = ctx.run([ctx.need("ssh-keygen"), "-l", "-f", path], locale="C")
    fingerprint = done.text.strip() if done.rc == 0 else done.error.strip()
    return {"ssh_key_file": path, "ssh_fingerprint": fingerprint, "ssh_public_key": public}
