"""What a run left on a host: files, packages, users and groups that it made, changed or removed."""

from __future__ import annotations

import hashlib
import re
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WATCHED = ("etc", "opt", "home", "srv", "usr/local", "var/spool/cron")
# Written by account tools and by Ansible itself; accounts are compared as such, not as bytes.
_UNWATCHED = re.compile(
    r"etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|etc/\.pwd\.lock$|etc/ld\.so\.cache$|home/\w+/\.ansible(_async)?(/|$)"
)
_INSTALLED = re.compile(r"^Package: (\S+)\nStatus: \S+ ok installed$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Entry:
    """A path: what is compared, and the time and size that tell a file that was written again."""

    said: str
    size: int = 0
    written: int = 0


@dataclass(frozen=True, slots=True)
class Footprint:
    """One moment of a host's disk, which lies at ``root``."""

    root: Path
    paths: dict[str, Entry]
    packages: frozenset[str]
    accounts: frozenset[str]

    def since(self, before: Footprint) -> list[str]:
        """Return what is different from before, a line each."""
        return [
            *self._paths_since(before),
            *_changes("package", before.packages, self.packages),
            *_changes("account", before.accounts, self.accounts),
        ]

    def _paths_since(self, before: Footprint) -> Iterator[str]:
        for path in sorted(before.paths.keys() | self.paths.keys()):
            now, then = self.paths.get(path), before.paths.get(path)
            if now is None:
                yield f"- /{path}"
            elif now != then:
                yield f"{'~' if then else '+'} /{path} {now.said}{self._content(path)}"

    def _content(self, path: str) -> str:
        """Return a file's hash; files are read only where they changed."""
        full = self.root / path
        if full.is_symlink() or not full.is_file():
            return ""
        return f" sha256:{hashlib.sha256(full.read_bytes()).hexdigest()[:16]}"


def take_footprint(root: Path) -> Footprint:
    """Look at a host's disk from outside."""
    users, groups = _table(root / "etc/passwd"), _table(root / "etc/group")
    names = ({row[2]: row[0] for row in users}, {row[2]: row[0] for row in groups})
    paths = {str(path.relative_to(root)): path for folder in WATCHED for path in sorted((root / folder).rglob("*"))}
    return Footprint(
        root,
        {name: _entry(path, *names) for name, path in paths.items() if not _UNWATCHED.match(name)},
        frozenset([*_INSTALLED.findall((root / "var/lib/dpkg/status").read_text()), *_rpms(root)]),
        frozenset(_accounts(users, groups)),
    )


def _rpms(root: Path) -> list[str]:
    """Ask the host's own rpm, where it has one; keys are named by their number, which is another on each host."""
    if not (root / "usr/bin/rpm").exists():
        return []
    argv = ["chroot", str(root), "rpm", "-qa", "--queryformat", "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}\\n"]
    listed = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout.split()
    return [f"rpm {'gpg-pubkey' if name.startswith('gpg-pubkey-') else name}" for name in listed]


def _entry(path: Path, users: dict[str, str], groups: dict[str, str]) -> Entry:
    found = path.lstat()
    owner = f"{users.get(str(found.st_uid), found.st_uid)}:{groups.get(str(found.st_gid), found.st_gid)}"
    said = f"{stat.filemode(found.st_mode)} {owner}"
    if stat.S_ISLNK(found.st_mode):
        return Entry(f"{said} -> {path.readlink()}")
    if stat.S_ISREG(found.st_mode):
        return Entry(said, found.st_size, found.st_mtime_ns)
    return Entry(said)


def _accounts(users: list[list[str]], groups: list[list[str]]) -> Iterator[str]:
    """Describe users and groups; numbers only where a play would choose them, since the base's may move."""
    names = {row[2]: row[0] for row in groups}
    for name, _, uid, gid, comment, home, shell in users:
        number = "system" if int(uid) < 1000 else uid
        yield f"user {name} {number} {names.get(gid, gid)} {comment!r} {home} {shell}"
    for name, _, gid, members in groups:
        yield f"group {name} {'system' if int(gid) < 1000 else gid} [{members}]"


def _table(path: Path) -> list[list[str]]:
    return [line.split(":") for line in path.read_text().splitlines()]


def _changes(kind: str, before: frozenset[str], after: frozenset[str]) -> Iterator[str]:
    yield from (f"- {kind} {name}" for name in sorted(before - after))
    yield from (f"+ {kind} {name}" for name in sorted(after - before))
