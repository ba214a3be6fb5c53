"""Import public keys into rpm's database, and remove them."""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple

from r1fleet.agent.context import Context
from r1fleet.modules._openpgp import NoKey, fetch_key, is_armored

ARGUMENTS: dict[str, dict[str, Any]] = {
    "key": {"type": "str", "required": True},
    "fingerprint": {"type": "list", "elements": "str"},
    "state": {"type": "str", "default": "present", "choices": ["absent", "present"]},
    "validate_certs": {"type": "bool", "default": True},
}
LOCAL = True
CHECK_MODE = True

_KEY_ID = re.compile(r"^(?:0x)?([0-9a-f]{8,40})$", re.IGNORECASE)


class Keys(NamedTuple):
    """What gpg tells of a file: ids of keys (the first is the key's own) and fingerprints of all its parts."""

    ids: list[str]
    fingerprints: set[str]


def run(ctx: Context) -> dict[str, Any]:
    """Import or drop the key, unless that is so already."""
    args = ctx.args
    path = _file(ctx, args["key"])
    wanted = _read(ctx, path).ids[0] if path else _plain_id(args["key"])
    is_here = any(wanted[-16:] in single for single in _imported(ctx))
    if is_here is (args["state"] == "present"):
        return {"changed": False}
    if args["state"] == "absent":
        if not ctx.check:
            _rpm(ctx, "--erase", "--allmatches", "gpg-pubkey-{}".format(wanted[-8:].lower()))
        return {"changed": True}
    if not path:
        ctx.fail("When importing a key, a valid file must be given")
    _check_fingerprints(ctx, path)
    if not ctx.check:
        _rpm(ctx, "--import", path)
    return {"changed": True}


def _file(ctx: Context, key: str) -> str:
    """Return the file that holds the key, fetched where it is a URL; nothing where only its id is given."""
    if "://" in key:
        try:
            content = fetch_key(ctx, key)
        except NoKey as error:
            ctx.fail("failed to fetch key at {} , error was: {}".format(key, error))
        if not is_armored(content):
            ctx.fail("Not a public key: {}".format(key))
        path = os.path.join(ctx.scratch(), "key")
        with open(path, "wb") as stream:
            stream.write(content)
        return path
    if _KEY_ID.match(key.strip()):
        return ""
    if not os.path.isfile(key):
        ctx.fail("Not a valid key {}".format(key))
    return key


def _plain_id(key: str) -> str:
    match = _KEY_ID.match(key.strip())
    return match.group(1).upper() if match else ""


def _imported(ctx: Context) -> list[str]:
    """Return the ids of all keys that rpm trusts."""
    done = ctx.run([ctx.need("rpm"), "-q", "gpg-pubkey", "--queryformat", "%{description}"], locale="C")
    if done.rc:
        return []
    path = os.path.join(ctx.scratch(), "imported")
    with open(path, "wb") as stream:
        stream.write(done.stdout)
    return _read(ctx, path).ids


def _read(ctx: Context, path: str) -> Keys:
    program = ctx.which("gpg") or ctx.need("gpg2")
    words = ["--no-tty", "--batch", "--with-colons", "--fixed-list-mode", "--import-options", "show-only", "--import"]
    done = ctx.run([program, "--homedir", ctx.scratch(), *words, path], locale="C")
    rows = [line.split(":") for line in done.text.splitlines()]
    ids = [row[4] for row in rows if row[0] in ("pub", "sub")]
    if not ids:
        ctx.fail(done.error.strip() if done.rc else "Unexpected gpg output")
    return Keys(ids, {row[9] for row in rows if row[0] == "fpr"})


def _check_fingerprints(ctx: Context, path: str) -> None:
    wanted = {single.replace(" ", "").upper() for single in ctx.args["fingerprint"] or []}
    found = _read(ctx, path).fingerprints if wanted else set()
    if not wanted <= found:
        text = "The specified fingerprint, '{}', does not match any key fingerprints in '{}'"
        ctx.fail(text.format(", ".join(sorted(wanted)), ", ".join(sorted(found))))


def _rpm(ctx: Context, *words: str) -> None:
    done = ctx.run([ctx.need("rpm"), *words], locale="C")
    if done.rc:
        ctx.fail(done.error.strip() or "rpm {} failed".format(" ".join(words)))
