"""Which host keys are accepted: those on record; new ones only when asked to learn; changed ones never."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paramiko

from r1fleet.errors import HostUnreachable, Where
from r1fleet.ssh.knownhosts import SYSTEM_FILES, USER_FILES, KnownKey, entry_name, fingerprint, known_keys, learn
from r1fleet.ssh.sockets import prompt

_RSA = ("rsa-sha2-512", "rsa-sha2-256")


@dataclass(frozen=True, slots=True)
class HostKeys:
    """The known_hosts files of one host, and whether an unknown key may be learnt."""

    host: str
    address: str
    port: int
    user_files: tuple[str, ...] = USER_FILES
    system_files: tuple[str, ...] = SYSTEM_FILES
    alias: str = ""
    accept_new: bool = field(default=False, kw_only=True)

    @property
    def name(self) -> str:
        """The name under which the key is on record."""
        return self.alias or entry_name(self.address, self.port)

    def known(self) -> list[KnownKey]:
        """Return the keys on record; a host that only its bare address lists counts too, as in OpenSSH."""
        files = (*self.user_files, *self.system_files)
        return known_keys(files, self.name)

    def kinds(self) -> list[str]:
        """Return the algorithms of the keys on record, so that the host is asked for one of them."""
        kinds = [key.kind for key in self.known() if not key.revoked]
        return [name for kind in kinds for name in (_RSA if kind == "ssh-rsa" else (kind,))]

    def check(self, kind: str, data: bytes) -> None:
        """Accept the key that the host has shown, learn it, or raise HostUnreachable."""
        known = self.known()
        shown = fingerprint(data)
        same = [key for key in known if key.fingerprint == shown]
        if any(key.revoked for key in same):
            raise self._refuse(f"the host key of {self.host} is revoked ({shown})", "ask who runs the host")
        if same:
            return
        if any(not key.revoked for key in known):
            raise self._changed(next(key for key in known if not key.revoked), shown)
        if not self.accept_new:
            raise self._unknown(kind, shown)
        learn(Path(self.user_files[0]).expanduser(), self.name, kind, data)

    def _unknown(self, kind: str, shown: str) -> HostUnreachable:
        port = f"-p {self.port} " if self.port != 22 else ""
        return self._refuse(
            f"the host key of {self.host} ({self.name}) is not known: {kind} {shown}",
            f"compare it with the host's own (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub), then use --accept-new, or: "
            f"ssh-keyscan {port}{self.address} >> {self.user_files[0]}",
        )

    def _changed(self, expected: KnownKey, shown: str) -> HostUnreachable:
        return self._refuse(
            f"the host key of {self.host} ({self.name}) HAS CHANGED: on record is {expected.kind} "
            f"{expected.fingerprint}, the host shows {shown}; somebody may be in between",
            f"only if the host was reinstalled: ssh-keygen -f {self.user_files[0]} -R '{self.name}'",
        )

    def _refuse(self, what: str, hint: str) -> HostUnreachable:
        return HostUnreachable(what, where=Where(host=self.host), hint=hint)


class Policy(paramiko.MissingHostKeyPolicy):
    """Asks ``HostKeys`` about every key: the client is given none of its own to compare with."""

    def __init__(self, keys: HostKeys) -> None:
        self._keys = keys

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Check the key that the host has shown."""
        self._keys.check(key.get_name(), key.asbytes())

    def transport(self, sock: Any, **options: Any) -> paramiko.Transport:
        """Make a transport that asks the host for a key of a kind on record."""
        transport = paramiko.Transport(prompt(sock), **options)
        algorithms = transport.get_security_options()
        first = [kind for kind in self._keys.kinds() if kind in algorithms.key_types]
        if first:
            algorithms.key_types = [*first, *(kind for kind in algorithms.key_types if kind not in first)]
        return transport
