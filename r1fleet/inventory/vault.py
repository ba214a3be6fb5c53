"""Ansible Vault, read-only: which passwords there are, and what they open."""

from __future__ import annotations

import hashlib
import hmac
import importlib
import os
import subprocess
from binascii import Error as NoHex
from binascii import unhexlify
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from r1fleet.errors import InventoryError, UsageError, Where

HEADER = "$ANSIBLE_VAULT;"
PASSWORD_FILE = "ANSIBLE_VAULT_PASSWORD_FILE"
_ROUNDS = 10_000
_KEY = 32
_BLOCK = 16
_HINT = f"--vault-password-file FILE, --ask-vault-pass or ${PASSWORD_FILE}"
_SHORTEST = 4  # masking shorter secrets would only garble messages


class WrongPassword(Exception):
    """This password does not open this content."""


@dataclass(frozen=True, slots=True)
class Password:
    """One vault password with the id it was given for."""

    text: bytes = field(repr=False)
    label: str = "default"


@dataclass(slots=True)
class Keyring:
    """The passwords of this run, and what they have opened so far, so that no message shows it."""

    passwords: tuple[Password, ...] = ()
    opened: dict[str, bytes] = field(default_factory=dict, repr=False)
    revealed: set[str] = field(default_factory=set, repr=False)

    def open(self, text: str, where: Where) -> bytes:
        """Decrypt what a vault wrote; raise InventoryError where no password fits."""
        if text in self.opened:
            return self.opened[text]
        label, salt, digest, body = _parts(text, where)
        if not self.passwords:
            raise InventoryError("this is encrypted, and no vault password is given", where=where, hint=_HINT)
        # A password of the same id is tried first, as Ansible does; any other may fit, too.
        for password in sorted(self.passwords, key=lambda each: each.label != label):
            try:
                self.opened[text] = _decrypted(password.text, salt, digest, body)
            except WrongPassword:
                continue
            return self.opened[text]
        tried = ", ".join(dict.fromkeys(password.label for password in self.passwords))
        wanted = f" (its vault id is {label})" if label else ""
        raise InventoryError(
            f"the vault password is wrong for this{wanted}", where=where, hint=f"passwords tried: {tried}"
        )

    def reveal(self, text: str, where: Where) -> str:
        """Decrypt text, and remember that it must not be shown."""
        content = self.open(text, where)
        try:
            plain = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InventoryError("what is encrypted here is not UTF-8 text", where=where) from error
        self.hide(plain)
        return plain

    def hide(self, secret: str) -> None:
        """Keep a secret out of messages."""
        if len(secret.strip()) >= _SHORTEST:
            self.revealed |= {secret, secret.strip(), repr(secret)[1:-1]}

    def masked(self, text: str) -> str:
        """Return a message without the secrets that were opened."""
        for secret in sorted(self.revealed, key=len, reverse=True):
            text = text.replace(secret, "********")
        return text


@cache
def keyring() -> Keyring:
    """Return the keyring of this process; it begins with the password file that the environment names."""
    path = os.environ.get(PASSWORD_FILE)
    return Keyring((read_password(Path(path)),) if path else ())


def masked(text: str) -> str:
    """Return a message without secrets; a keyring that nothing has used yet hides none."""
    return keyring().masked(text) if keyring.cache_info().currsize else text


def is_encrypted(content: str | bytes) -> bool:
    """Tell whether content is a vault's."""
    return content.startswith(HEADER) if isinstance(content, str) else content.startswith(HEADER.encode())


def plain_bytes(content: bytes, where: Where) -> bytes:
    """Return a file's content, decrypted where it is a vault's."""
    return keyring().open(content.decode("ascii", "replace"), where) if is_encrypted(content) else content


def plain_text(content: str, where: Where) -> str:
    """Return a file's text, decrypted where it is a vault's."""
    return keyring().open(content, where).decode("utf-8", "surrogateescape") if is_encrypted(content) else content


def read_password(path: Path, label: str = "default") -> Password:
    """Read a password from a file; an executable one is run and asked."""
    path = path.expanduser()
    try:
        text = _asked(path, label) if os.access(path, os.X_OK) and path.is_file() else path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the vault password file {path}: {error.strerror}") from error
    if not text.strip():
        raise UsageError(f"the vault password file {path} is empty")
    return Password(text.strip(), label)


def read_identity(identity: str, ask: Callable[[str], str]) -> Password:
    """Read a ``--vault-id``: ``label@source``, where the source is a file or ``prompt``."""
    label, mark, source = identity.rpartition("@")
    label = label if mark else "default"
    if source == "prompt":
        return Password(ask(f"Vault password ({label})").strip().encode(), label)
    return read_password(Path(source), label)


def _asked(path: Path, label: str) -> bytes:
    named = path.stem.endswith("-client")
    argv = [str(path.absolute()), *(["--vault-id", label] if named and label != "default" else [])]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise UsageError(f"the vault password script {path} ended with {done.returncode}: {said}")
    return done.stdout


def _parts(text: str, where: Where) -> tuple[str, bytes, bytes, bytes]:
    """Return the vault id, salt, HMAC and ciphertext of what a vault wrote."""
    head, *lines = text.strip().splitlines()
    fields = [part.strip() for part in head.split(";")]
    if fields[1:2] not in (["1.1"], ["1.2"]) or fields[2:3] != ["AES256"]:
        raise InventoryError(f"this vault format is not supported: {head}", where=where, hint="1.1 and 1.2 with AES256")
    try:
        salt, digest, body = map(unhexlify, unhexlify("".join(line.strip() for line in lines)).split(b"\n", 2))
    except (NoHex, ValueError) as error:
        raise InventoryError("this encrypted value is damaged", where=where, hint="encrypt it again") from error
    return (fields[3] if len(fields) > 3 else ""), salt, digest, body


def _decrypted(password: bytes, salt: bytes, digest: bytes, body: bytes) -> bytes:
    derived = hashlib.pbkdf2_hmac("sha256", password, salt, _ROUNDS, 2 * _KEY + _BLOCK)
    key, mac_key, start = derived[:_KEY], derived[_KEY : 2 * _KEY], derived[2 * _KEY :]
    if not hmac.compare_digest(hmac.new(mac_key, body, hashlib.sha256).digest(), digest):
        raise WrongPassword
    padded = _aes_ctr(key, start, body)
    return padded[: -padded[-1]]


def _aes_ctr(key: bytes, start: bytes, body: bytes) -> bytes:
    # Loaded when something is encrypted: commands that need nothing of it start faster.
    ciphers = importlib.import_module("cryptography.hazmat.primitives.ciphers")
    decryptor = ciphers.Cipher(ciphers.algorithms.AES(key), ciphers.modes.CTR(start)).decryptor()
    found: bytes = decryptor.update(body) + decryptor.finalize()
    return found


def scalars(value: object) -> Iterator[str]:
    """Yield all texts in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from scalars(part)
    elif isinstance(value, list):
        for part in value:
            yield from scalars(part)
