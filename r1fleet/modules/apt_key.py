"""Keep the keys that apt trusts for every source; deb822_repository's signed_by trusts one for one source only."""

from __future__ import annotations

import os
import re
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.modules._keyring import MAIN, Key, add, keys_in, keys_of, receive, remove, rings
from r1fleet.modules._openpgp import NoKey, fetch_key

ARGUMENTS: dict[str, dict[str, Any]] = {
    "id": {"type": "str"},
    "url": {"type": "str"},
    "data": {"type": "str"},
    "file": {"type": "path"},
    "keyring": {"type": "path"},
    "keyserver": {"type": "str"},
    "validate_certs": {"type": "bool", "default": True},
    "state": {"type": "str", "default": "present", "choices": ["absent", "present"]},
}
MUTUALLY_EXCLUSIVE = [["data", "file", "keyserver", "url"]]
LOCAL = True
CHECK_MODE = True

_IDENTIFIER = re.compile(r"^(?:[0-9A-F]{8}|[0-9A-F]{16,})$")


def run(ctx: Context) -> dict[str, Any]:
    """Look which keys are there, and add or remove one."""
    args = ctx.args
    name = _identifier(ctx, args["id"]) if args["id"] else ""
    paths = rings(args["keyring"])
    before = keys_in(ctx, paths)
    if args["state"] == "absent":
        return _absent(ctx, name, paths, before)
    return _present(ctx, name, before)


def _identifier(ctx: Context, text: str) -> str:
    name = text.strip().upper().replace(" ", "")
    name = name[2:] if name.startswith("0X") else name
    if not _IDENTIFIER.match(name):
        ctx.fail("Invalid key_id: {} is not 8, 16 or more hexadecimal digits".format(text), id=text)
    return name


def _present(ctx: Context, name: str, before: list[Key]) -> dict[str, Any]:
    if name and any(key.is_called(name) for key in before):
        return dict(_reply(ctx, name, before), changed=False)
    content = _content(ctx, name)
    keys = keys_of(ctx, content)
    if not keys:
        ctx.fail("Unable to find a key in what was given", id=ctx.args["id"])
    if not name:
        name = keys[0].fingerprint[-16:]
        if any(key.fingerprint == keys[0].fingerprint for key in before):
            return dict(_reply(ctx, name, before), changed=False)
    elif not any(key.is_called(name) for key in keys):
        found = ", ".join(key.fingerprint for key in keys)
        ctx.fail(
            "key does not seem to have been added: what was given holds {}".format(found), **_reply(ctx, name, before)
        )
    if not ctx.check:
        add(ctx, ctx.args["keyring"] or MAIN, content)
    after = before + [key for key in keys if key not in before]
    reply = dict(_reply(ctx, name, before), changed=True)
    return reply if ctx.check else dict(reply, after=_names(after, len(name)))


def _content(ctx: Context, name: str) -> bytes:
    args = ctx.args
    if args["data"]:
        return str(args["data"]).encode("utf-8", "surrogateescape")
    if args["file"]:
        if not os.path.isfile(args["file"]):
            ctx.fail("there is no file {}".format(args["file"]))
        with open(args["file"], "rb") as stream:
            return stream.read()
    if args["keyserver"]:
        if not name:
            ctx.fail("Missing key_id, required with keyserver.")
        return receive(ctx, args["keyserver"], name)
    if not args["url"]:
        ctx.fail("one of url, data, file or keyserver must tell where the key comes from")
    try:
        return fetch_key(ctx, args["url"])
    except NoKey as error:
        ctx.fail("Failed to download key at {}: {}".format(args["url"], error))


def _absent(ctx: Context, name: str, paths: list[str], before: list[Key]) -> dict[str, Any]:
    if not name:
        ctx.fail("key is required to remove a key: give its id")
    changed = any(key.is_called(name) for key in before)
    for path in paths if changed and not ctx.check else []:
        for key in keys_in(ctx, [path]):
            if key.is_called(name):
                remove(ctx, path, key)
    after = [key for key in before if not key.is_called(name)]
    reply = dict(_reply(ctx, name, before), changed=changed)
    return dict(reply, after=_names(after, len(name))) if changed and not ctx.check else reply


def _reply(ctx: Context, name: str, before: list[Key]) -> dict[str, Any]:
    asked = ctx.args["id"] or name
    return {
        "id": asked,
        "key_id": name,
        "short_id": name[-8:],
        "fp": name[-16:],
        "before": _names(before, len(name)),
    }


def _names(keys: list[Key], length: int) -> list[str]:
    """Return the ends of all fingerprints, short ones where a short name was asked for."""
    length = 8 if length == 8 else 16
    return [fingerprint[-length:] for key in keys for fingerprint in (key.fingerprint, *key.subkeys)]
