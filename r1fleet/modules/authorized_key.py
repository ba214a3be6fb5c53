"""Keep the keys that may log in as a user."""

from __future__ import annotations

import os
import pwd
import re
from typing import Any, NamedTuple

from r1fleet.agent.context import Context
from r1fleet.agent.files import content_diff, path_info, read_bytes, write_bytes
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
_OPTION = re.compile(r'(?:"(?:\\.|[^"\\])*"|[^,"])+')
_KINDS = ("ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-")


class Key(NamedTuple):
    """One line: options, kind, the key itself, comment."""

    options: str
    kind: str
    data: str
    comment: str

    @property
    def line(self) -> str:
        """The line as Ansible writes it: with a space before the comment, also before none."""
        return " ".join([self.options] * bool(self.options) + [self.kind, self.data, self.comment])

    def permits_as(self, other: Key) -> bool:
        """Tell whether two lines have the same options; the order counts among those of one name."""
        mine, theirs = ([option.partition("=") for option in _OPTION.findall(key.options)] for key in (self, other))
        return sorted(mine, key=_name) == sorted(theirs, key=_name)


def _name(option: tuple[str, str, str]) -> str:
    return option[0]


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
    after_lines = edited(lines, _wanted(ctx), absent=args["state"] == "absent", exclusive=args["exclusive"])
    reply: dict[str, Any] = {name: args[name] for name in ARGUMENTS}
    reply.update(keyfile=path, changed=after_lines != lines)
    after = "".join(line + "\n" for line in after_lines).encode("utf-8", "surrogateescape")
    if reply["changed"] and not ctx.check:
        _write(ctx, path, after, account)
    if ctx.diff:
        reply["diff"] = content_diff(before, after, path)
    return dict(reply, **path_info(path)) if args["path"] and os.path.exists(path) else reply


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


def edited(lines: list[str], wanted: list[Key], *, absent: bool, exclusive: bool) -> list[str]:
    """Return the lines with the wanted keys, or without them; nothing moves where nothing changes.

    As with Ansible, each key stands once, where it stood last, and one that changes comes last.
    """
    known = {key.data: key for key in wanted}
    present = [parse(line) for line in lines]
    last = {key.data: at for at, key in enumerate(present) if key}
    gone = {data for data in last if (data in known if absent else exclusive and data not in known)}
    changed = {}
    for data, key in ({} if absent else known).items():
        there = present[last[data]] if data in last else None
        if there is None or not (there.permits_as(key) and there[1:] == key[1:]):
            changed[data] = key
    alone = exclusive and not absent  # other lines, comments too, make way
    if not gone and not changed and not (alone and None in present):
        return lines
    kept = []
    for at, (line, there) in enumerate(zip(lines, present)):
        if there is None:
            kept += [] if alone else [line]
        elif last[there.data] == at and there.data not in gone and there.data not in changed:
            kept.append(there.line)
    return kept + [key.line for key in changed.values()]


def _write(ctx: Context, path: str, content: bytes, account: pwd.struct_passwd) -> None:
    """Write the file as root where the user may have put links: none is followed unless asked."""
    folder = os.path.dirname(path)
    if ctx.args["manage_dir"]:
        if not os.path.isdir(folder):
            os.makedirs(folder, mode=0o700)
        if not os.path.islink(folder):
            os.chown(folder, account.pw_uid, account.pw_gid, follow_symlinks=False)
            os.chmod(folder, 0o700)
    elif not os.path.isdir(folder):
        os.makedirs(folder)
    write_bytes(path, content, mode=0o600, follow=False)
    os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
