"""Public keys in OpenPGP's format: what is one, and where to fetch it."""

from __future__ import annotations

import urllib.parse

from r1fleet.agent.context import Context
from r1fleet.modules._http import opened, request

ARMOR = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"
_PUBLIC_KEY = 6
_FETCH_SECONDS = 10


class NoKey(Exception):
    """A key could not be fetched, or what came is none."""


def is_url(text: str) -> bool:
    """Tell whether ``text`` names something to fetch."""
    return bool(urllib.parse.urlsplit(text).scheme) and "\n" not in text.strip()


def is_armored(content: bytes) -> bool:
    """Tell whether ``content`` is a public key as text."""
    return ARMOR in content


def is_public_key(content: bytes) -> bool:
    """Tell whether ``content`` begins with a public key, as text or in binary form."""
    if is_armored(content):
        return True
    first = content[0] if content else 0
    if not first & 0x80:
        return False
    return (first & 0x3F if first & 0x40 else first >> 2 & 0x0F) == _PUBLIC_KEY


def fetch_key(ctx: Context, url: str) -> bytes:
    """Fetch a public key; a page that tells of a fault is no key."""
    try:
        with opened(ctx, request(ctx, url), timeout=_FETCH_SECONDS) as answer:
            status = answer.getcode()
            if status is not None and status >= 400:
                raise NoKey("HTTP Error {}: {}".format(status, answer.reason))
            content: bytes = answer.read()
    except (OSError, ValueError) as error:
        raise NoKey(str(error)) from error
    if not is_public_key(content):
        raise NoKey("what {} gives is not an OpenPGP public key".format(url))
    return content
