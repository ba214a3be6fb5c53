"""Packages made by the tests: a name, a version, relations to others, a few files. Stand-ins, nobody's real ones."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

DAEMON = """\
[Unit]
Description=stand-in for {name}
[Service]
ExecStart={command}
[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True)
class Deb:
    """One package; ``fields`` are further control fields, such as Depends and Conflicts."""

    name: str
    version: str
    fields: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    programs: Mapping[str, str] = field(default_factory=dict)
    scripts: Mapping[str, str] = field(default_factory=dict)
    architecture: str = "amd64"

    @property
    def file_name(self) -> str:
        """The name of its file; a version's epoch is not part of it."""
        return f"{self.name}_{self.version.rpartition(':')[2]}_{self.architecture}.deb"

    @property
    def control(self) -> str:
        """The control file."""
        own = {"Package": self.name, "Version": self.version, "Architecture": self.architecture}
        rest = {"Maintainer": "nobody <nobody@stand-in.invalid>", "Section": "misc", "Priority": "optional"}
        last = {"Description": f"stand-in for {self.name}, made by r1fleet's tests"}
        return "".join(f"{name}: {value}\n" for name, value in {**own, **rest, **self.fields, **last}.items())

    def content(self) -> bytes:
        """The whole .deb."""
        scripts = {f"./{name}": (text.encode(), 0o755) for name, text in self.scripts.items()}
        settings = "".join(f"{path}\n" for path in sorted(self.files) if path.startswith("/etc/"))
        control = {"./control": (self.control.encode(), 0o644), **scripts}
        if settings:
            control["./conffiles"] = (settings.encode(), 0o644)
        data = {
            **{f".{path}": (_bytes(text), 0o644) for path, text in self.files.items()},
            **{f".{path}": (text.encode(), 0o755) for path, text in self.programs.items()},
        }
        members = {"debian-binary": b"2.0\n", "control.tar.gz": _tar(control), "data.tar.gz": _tar(data)}
        return b"!<arch>\n" + b"".join(_member(name, content) for name, content in members.items())


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _member(name: str, content: bytes) -> bytes:
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
    return head + content + b"\n" * (len(content) % 2)


def _tar(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for folder in sorted(set(_folders(files))):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for name, (content, mode) in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(stream.getvalue(), compresslevel=1, mtime=0)


def _folders(files: Mapping[str, object]) -> Iterator[str]:
    for name in files:
        yield from (f"./{parent}" if str(parent) != "." else "." for parent in PurePosixPath(name).parents)
