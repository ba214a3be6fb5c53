"""Keep the keys that may log in as a user."""

from __future__ import annotations

import os
import pwd
import re
from typing import Any, NamedTuple

from r1fleet.agent.context import Context
from r1fleet.agent.files import content_diff, read_bytes, write_bytes
from r1fleet.modules._http import download

ARGUMENTS: dict[str, dict[str, Any]] = {
    "user": {"type": "str", "required": True},
    "key": {"type": "str", "required": True, "no_log": False},
    "path": {"type": "path"},
    "manage_dir": {"type": "bool", "default": True},
    "state": {"type": "str", "default": "present", "choices": ["absent", "present"]},
    "key_options": {"type": "str", "no_log": False},
    "exclusive": {"type": "bool", "default": False},
    "comment": {"type": "str"},
    "validate_certs": {"type": "bool", "default": True},
    "follow": {"type": "bool", "default": False},
}
LOCAL = True
CHECK_MODE = True

# White space inside quotes belongs to an option: command="ls -l".
_WORD = re.compile(r'(?:"(?:\\.|[^"\\])*"|[^\s"])+')
_KINDS = ("ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-")


class Key(NamedTuple):
    """One line: options, kind, the key itself, comment."""

    options: str
    kind: str
    data: str
    comment: str

    @property
    def line(self) -> str:
        """The line as sshd reads it."""
        return " ".join(part for part in (self.options, self.kind, self.data, self.comment) if part)


def parse(line: str) -> Key | None:
    """Read one line; None for comments and what is no key."""
    text = line.strip()
    if not text or text.startswith("#"):
        return None
    words = _WORD.findall(text)
    at = next((index for index, word in enumerate(words[:2]) if word.startswith(_KINDS)), None)
    if at is None or len(words) < at + 2:
        return None
    return Key(words[0] if at else "", words[at], words[at + 1], " ".join(words[at + 2 :]))


def run(ctx: Context) -> dict[str, Any]:
    """Add, change or remove the keys."""
    args = ctx.args
    account = _account(ctx)
    path = _path(ctx, account)
    before = read_bytes(path)
    lines = (before or b"").decode("utf-8", "surrogateescape").splitlines()
    after_lines = _edited(lines, _wanted(ctx), ctx)
    reply: dict[str, Any] = {name: args[name] for name in ARGUMENTS}
    reply.update(keyfile=path, changed=after_lines != lines)
    after = "".join(line + "\n" for line in after_lines).encode("utf-8", "surrogateescape")
    if reply["changed"] and not ctx.check:
        _write(ctx, path, after, account)
    if ctx.diff:
        reply["diff"] = content_diff(before, after, path)
    return reply


def _account(ctx: Context) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(ctx.args["user"])
    except KeyError:
        ctx.fail("Failed to lookup user {}: no such user".format(ctx.args["user"]))


def _path(ctx: Context, account: pwd.struct_passwd) -> str:
    path = str(ctx.args["path"] or os.path.join(account.pw_dir, ".ssh", "authorized_keys"))
    return os.path.realpath(path) if ctx.args["follow"] else path


def _wanted(ctx: Context) -> list[Key]:
    args = ctx.args
    text = args["key"]
    if text.startswith(("http://", "https://", "file://")):
        file = os.path.join(ctx.scratch(), "keys")
        download(ctx, text, file)
        text = (read_bytes(file) or b"").decode("utf-8", "replace")
    keys = []
    for line in text.splitlines():
        key = parse(line)
        if key is None:
            if line.strip() and not line.strip().startswith("#"):
                ctx.fail("invalid key specified: {}".format(line))
            continue
        options = args["key_options"] if args["key_options"] is not None else key.options
        comment = args["comment"] if args["comment"] is not None else key.comment
        keys.append(key._replace(options=options, comment=comment))
    return keys


def _edited(lines: list[str], wanted: list[Key], ctx: Context) -> list[str]:
    known = {(key.kind, key.data): key for key in wanted}
    kept, seen = [], set()
    for line in lines:
        key = parse(line)
        identity = (key.kind, key.data) if key else None
        if key is None or identity not in known:
            if key is None or not (ctx.args["exclusive"] and ctx.args["state"] == "present"):
                kept.append(line)
            continue
        if ctx.args["state"] == "present" and identity not in seen:
            seen.add(identity)
            kept.append(_merged(key, known[identity], line))
    if ctx.args["state"] == "present":
        kept += [key.line for identity, key in known.items() if identity not in seen]
    return kept


def _merged(present: Key, wanted: Key, line: str) -> str:
    same = present.options == wanted.options and (present.comment == wanted.comment or not wanted.comment)
    return line if same else wanted._replace(comment=wanted.comment or present.comment).line


def _write(ctx: Context, path: str, content: bytes, account: pwd.struct_passwd) -> None:
    """Write the file as root where the user may have put links: none is followed unless asked."""
    folder = os.path.dirname(path)
    if ctx.args["manage_dir"]:
        if not os.path.isdir(folder):
            os.makedirs(folder, mode=0o700)
        if not os.path.islink(folder):
            os.chown(folder, account.pw_uid, account.pw_gid, follow_symlinks=False)
            os.chmod(folder, 0o700)
    if os.path.islink(path):
        os.unlink(path)
    write_bytes(path, content, mode=0o600)
    os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
