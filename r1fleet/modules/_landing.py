"""One file on its way: it grows beside its place, keeps what has come, and moves only when its hash is right."""

from __future__ import annotations

import fcntl
import hashlib
import os
from typing import Any, NamedTuple

from r1fleet.agent import soundness
from r1fleet.modules._hub_refusals import Refused
from r1fleet.modules._hub_rows import BIG, WORK

_CHUNK = 1024 * 1024
_CLONE = 0x40049409  # FICLONE: the copy shares its blocks until one of the two changes
_OPEN = os.O_RDWR | os.O_CREAT


class Job(NamedTuple):
    """One file of the listing; a ``stamp`` tells versions apart where the source knows no hash."""

    path: str
    size: int
    sha256: str
    git: str
    stamp: str = ""

    @property
    def key(self) -> str:
        """Name this content at this path, so that what has come of another version is never taken for it."""
        parts = (self.path, str(self.size), self.sha256, self.git, *filter(None, (self.stamp,)))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


class Landing:
    """What has come of one file so far; use it with ``with``."""

    def __init__(self, staging: str, job: Job) -> None:
        self.job = job
        self.path = os.path.join(staging, WORK, job.key)
        self._target = os.path.join(staging, job.path)
        self._descriptor = -1
        self.have = self.furthest = 0
        self.moved = 0

    def __enter__(self) -> Landing:
        self._adopt()
        self._leave_shared()
        self._descriptor = os.open(self.path, _OPEN, 0o644)
        self._begin()
        if os.fstat(self._descriptor).st_size > self.job.size:
            self.restart()
        for chunk in iter(lambda: os.read(self._descriptor, _CHUNK), b""):
            self._count(chunk)
        self.inherited = self.have
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def write(self, chunk: bytes) -> None:
        """Add what has come."""
        view = memoryview(chunk)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self.moved += len(chunk)
        self._count(chunk)

    def restart(self) -> None:
        """Forget what has come; never by cutting a file that may be another one's, too."""
        os.close(self._descriptor)
        os.unlink(self.path)
        self._descriptor = os.open(self.path, _OPEN | os.O_EXCL, 0o644)
        self._begin()

    def differs(self) -> str:
        """Say how the content differs from what the listing says; "" where it does not."""
        job = self.job
        if self.have != job.size:
            return "has %d bytes in place of %d" % (self.have, job.size)
        if job.sha256 and self._sha256.hexdigest() != job.sha256:
            return "has the sha256 %s in place of %s" % (self._sha256.hexdigest(), job.sha256)
        if job.git and self._git.hexdigest() != job.git:
            return "has the git hash %s in place of %s" % (self._git.hexdigest(), job.git)
        return ""

    def settle(self) -> str:
        """Put the file in its place, on disk; return its sha256."""
        fault = soundness.of_file(self.path, self.job.path)
        if fault:
            raise Refused("unsound", str(fault), "the source itself holds a broken file: take another source")
        if os.fstat(self._descriptor).st_nlink == 1:
            os.fchmod(self._descriptor, 0o644)
        os.fsync(self._descriptor)
        _make_folders(os.path.dirname(self._target))
        os.replace(self.path, self._target)
        return self._sha256.hexdigest()

    def share(self, source: str) -> bool:
        """Take the blocks of a file on the same disk, or a big file itself; False where neither can be."""
        with open(source, "rb") as stream:
            try:
                fcntl.ioctl(self._descriptor, _CLONE, stream.fileno())
            except OSError:
                if self.job.size < BIG or not os.fstat(stream.fileno()).st_mode & 0o004 or not self._link(source):
                    return False
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self._begin()
        return True

    def read(self, stop: Any) -> None:
        """Hash what is shared."""
        for chunk in iter(lambda: b"" if stop() else os.read(self._descriptor, _CHUNK), b""):
            self._count(chunk)

    def _adopt(self) -> None:
        """Take back a file that was put in its place and never noted as complete; its hash will tell."""
        known = self.job.sha256 or self.job.git
        try:
            if known and not os.path.exists(self.path) and os.lstat(self._target).st_size == self.job.size:
                os.rename(self._target, self.path)
        except OSError:
            return

    def _leave_shared(self) -> None:
        """Begin anew where a fetch was ended while it read a file that is another's, too, and perhaps read-only."""
        try:
            if os.lstat(self.path).st_nlink > 1:
                os.unlink(self.path)
        except FileNotFoundError:
            return

    def _link(self, source: str) -> bool:
        try:
            os.link(source, self.path + ".link")
            os.replace(self.path + ".link", self.path)
        except OSError:
            return False
        os.close(self._descriptor)
        self._descriptor = os.open(self.path, os.O_RDONLY)
        return True

    def _begin(self) -> None:
        self.have = 0
        self._sha256 = hashlib.sha256()
        self._git = hashlib.sha1(b"blob %d\0" % self.job.size)

    def _count(self, chunk: bytes) -> None:
        self.have += len(chunk)
        self.furthest = max(self.furthest, self.have)
        self._sha256.update(chunk)
        if self.job.git:
            self._git.update(chunk)


def _make_folders(path: str) -> None:
    """Make folders that everyone may read, whatever the mask says."""
    if not os.path.isdir(path):
        _make_folders(os.path.dirname(path))
        os.makedirs(path, exist_ok=True)
        os.chmod(path, 0o755)
