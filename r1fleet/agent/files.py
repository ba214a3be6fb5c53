"""Files on the host: atomic writes that keep what a file was, owner, group and mode arguments, hashes, diffs."""

from __future__ import annotations

import contextlib
import errno
import grp
import hashlib
import os
import pwd
import stat
from typing import Any, Dict, Optional

from r1fleet.agent import labels, places
from r1fleet.agent.context import ModuleFailed
from r1fleet.agent.permissions import FILE_ARGUMENTS, apply_permissions, current_umask

__all__ = [
    "FILE_ARGUMENTS",
    "apply_permissions",
    "content_diff",
    "current_umask",
    "digest",
    "group_name",
    "install",
    "path_info",
    "read_bytes",
    "sha1",
    "sha256",
    "state_of",
    "user_name",
    "write_bytes",
]

DIFF_LIMIT = 104448
_CHUNK = 1024 * 1024
_COPY_INSTEAD = (errno.EBUSY, errno.EPERM, errno.EXDEV, errno.EACCES, errno.ETXTBSY)


def sha1(path: str) -> Optional[str]:
    """Hash a regular file's content; None where there is none."""
    return digest(path, "sha1")


def sha256(path: str) -> Optional[str]:
    """Hash a regular file's content; None where there is none."""
    return digest(path, "sha256")


def digest(path: str, algorithm: str) -> Optional[str]:
    """Hash a regular file's content in pieces; None where there is no regular file."""
    if not os.path.isfile(path):
        return None
    try:
        summer = hashlib.new(algorithm)
    except ValueError as error:
        raise ModuleFailed("the host's Python cannot hash with %s: %s" % (algorithm, error)) from error
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(_CHUNK), b""):
            summer.update(chunk)
    return summer.hexdigest()


def read_bytes(path: str) -> Optional[bytes]:
    """Return a file's content; None where there is none."""
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def write_bytes(
    path: str, content: bytes, *, mode: Optional[int] = None, in_place: bool = False, follow: bool = True
) -> None:
    """Write ``content`` to ``path`` by a neighbour file and a rename; an existing file keeps what it was.

    A link at ``path`` is followed, or else replaced. A new file gets ``mode``, else 0666 less the umask.
    """
    target = _place(path, follow=follow)
    neighbour = _neighbour(target)
    try:
        with open(neighbour, "wb") as stream:
            stream.write(content)
        _take_place(neighbour, target, mode, in_place=in_place)
    finally:
        _remove(neighbour)


def install(
    source: str,
    path: str,
    *,
    mode: Optional[int] = None,
    in_place: bool = False,
    keep: bool = False,
    follow: bool = True,
) -> None:
    """Put the file ``source`` at ``path`` atomically; moved, or copied: with ``keep``, from another disk, for SELinux.

    A link at ``path`` is followed, or else replaced; an existing file keeps owner, mode and attributes.
    """
    target = _place(path, follow=follow)
    if not keep and _is_movable(source, target):
        _take_place(source, target, mode, in_place=in_place)
        return
    neighbour = _neighbour(target)
    try:
        _copy(source, neighbour)
        _take_place(neighbour, target, mode, in_place=in_place)
    finally:
        _remove(neighbour)
    if not keep:
        _remove(source)


def path_info(path: str) -> Dict[str, Any]:
    """Return the keys that Ansible's file modules add to their result: uid, gid, owner, group, mode, state, size."""
    try:
        status = os.lstat(path)
    except OSError:
        return {"state": "absent"}
    return {
        "uid": status.st_uid,
        "gid": status.st_gid,
        "owner": user_name(status.st_uid),
        "group": group_name(status.st_gid),
        "mode": "0%03o" % stat.S_IMODE(status.st_mode),
        "state": state_of(path),
        "size": status.st_size,
    }


def state_of(path: str) -> str:
    """Tell what is at ``path`` in Ansible's words: absent, link, directory, hard or file."""
    try:
        status = os.lstat(path)
    except OSError:
        return "absent"
    if stat.S_ISLNK(status.st_mode):
        return "link"
    if stat.S_ISDIR(status.st_mode):
        return "directory"
    return "hard" if stat.S_ISREG(status.st_mode) and status.st_nlink > 1 else "file"


def user_name(uid: int) -> str:
    """Return a user's name, or the number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """Return a group's name, or the number where it has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def content_diff(before: Optional[bytes], after: Optional[bytes], path: str) -> Dict[str, Any]:
    """Describe a change of content as Ansible does: before, after and their headers."""
    parts: Dict[str, Any] = {}
    for side, prefix, content in (("before", "dst", before or b""), ("after", "src", after or b"")):
        if b"\0" in content:
            parts["%s_binary" % prefix] = 1
        elif len(content) > DIFF_LIMIT:
            parts["%s_larger" % prefix] = DIFF_LIMIT
        else:
            parts[side] = content.decode("utf-8", "surrogateescape")
            parts["%s_header" % side] = path
    return parts


def _place(path: str, *, follow: bool) -> str:
    if follow:
        return os.path.realpath(path)
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def _neighbour(target: str) -> str:
    folder = os.path.dirname(target)
    path = places.fresh_name(folder, ".r1fleet-")
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ModuleFailed("cannot write in %s: %s" % (folder, error.strerror)) from error
    os.close(descriptor)
    return path


def _take_place(source: str, target: str, mode: Optional[int], *, in_place: bool) -> None:
    try:
        _dress(source, target, mode)
        os.rename(source, target)
    except OSError as error:
        if not in_place or error.errno not in _COPY_INSTEAD:
            raise ModuleFailed("cannot replace %s: %s" % (target, error.strerror), path=target) from error
        # A mount point (a file bound into a container) can be written, never replaced.
        _copy(source, target)


def _copy(source: str, target: str) -> None:
    with open(source, "rb") as reader, open(target, "wb") as writer:
        while True:
            chunk = reader.read(_CHUNK)
            if not chunk:
                return
            writer.write(chunk)


def _dress(source: str, target: str, mode: Optional[int]) -> None:
    try:
        status = os.lstat(target)
    except FileNotFoundError:
        status = None
    if status is None or stat.S_ISLNK(status.st_mode):
        os.chmod(source, (0o666 & ~current_umask()) if mode is None else mode)
        return
    with contextlib.suppress(PermissionError):
        os.chown(source, status.st_uid, status.st_gid)
    _copy_xattrs(target, source)
    os.chmod(source, stat.S_IMODE(status.st_mode) if mode is None else mode)


def _copy_xattrs(source: str, target: str) -> None:
    with contextlib.suppress(OSError):
        for name in os.listxattr(source):
            with contextlib.suppress(OSError):
                os.setxattr(target, name, os.getxattr(source, name))


def _is_movable(source: str, target: str) -> bool:
    folder = os.path.dirname(target) or "."
    if os.stat(source).st_dev != os.stat(folder).st_dev:
        return False
    # SELinux labels a file by the folder in which it is made; moved, it would keep the label of a temporary file.
    return not labels.are_used() or os.path.realpath(source).startswith(os.path.join(folder, ""))


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
