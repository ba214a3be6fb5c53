"""apt's keyrings: which keys they hold, and how keys come and go, with gpg in a home of its own."""

from __future__ import annotations

import os
from typing import NamedTuple

from r1fleet.agent.context import Context
from r1fleet.agent.files import read_bytes, write_bytes

MAIN = "/etc/apt/trusted.gpg"
PARTS = "/etc/apt/trusted.gpg.d"


class Key(NamedTuple):
    """A primary key with its subkeys, each by its fingerprint."""

    fingerprint: str
    subkeys: tuple[str, ...]

    def is_called(self, name: str) -> bool:
        """Tell whether ``name`` is the end of one of the fingerprints."""
        return any(fingerprint.endswith(name) for fingerprint in (self.fingerprint, *self.subkeys))


def rings(keyring: str | None) -> list[str]:
    """Return the files that count: the one named, or all that apt trusts."""
    if keyring:
        return [keyring] if os.path.exists(keyring) else []
    parts = sorted(os.listdir(PARTS)) if os.path.isdir(PARTS) else []
    paths = [MAIN, *(os.path.join(PARTS, name) for name in parts if name.endswith((".gpg", ".asc")))]
    return [path for path in paths if os.path.isfile(path)]


def keys_in(ctx: Context, paths: list[str]) -> list[Key]:
    """List the keys of files."""
    if not paths:
        return []
    return parse(ctx.run([*_gpg(ctx), "--show-keys", "--with-colons", *paths], locale="C").text)


def keys_of(ctx: Context, content: bytes) -> list[Key]:
    """List the keys in what was fetched or given."""
    return parse(ctx.run([*_gpg(ctx), "--show-keys", "--with-colons"], stdin=content, locale="C").text)


def parse(text: str) -> list[Key]:
    """Read gpg's listing: a pub line, its fpr, then sub lines with theirs."""
    found: list[Key] = []
    kind = ""
    for fields in (line.split(":") for line in text.splitlines()):
        if fields[0] in ("pub", "sub"):
            kind = fields[0]
        elif fields[0] == "fpr" and kind == "pub":
            found.append(Key(fields[9], ()))
            kind = ""
        elif fields[0] == "fpr" and kind == "sub" and found:
            found[-1] = found[-1]._replace(subkeys=(*found[-1].subkeys, fields[9]))
            kind = ""
    return found


def add(ctx: Context, path: str, content: bytes) -> None:
    """Put keys into the file at ``path``."""
    gpg = _with_ring(ctx, path)
    done = ctx.run([*gpg, "--import"], stdin=content, locale="C")
    if done.rc:
        ctx.fail("Unable to add a key: {}".format(done.error.strip()), rc=done.rc)
    _export(ctx, gpg, path)


def remove(ctx: Context, path: str, key: Key) -> None:
    """Take a key from the file at ``path``; a file without keys goes."""
    gpg = _with_ring(ctx, path)
    done = ctx.run([*gpg, "--yes", "--delete-keys", key.fingerprint], locale="C")
    if done.rc:
        ctx.fail("Unable to remove a key with id {}: {}".format(key.fingerprint, done.error.strip()), rc=done.rc)
    _export(ctx, gpg, path)


def receive(ctx: Context, server: str, name: str) -> bytes:
    """Ask a key server for a key."""
    gpg = _gpg(ctx)
    done = ctx.run([*gpg, "--keyserver", server, "--recv-keys", name], locale="C")
    if done.rc:
        ctx.fail("Error fetching key {} from keyserver {}: {}".format(name, server, done.error.strip()), rc=done.rc)
    return ctx.run([*gpg, "--export", name], locale="C").stdout


def _gpg(ctx: Context) -> list[str]:
    """Return gpg with an empty home, so that neither settings nor keys of the user count."""
    return [ctx.need("gpg"), "--batch", "--no-tty", "--no-options", "--quiet", "--homedir", ctx.scratch()]


def _with_ring(ctx: Context, path: str) -> list[str]:
    gpg = _gpg(ctx)
    content = read_bytes(path)
    if content:
        ctx.run([*gpg, "--import"], stdin=content, locale="C")
    return gpg


def _export(ctx: Context, gpg: list[str], path: str) -> None:
    armor = ["--armor"] if path.endswith(".asc") else []
    content = ctx.run([*gpg, *armor, "--export"], locale="C").stdout
    if content:
        write_bytes(path, content, mode=None if os.path.exists(path) else 0o644)
    elif os.path.exists(path):
        os.unlink(path)
