"""Zip archives: looked at with the standard library, unpacked by unzip."""

from __future__ import annotations

import fnmatch
import os
import stat
import struct
import time
import zipfile
import zlib
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.files import current_umask
from r1fleet.agent.modes import parse_mode
from r1fleet.agent.permissions import number_of
from r1fleet.agent.process import Done

_UNIX = 3
_UNIX_TIME = 0x5455  # the extra field with a time that knows its zone
_READ_ONLY = 1
_REFUSED = ("-d", "-:")


class ZipArchive:
    """One archive and the place where its content belongs."""

    handler = "ZipArchive"

    def __init__(self, ctx: Context, source: str, magic: bytes) -> None:
        self._ctx = ctx
        self._source = source
        self._unzip = ctx.need("unzip")
        self._newer: list[str] = []  # files on the host that keep_newer keeps
        self._crcs: dict[str, int] = {}
        wrong = [word for word in ctx.args["extra_opts"] if word.startswith("-") and _leads_out(word)]
        if wrong:
            ctx.fail("extra_opts: {} would let the archive leave {}; take it out".format(wrong[0], ctx.args["dest"]))
        try:
            with zipfile.ZipFile(source) as archive:
                self._entries = [entry for entry in archive.infolist() if self._wanted(entry.filename)]
        except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
            ctx.fail("Failed to find handler for '{}': it is no zip archive: {}".format(source, error))

    def names(self) -> list[str]:
        """List what would be unpacked."""
        return [entry.filename for entry in self._entries]

    def differences(self) -> tuple[bool, str]:
        """Tell whether anything is missing or different on the host, and show it in rsync's letters."""
        lines = [line for line in map(self._difference, self._entries) if line]
        return bool(lines), "".join(line + "\n" for line in lines)

    def unpack(self) -> tuple[list[str], Done]:
        """Unpack; return the command and its end."""
        args = self._ctx.args
        command = [self._unzip, "-o", *args["extra_opts"], self._source, *args["include"]]
        excludes = [*args["exclude"], *self._newer]
        command += ["-x", *excludes] if excludes else []
        command += ["-d", args["dest"]]
        return command, self._ctx.run(command, locale="C.UTF-8")

    def _wanted(self, name: str) -> bool:
        args = self._ctx.args
        if name in args["exclude"] or _fits(name, args["exclude"]):
            return False
        return not args["include"] or _fits(name, args["include"])

    def _difference(self, entry: zipfile.ZipInfo) -> str:
        kind = _kind(entry)
        path = os.path.join(self._ctx.args["dest"], entry.filename.lstrip("/"))
        try:
            status = os.lstat(path.rstrip("/"))
        except OSError:
            return ">{}++++++.?? {}".format(kind, entry.filename)
        there = {stat.S_IFDIR: "d", stat.S_IFLNK: "L", stat.S_IFREG: "f"}.get(stat.S_IFMT(status.st_mode), "?")
        if there != kind:
            return "c{}++++++.?? {}".format(kind, entry.filename)
        regular = self._of_content(entry, path, status) if kind == "f" else "..."
        if regular is None:
            return ""
        letters = regular + self._of_access(entry, status, kind)
        return ".{}{}.?? {}".format(kind, letters, entry.filename) if letters.strip(".") else ""

    def _of_content(self, entry: zipfile.ZipInfo, path: str, status: os.stat_result) -> str | None:
        """Return the letters for content, size and time; None where the host's file is newer and stays."""
        when = written(entry)
        if self._ctx.args["keep_newer"] and when < status.st_mtime:
            self._newer.append(entry.filename)
            return None
        letters = ["c" if _crc(path) != entry.CRC else ".", "s" if entry.file_size != status.st_size else "."]
        letters.append("t" if when != int(status.st_mtime) else ".")
        return "".join(letters)

    def _of_access(self, entry: zipfile.ZipInfo, status: os.stat_result, kind: str) -> str:
        """Return the letters for mode, owner and group."""
        args = self._ctx.args
        uid = os.geteuid() if args["owner"] is None else number_of(args["owner"], "owner")
        gid = os.getegid() if args["group"] is None else number_of(args["group"], "group")
        mode = stat.S_IMODE(status.st_mode)
        letters = "." if kind == "L" or mode == self._mode(entry, status) else "p"
        letters += "." if uid == status.st_uid else "o"
        return letters + ("." if gid == status.st_gid else "g")

    def _mode(self, entry: zipfile.ZipInfo, status: os.stat_result) -> int:
        wanted = self._ctx.args["mode"]
        if wanted is None:
            return mode_of(entry, current_umask())
        try:
            return parse_mode(wanted, status.st_mode, current_umask())
        except ValueError as error:
            self._ctx.fail("mode must be in octal or symbolic form", details=str(error))


def mode_of(entry: zipfile.ZipInfo, umask: int) -> int:
    """Return the mode that unzip gives an entry; archives of DOS know only one bit of it."""
    mode = entry.external_attr >> 16
    if entry.create_system == _UNIX and mode:
        return stat.S_IMODE(mode)
    base = 0o777 if entry.filename.endswith("/") else 0o666
    if entry.external_attr & _READ_ONLY:
        base &= 0o555
    return base & ~umask


def written(entry: zipfile.ZipInfo) -> int:
    """Return when the entry was written, in seconds; without a zone of its own it is this host's."""
    extra = entry.extra
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        if kind == _UNIX_TIME and size >= 5 and extra[4] & 1:
            return int(struct.unpack("<i", extra[5:9])[0])
        extra = extra[4 + size :]
    return int(time.mktime((*entry.date_time, 0, 0, -1)))


def _kind(entry: zipfile.ZipInfo) -> str:
    if entry.filename.endswith("/"):
        return "d"
    link = entry.create_system == _UNIX and stat.S_ISLNK(entry.external_attr >> 16)
    return "L" if link else "f"


def _fits(name: str, patterns: list[str]) -> bool:
    """Match as unzip does: ``*`` goes over slashes, too."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _leads_out(word: str) -> bool:
    return not word.startswith("--") and any(refused[1] in word[1:] for refused in _REFUSED)


def _crc(path: str) -> Any:
    value = 0
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(1024 * 1024), b""):
            value = zlib.crc32(chunk, value)
    return value
