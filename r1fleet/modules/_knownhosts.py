"""The lines of a known_hosts file: whom they name, openly or hashed, and by which key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from typing import NamedTuple

_HASH = "|1|"


class Entry(NamedTuple):
    """One line: an option such as @cert-authority, the hosts, the key's type and the key."""

    option: str
    hosts: str
    kind: str
    key: str

    @property
    def hashed(self) -> bool:
        """Tell whether the line hides whom it names."""
        return self.hosts.startswith(_HASH)

    def names(self, host: str) -> bool:
        """Tell whether the line is about ``host``."""
        if self.hashed:
            return _fits(self.hosts, host)
        patterns = self.hosts.split(",")
        if any(pattern[:1] == "!" and _match(pattern[1:], host) for pattern in patterns):
            return False
        return any(_match(pattern, host) for pattern in patterns)


def parse(line: str) -> Entry | None:
    """Read a line; None for a comment or what is none."""
    words = line.split()
    option = words.pop(0) if words and words[0].startswith("@") else ""
    if len(words) < 3 or words[0].startswith("#"):
        return None
    return Entry(option, words[0], words[1], words[2])


def hashed_lines(line: str) -> list[str]:
    """Return the line with its hosts hashed: one line for each of them."""
    entry = parse(line)
    if entry is None or entry.hashed:
        return [line]
    option, rest = (entry.option + " " if entry.option else ""), line.split(entry.hosts, 1)[1]
    return [option + _hash(host, os.urandom(hashlib.sha1().digest_size)) + rest for host in entry.hosts.split(",")]


def _hash(host: str, salt: bytes) -> str:
    digest = hmac.new(salt, host.encode("utf-8", "surrogateescape"), hashlib.sha1).digest()
    return _HASH + "|".join(base64.b64encode(part).decode("ascii") for part in (salt, digest))


def _fits(hidden: str, host: str) -> bool:
    try:
        salt = base64.b64decode(hidden.split("|")[2])
    except (IndexError, ValueError):
        return False
    return hmac.compare_digest(_hash(host, salt), hidden)


def _match(pattern: str, host: str) -> bool:
    """Match as ssh does: only * and ? stand for others, brackets for themselves."""
    return bool(re.match(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".") + r"\Z", host))
