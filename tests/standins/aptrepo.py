"""Repositories of stand-in packages, signed with throw-away keys, in the two forms that apt knows."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.standins.deb import Deb


@dataclass(frozen=True, slots=True)
class Signer:
    """A throw-away key; ``close`` ends the agent that gpg leaves behind."""

    home: Path

    @classmethod
    def make(cls, home: Path, name: str = "stand-in") -> Signer:
        """Make a key."""
        home.mkdir(mode=0o700, parents=True)
        signer = cls(home)
        signer._gpg("--passphrase", "", "--quick-generate-key", f"{name} <{name}@stand-in.invalid>", "ed25519", "sign")
        return signer

    @property
    def armored(self) -> bytes:
        """The public key as text."""
        return self._gpg("--armor", "--export")

    @property
    def binary(self) -> bytes:
        """The public key."""
        return self._gpg("--export")

    def clear_signed(self, text: bytes) -> bytes:
        """Return a text with its signature around it."""
        return self._gpg("--clearsign", "--digest-algo", "SHA256", given=text)

    def detached(self, text: bytes) -> bytes:
        """Return a text's signature."""
        return self._gpg("--armor", "--detach-sign", "--digest-algo", "SHA256", given=text)

    def close(self) -> None:
        """End the agent."""
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "all"], check=False, capture_output=True)

    def _gpg(self, *words: str, given: bytes = b"") -> bytes:
        argv = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", "--pinentry-mode", "loopback", *words]
        return subprocess.run(argv, input=given, capture_output=True, timeout=60, check=True).stdout


def write_flat(folder: Path, packages: Iterable[Deb], signer: Signer, **release: str) -> None:
    """Write packages and index into one folder, as NVIDIA has them: ``deb URL /``."""
    folder.mkdir(parents=True, exist_ok=True)
    index = _index(folder, "", packages)
    write_release(folder, {"Packages": index}, signer, release)


def write_dists(folder: Path, packages: Iterable[Deb], signer: Signer, codename: str, component: str) -> None:
    """Write packages below ``pool`` and the index below ``dists``: ``deb URL CODENAME COMPONENT``."""
    (folder / "pool").mkdir(parents=True, exist_ok=True)
    index = _index(folder, "pool/", packages)
    dist = folder / "dists" / codename
    release = {"Codename": codename, "Suite": codename, "Components": component, "Architectures": "amd64"}
    write_release(dist, {f"{component}/binary-amd64/Packages": index}, signer, release)


def _index(folder: Path, prefix: str, packages: Iterable[Deb]) -> bytes:
    rows = []
    for package in packages:
        content = package.content()
        (folder / prefix / package.file_name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        rows.append(f"{package.control}Filename: {prefix}{package.file_name}\nSize: {len(content)}\nSHA256: {digest}\n")
    return "\n".join(rows).encode()


def write_release(folder: Path, indexes: dict[str, bytes], signer: Signer, release: dict[str, str]) -> None:
    """Write indexes and what signs them."""
    files = {**indexes, **{f"{name}.gz": gzip.compress(content, mtime=0) for name, content in indexes.items()}}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    rows = [f" {hashlib.sha256(content).hexdigest()} {len(content)} {name}" for name, content in files.items()]
    fields = {"Origin": "stand-in", "Label": "stand-in", "Date": "Sun, 22 Nov 2026 00:00:00 UTC", **release}
    head = [f"{name}: {value}" for name, value in fields.items()]
    text = "\n".join([*head, "SHA256:", *rows, ""]).encode()
    (folder / "Release").write_bytes(text)
    (folder / "InRelease").write_bytes(signer.clear_signed(text))
    (folder / "Release.gpg").write_bytes(signer.detached(text))
