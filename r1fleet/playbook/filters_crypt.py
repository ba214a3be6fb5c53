"""``password_hash``: the SHA-crypt schemes that /etc/shadow takes, as their specification has them."""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from r1fleet.playbook.filters_text import FilterError

_LETTERS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SALT = re.compile(r"[./0-9A-Za-z]{0,16}")
_FEWEST, _MOST, _UNSAID = 1000, 999_999_999, 5000
_TRIPLES_256 = ((0, 10, 20), (21, 1, 11), (12, 22, 2), (3, 13, 23), (24, 4, 14), (15, 25, 5), (6, 16, 26), (27, 7, 17),
                (18, 28, 8), (9, 19, 29))  # fmt: skip
_TRIPLES_512 = ((0, 21, 42), (22, 43, 1), (44, 2, 23), (3, 24, 45), (25, 46, 4), (47, 5, 26), (6, 27, 48), (28, 49, 7),
                (50, 8, 29), (9, 30, 51), (31, 52, 10), (53, 11, 32), (12, 33, 54), (34, 55, 13), (56, 14, 35),
                (15, 36, 57), (37, 58, 16), (59, 17, 38), (18, 39, 60), (40, 61, 19), (62, 20, 41))  # fmt: skip
_SCHEMES: dict[str, tuple[str, Callable[..., Any], tuple[tuple[int, int, int], ...], tuple[int, ...], int]] = {
    "sha256": ("5", hashlib.sha256, _TRIPLES_256, (31, 30), 535_000),
    "sha512": ("6", hashlib.sha512, _TRIPLES_512, (63,), 656_000),
}
"""Mark, hash, order of its bytes, the bytes left over, and the rounds that Ansible makes where none are given."""


def password_hash(
    password: Any,
    hashtype: str = "sha512",
    salt: str | None = None,
    salt_size: int | None = None,
    rounds: int | None = None,
) -> str:
    """Hash a password for /etc/shadow; without a salt the result differs each time."""
    scheme = hashtype.removesuffix("_crypt")
    if scheme not in _SCHEMES:
        known = " and ".join(_SCHEMES)
        raise FilterError(f"{hashtype} is not in the list of supported passlib algorithms: {known}")
    if salt_size is not None and not isinstance(salt_size, int):
        raise FilterError("salt_size must be an integer")
    if rounds is not None and not _FEWEST <= int(rounds) <= _MOST:
        raise FilterError(f"Could not hash the secret: {rounds} rounds are not between {_FEWEST} and {_MOST}")
    if salt is None:
        salt = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(min(salt_size or 16, 16)))
    if not _SALT.fullmatch(salt):
        raise FilterError("a salt has at most 16 characters of a-z, A-Z, 0-9, . and /")
    return _hashed(scheme, str(password), salt, int(rounds or _SCHEMES[scheme][4]))


@lru_cache(maxsize=256)
def _hashed(scheme: str, password: str, salt: str, rounds: int) -> str:
    mark, make, triples, rest, _ = _SCHEMES[scheme]
    digest = _digest(make, password.encode(), salt.encode(), rounds)
    text = "".join(_encoded(digest[a] << 16 | digest[b] << 8 | digest[c], 4) for a, b, c in triples)
    last = int.from_bytes(bytes(digest[index] for index in rest), "big")
    said = "" if rounds == _UNSAID else f"rounds={rounds}$"
    return f"${mark}${said}{salt}${text}{_encoded(last, len(rest) + 1)}"


def _digest(make: Callable[..., Any], key: bytes, salt: bytes, rounds: int) -> bytes:
    """Return the raw hash: names and steps are those of the specification."""
    alternate: bytes = make(key + salt + key).digest()
    size = len(alternate)
    first = make(key + salt + _stretched(alternate, len(key)))
    length = len(key)
    while length:
        first.update(alternate if length & 1 else key)
        length >>= 1
    current: bytes = first.digest()
    p = _stretched(make(key * len(key)).digest(), len(key))
    s = _stretched(make(salt * (16 + current[0])).digest(), len(salt))
    assert len(current) == size
    for number in range(rounds):
        step = (p if number & 1 else current) + (s if number % 3 else b"") + (p if number % 7 else b"")
        current = make(step + (current if number & 1 else p)).digest()
    return current


def _stretched(block: bytes, length: int) -> bytes:
    return (block * (length // len(block) + 1))[:length]


def _encoded(value: int, count: int) -> str:
    return "".join(_LETTERS[value >> 6 * place & 63] for place in range(count))
