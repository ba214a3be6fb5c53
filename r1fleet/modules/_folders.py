"""Look at model folders and the file systems that they lie on."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import re
from typing import Any, Iterator

MANIFEST = ".r1fleet-manifest.json"
LONGEST = 64 * 1024 * 1024
_BLOCK = 512
_GONE = re.compile(r"^\.gone(-\d+)?\.part$")


@contextlib.contextmanager
def alone_in(folder: str) -> Iterator[None]:
    """Let one call after the other do something in a folder; what cannot be locked, as on NFS, is no hindrance."""
    with contextlib.ExitStack() as opened:
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            opened.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def manifest_text(folder: str) -> str | None:
    """Return the text of a folder's seal; None where there is none."""
    try:
        with open(os.path.join(folder, MANIFEST), encoding="utf-8", errors="replace") as stream:
            return stream.read(LONGEST)
    except OSError:
        return None


def staged_for(path: str) -> list[str]:
    """List the folders beside ``path`` where what shall become it is staged."""
    return [one for one in _parts(path) if not _is_gone(path, one)]


def gone_of(path: str) -> list[str]:
    """List what is left of folders that had the name ``path`` and were to be removed."""
    return [one for one in _parts(path) if _is_gone(path, one)]


def free_gone(path: str) -> str:
    """Return a name beside ``path`` for what is to be removed, so that nothing takes it for staged."""
    parent, name = os.path.split(path)
    names = (".%s.gone%s.part" % (name, "-%d" % number if number else "") for number in itertools.count())
    return next(one for one in (os.path.join(parent, each) for each in names) if not os.path.lexists(one))


def _parts(path: str) -> list[str]:
    parent, name = os.path.split(path)
    head = ".%s." % name
    try:
        names = sorted(os.listdir(parent))
    except OSError:
        return []
    return [os.path.join(parent, one) for one in names if one.startswith(head) and one.endswith(".part")]


def _is_gone(path: str, part: str) -> bool:
    return bool(_GONE.match(os.path.basename(part)[len(os.path.basename(path)) + 1 :]))


def measure(folder: str) -> tuple[int, int, float]:
    """Return bytes as files tell them, bytes that the disk has given, and when anything was last written."""
    told, given, last = 0, 0, 0.0
    for place, _, names in os.walk(folder):
        for path in [os.path.join(place, name) for name in names] + [place]:
            try:
                found = os.lstat(path)
            except OSError:
                continue
            last = max(last, found.st_mtime)
            if path != place:
                told += found.st_size
                given += found.st_blocks * _BLOCK
    return told, given, last


def existing(path: str) -> str:
    """Return the nearest folder above ``path`` that is there."""
    while not os.path.isdir(path):
        parent = os.path.dirname(path)
        if parent == path:
            break
        path = parent
    return path


def room(path: str) -> dict[str, Any]:
    """Tell of the file system that ``path`` lies on, or will: free bytes, kind, what is mounted, whether read-only."""
    place = existing(path)
    found = os.statvfs(place)
    mount = _mount(os.path.realpath(place))
    return {
        "place": place,
        "free": found.f_bavail * found.f_frsize,
        "total": found.f_blocks * found.f_frsize,
        "read_only": bool(found.f_flag & os.ST_RDONLY),
        "device": os.stat(place).st_dev,
        "kind": mount[2],
        "source": mount[0],
        "mounted": mount[1],
    }


def _mount(place: str) -> tuple[str, str, str]:
    best = ("", "/", "")
    with open("/proc/self/mounts", encoding="utf-8", errors="replace") as stream:
        for line in stream:
            words = [_plain(word) for word in line.split(" ")[:3]]
            point = words[1].rstrip("/") or "/"
            inside = point == "/" or place == point or place.startswith(point + "/")
            if inside and len(point) >= len(best[1]):
                best = (words[0], point, words[2])
    return best


def _plain(word: str) -> str:
    """Undo the mount table's octal escapes."""
    parts = word.split("\\")
    return parts[0] + "".join(chr(int(part[:3], 8)) + part[3:] for part in parts[1:])
