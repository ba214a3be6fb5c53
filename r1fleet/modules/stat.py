"""Tell what is at a path."""

from __future__ import annotations

import fcntl
import os
import stat as modes
import struct
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.files import digest, group_name, user_name

ARGUMENTS = {
    "path": {"type": "path", "required": True, "aliases": ["dest", "name"]},
    "follow": {"type": "bool", "default": False},
    "get_checksum": {"type": "bool", "default": True},
    "get_mime": {"type": "bool", "default": True, "aliases": ["mime", "mime_type", "mime-type"]},
    "get_attributes": {"type": "bool", "default": True, "aliases": ["attr", "attributes"]},
    "checksum_algorithm": {
        "type": "str",
        "default": "sha1",
        "choices": ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"],
        "aliases": ["checksum", "checksum_algo"],
    },
}
LOCAL = True
CHECK_MODE = True

_BITS = {
    "rusr": modes.S_IRUSR,
    "wusr": modes.S_IWUSR,
    "xusr": modes.S_IXUSR,
    "rgrp": modes.S_IRGRP,
    "wgrp": modes.S_IWGRP,
    "xgrp": modes.S_IXGRP,
    "roth": modes.S_IROTH,
    "woth": modes.S_IWOTH,
    "xoth": modes.S_IXOTH,
    "isuid": modes.S_ISUID,
    "isgid": modes.S_ISGID,
}
_KINDS = {
    "isdir": modes.S_ISDIR,
    "ischr": modes.S_ISCHR,
    "isblk": modes.S_ISBLK,
    "isreg": modes.S_ISREG,
    "isfifo": modes.S_ISFIFO,
    "islnk": modes.S_ISLNK,
    "issock": modes.S_ISSOCK,
}
_INODES = (
    (modes.S_ISDIR, "inode/directory"),
    (modes.S_ISLNK, "inode/symlink"),
    (modes.S_ISCHR, "inode/chardevice"),
    (modes.S_ISBLK, "inode/blockdevice"),
    (modes.S_ISFIFO, "inode/fifo"),
    (modes.S_ISSOCK, "inode/socket"),
)
_GET_FLAGS = 0x80086601
_GET_VERSION = 0x80087601
_FLAGS = (
    (0x1, "s", "secure_deletion"),
    (0x2, "u", "undelete"),
    (0x8, "S", "synchronous"),
    (0x10, "i", "immutable"),
    (0x20, "a", "append"),
    (0x40, "d", "nodump"),
    (0x80, "A", "noatime"),
    (0x4, "c", "compressed"),
    (0x4000, "j", "journaled"),
    (0x8000, "t", "notail"),
    (0x20000, "T", "topdir"),
    (0x80000, "e", "extents"),
    (0x800000, "C", "nocow"),
)


def run(ctx: Context) -> dict[str, Any]:
    """Look at ``path``; that it is not there is an answer, too."""
    path = ctx.args["path"]
    try:
        status = os.stat(path) if ctx.args["follow"] else os.lstat(path)
    except FileNotFoundError:
        return {"changed": False, "stat": {"exists": False}}
    except OSError as error:
        ctx.fail(error.strerror or str(error), path=path)
    found = dict(describe(path, status), **_access(path))
    if found["islnk"]:
        found["lnk_source"] = os.path.realpath(path)
        found["lnk_target"] = os.readlink(path)
    if found["isreg"] and found["readable"] and ctx.args["get_checksum"]:
        found["checksum"] = digest(path, ctx.args["checksum_algorithm"])
    if ctx.args["get_mime"]:
        found.update(_mime(ctx, path, status.st_mode, status.st_size))
    if ctx.args["get_attributes"]:
        found.update(_attributes(path))
    return {"changed": False, "stat": found}


def describe(path: str, status: os.stat_result) -> dict[str, Any]:
    """Put a stat result into Ansible's words."""
    found: dict[str, Any] = {
        "exists": True,
        "path": path,
        "mode": "%04o" % modes.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
        "size": status.st_size,
        "inode": status.st_ino,
        "dev": status.st_dev,
        "nlink": status.st_nlink,
        "atime": status.st_atime,
        "mtime": status.st_mtime,
        "ctime": status.st_ctime,
        "blocks": status.st_blocks,
        "block_size": status.st_blksize,
        "device_type": status.st_rdev,
        "pw_name": user_name(status.st_uid),
        "gr_name": group_name(status.st_gid),
    }
    found.update((name, bool(status.st_mode & bit)) for name, bit in _BITS.items())
    found.update((name, bool(kind(status.st_mode))) for name, kind in _KINDS.items())
    return found


def _access(path: str) -> dict[str, bool]:
    kinds = (("readable", os.R_OK), ("writeable", os.W_OK), ("executable", os.X_OK))
    return {name: os.access(path, kind) for name, kind in kinds}


def _mime(ctx: Context, path: str, mode: int, size: int) -> dict[str, str]:
    kind = next((name for test, name in _INODES if test(mode)), "inode/x-empty" if size == 0 else "")
    if kind:
        return {"mimetype": kind, "charset": "binary"}
    unknown = {"mimetype": "unknown", "charset": "unknown"}
    program = ctx.which("file")
    if program is None:
        return unknown
    done = ctx.run([program, "--mime-type", "--mime-encoding", "--brief", "--", path], locale="C")
    kind, semicolon, charset = done.text.strip().partition("; charset=")
    return {"mimetype": kind, "charset": charset} if done.rc == 0 and semicolon else unknown


def _attributes(path: str) -> dict[str, Any]:
    """Read the file system's flags as lsattr shows them; links and devices have none."""
    empty: dict[str, Any] = {"attr_flags": "", "attributes": [], "version": None}
    if os.path.islink(path) or not (os.path.isfile(path) or os.path.isdir(path)):
        return empty
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return empty
    try:
        flags = _asked(descriptor, _GET_FLAGS)
        found = [(letter, name) for bit, letter, name in _FLAGS if flags & bit]
        version = str(_asked(descriptor, _GET_VERSION))
    except OSError:
        return empty
    finally:
        os.close(descriptor)
    letters = "".join(letter for letter, _ in found)
    return {"attr_flags": letters, "attributes": [name for _, name in found], "version": version}


def _asked(descriptor: int, request: int) -> int:
    answer = fcntl.ioctl(descriptor, request, bytes(8))
    return int(struct.unpack("=I4x", answer)[0])
