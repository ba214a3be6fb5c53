"""The files of a swarm on this host: piece hashes, what is there already, and the record of what was verified."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
from typing import Any, Dict, Iterator, List, Tuple

CHUNK = 1024 * 1024


class Unsound(Exception):
    """A file is not what its manifest says."""


class Group:
    """Some files of the set and the hashes of their pieces; every file begins a piece of its own.

    So a piece never holds two files, and a file that was verified is never written again.
    """

    def __init__(self, told: Dict[str, Any]) -> None:
        self.number: int = told["number"]
        self.piece: int = told["piece"]
        self.files: List[Dict[str, Any]] = told["files"]
        self.hashes: bytes = base64.b64decode(told.get("hashes", ""))
        self.carried = [row for row in self.files if row["size"]]
        self.size: int = sum(row["size"] for row in self.files)

    def told(self) -> Dict[str, Any]:
        """Return what another host needs to know."""
        hashes = base64.b64encode(self.hashes).decode("ascii")
        return {"number": self.number, "piece": self.piece, "files": self.files, "hashes": hashes}

    def pieces(self, row: Dict[str, Any]) -> int:
        """Count the pieces of one file."""
        return -(-int(row["size"]) // self.piece)

    def pad(self, row: Dict[str, Any]) -> int:
        """Return how many zeros follow a file, so that the next one begins a piece."""
        return 0 if row is self.carried[-1] else -int(row["size"]) % self.piece

    def first(self, row: Dict[str, Any]) -> int:
        """Return the number of a file's first piece."""
        total = 0
        for other in self.carried:
            if other is row:
                break
            total += self.pieces(other)
        return total

    def seal(self, folder: str) -> None:
        """Read every file once, for the hashes of its pieces and for its own; raise Unsound where that is another."""
        self.hashes = b"".join(self._sealed(os.path.join(folder, row["path"]), row) for row in self.carried)

    def _sealed(self, path: str, row: Dict[str, Any]) -> bytes:
        found, whole = [], hashlib.sha256()
        pad, left = self.pad(row), row["size"]
        with open(path, "rb", buffering=0) as stream:
            while left > 0:
                data = _read(stream, min(self.piece, left))
                if not data:
                    break
                whole.update(data)
                left -= len(data)
                found.append(hashlib.sha1(data if left else data + bytes(pad)).digest())
            if left or stream.read(1) or whole.hexdigest() != row["sha256"]:
                raise Unsound("%s is not what its manifest says" % path)
        return b"".join(found)

    def metainfo(self, name: bytes) -> Dict[bytes, Any]:
        """Return the torrent: neutral file names, so that none is changed on its way."""
        files = []
        for number, row in enumerate(self.carried):
            files.append({b"length": row["size"], b"path": [b"%d" % number]})
            if self.pad(row):
                files.append({b"attr": b"p", b"length": self.pad(row), b"path": [b".pad", b"%d" % self.pad(row)]})
        about: Dict[bytes, Any] = {b"name": name, b"piece length": self.piece, b"private": 1}
        return {b"info": {**about, b"pieces": self.hashes, b"files": files}}

    def indexed(self) -> Iterator[Tuple[int, Dict[str, Any]]]:
        """Yield every file of the torrent with its index there."""
        index = 0
        for row in self.carried:
            yield index, row
            index += 2 if self.pad(row) else 1

    def paths(self, folder: str) -> Dict[int, str]:
        """Return where each file of the torrent lies, by its index there."""
        return {index: os.path.join(folder, row["path"]) for index, row in self.indexed()}

    def present(self, folder: str, row: Dict[str, Any]) -> List[bool]:
        """Tell of every piece of a file whether it is there and whole; holes are not read."""
        count, first, pad = self.pieces(row), self.first(row), self.pad(row)
        try:
            stream = open(os.path.join(folder, row["path"]), "rb", buffering=0)
        except OSError:
            return [False] * count
        found = []
        with stream:
            for number in range(count):
                begin = number * self.piece
                length = min(self.piece, row["size"] - begin)
                data = b"" if _is_hole(stream.fileno(), begin, length) else _at(stream, begin, length)
                tail = bytes(pad) if number == count - 1 else b""
                wanted = self.hashes[(first + number) * 20 : (first + number + 1) * 20]
                found.append(len(data) == length and hashlib.sha1(data + tail).digest() == wanted)
        return found


class Record:
    """What was verified, by path: size, time and inode at that moment, and the sha256 that was found."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._rows: Dict[str, List[Any]] = {}
        try:
            with open(path, encoding="utf-8") as stream:
                self._rows = json.load(stream)
        except (OSError, ValueError):
            pass

    def holds(self, path: str, sha256: str) -> bool:
        """Tell whether the file was verified and has not been touched since."""
        return path in self._rows and self._rows[path] == stamp(path) + [sha256]

    def note(self, path: str, sha256: str) -> None:
        """Remember a file that lies safely on disk."""
        self._rows[path] = stamp(path) + [sha256]
        write_json(self._path, self._rows)


def stamp(path: str) -> List[Any]:
    """Return what changes when a file does."""
    try:
        about = os.stat(path)
    except OSError:
        return []
    return [about.st_size, about.st_mtime_ns, about.st_ino]


def sha256_of(path: str) -> str:
    """Return the sha256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as stream:
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()


def flush(path: str) -> None:
    """Wait until a file is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def take_over(path: str, candidates: List[str], row: Dict[str, Any]) -> bool:
    """Link the same file from another folder of this host, if one has it."""
    for other in candidates:
        try:
            if os.path.islink(other) or os.stat(other).st_size != row["size"] or sha256_of(other) != row["sha256"]:
                continue
            if os.path.lexists(path):
                os.unlink(path)
            os.link(other, path)
            return True
        except OSError:
            continue
    return False


def write_json(path: str, value: Any) -> None:
    """Write a file whole or not at all."""
    neighbour = "%s.%d.new" % (path, os.getpid())
    with open(neighbour, "w", encoding="utf-8") as stream:
        json.dump(value, stream)
    os.rename(neighbour, path)


def _at(stream: Any, begin: int, length: int) -> bytes:
    stream.seek(begin)
    return _read(stream, length)


def _read(stream: Any, length: int) -> bytes:
    parts = []
    while length > 0:
        data = stream.read(length)
        if not data:
            break
        parts.append(data)
        length -= len(data)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _is_hole(descriptor: int, begin: int, length: int) -> bool:
    try:
        return os.lseek(descriptor, begin, os.SEEK_DATA) >= begin + length
    except OSError as error:
        return error.errno == errno.ENXIO
