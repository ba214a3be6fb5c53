"""OpenSSH's known_hosts files: plain and hashed names, patterns, revoked keys; read fast, written safely."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

USER_FILES = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
SYSTEM_FILES = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")


@dataclass(frozen=True, slots=True)
class KnownKey:
    """One line of a known_hosts file."""

    names: tuple[str, ...]
    kind: str
    data: str
    revoked: bool = False

    @property
    def fingerprint(self) -> str:
        """The key's SHA256 fingerprint as OpenSSH prints it."""
        return fingerprint(base64.b64decode(self.data))

    def matches(self, name: str) -> bool:
        """Tell whether the line speaks of ``name``."""
        if any(fnmatchcase(name, pattern[1:]) for pattern in self.names if pattern.startswith("!")):
            return False
        return any(_matches(name, pattern) for pattern in self.names)


def fingerprint(data: bytes) -> str:
    """Return OpenSSH's SHA256 fingerprint of a public key."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def entry_name(address: str, port: int) -> str:
    """Return the name under which known_hosts files list a host."""
    return address.lower() if port == 22 else f"[{address.lower()}]:{port}"


def known_keys(files: Iterable[str], name: str) -> list[KnownKey]:
    """Return the keys that ``files`` list for ``name``; files that are not there list none."""
    return [key for path in files for key in _read(path) if key.matches(name)]


def learn(path: Path, name: str, kind: str, data: bytes) -> None:
    """Append a key, once, whoever else appends at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    encoded = base64.b64encode(data).decode()
    with path.open("ab+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.seek(0)
        before = stream.read()
        if any(key.matches(name) and key.data == encoded for key in _parse(before.decode("utf-8", "replace"))):
            return
        newline = "" if not before or before.endswith(b"\n") else "\n"
        stream.write(f"{newline}{name} {kind} {encoded}\n".encode())


def _read(path: str) -> tuple[KnownKey, ...]:
    expanded = Path(path).expanduser()
    try:
        status = expanded.stat()
    except OSError:
        return ()
    return _cached(str(expanded), status.st_mtime_ns, status.st_size, os.getpid())


@lru_cache(maxsize=64)
def _cached(path: str, changed: int, size: int, pid: int) -> tuple[KnownKey, ...]:
    try:
        return tuple(_parse(Path(path).read_text(encoding="utf-8", errors="replace")))
    except OSError:
        return ()


def _parse(text: str) -> Iterator[KnownKey]:
    for line in text.splitlines():
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        # Certificate authorities are not supported: a host that only one of them vouches for counts as unknown.
        if len(words) < 3 or words[0].startswith("#") or marker not in ("", "@revoked"):
            continue
        yield KnownKey(tuple(words[0].split(",")), words[1], words[2], revoked=bool(marker))


def _matches(name: str, pattern: str) -> bool:
    if not pattern.startswith("|1|"):
        return fnmatchcase(name, pattern.lower().replace("[", "[[]"))
    parts = pattern.split("|")
    if len(parts) != 4:
        return False
    try:
        salt, digest = base64.b64decode(parts[2]), base64.b64decode(parts[3])
    except ValueError:
        return False
    return hmac.compare_digest(hmac.new(salt, name.encode(), hashlib.sha1).digest(), digest)
