"""The one file with Fabric: it opens a connection as the user's ssh_config, keys and agent say."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import paramiko
from fabric import Config, Connection

from r1fleet.errors import HostUnreachable
from r1fleet.ssh import causes
from r1fleet.ssh.config import ssh_config
from r1fleet.ssh.hostkeys import HostKeys, Policy
from r1fleet.ssh.knownhosts import SYSTEM_FILES, USER_FILES
from r1fleet.ssh.target import CONNECT_SECONDS, Target

_KEEPALIVE_SECONDS = 5

# Paramiko logs what it also raises, with tracebacks; what is raised is told once, in our words.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
logging.getLogger("paramiko").propagate = False


class Door:
    """One open connection to one host, with the gateways before it."""

    def __init__(self, target: Target, *, accept_new: bool = False) -> None:
        self._target = target
        self._accept_new = accept_new
        self._connection = self._prepare(target.address, target.user, target.port, self._gateway())

    @property
    def user(self) -> str:
        """The user that logs in."""
        return str(self._connection.user)

    def open(self) -> paramiko.Transport:
        """Connect and log in; raise HostUnreachable with cause and hint."""
        place = f"{self._connection.host}:{self._connection.port}"
        try:
            self._connection.open()
        except HostUnreachable:
            self.close()
            raise
        except causes.FAILURES as error:
            self.close()
            raise causes.unreachable(self._target.name, place, self.user, self._seconds, error) from error
        transport: paramiko.Transport = self._connection.transport
        transport.set_keepalive(_KEEPALIVE_SECONDS)
        return transport

    def close(self) -> None:
        """Close the connection and its gateways."""
        connection: Any = self._connection
        while isinstance(connection, Connection):
            connection.client.close()
            connection = connection.gateway

    @property
    def _seconds(self) -> int:
        return int(self._connection.connect_timeout or CONNECT_SECONDS)

    def _gateway(self) -> Any:
        """Return the last gateway before the host, None for none, or ssh_config's ProxyCommand."""
        said = ssh_config().lookup(self._target.address)
        jump = self._target.jump or said.get("proxyjump")
        if jump is None and "proxycommand" in said:
            return None  # Fabric reads it itself
        before: Any = False
        if jump and jump.lower() != "none":
            for hop in jump.split(","):
                before = self._prepare(hop.strip().removeprefix("ssh://"), None, None, before)
        return before

    def _prepare(self, address: str, user: str | None, port: int | None, gateway: Any) -> Connection:
        """Make a connection, not yet open, that trusts only keys on record."""
        # Fabric's Config is not safe to share between threads; the parsed ssh_config within it is only read.
        config = Config(ssh_config=ssh_config(), lazy=True)
        connection = Connection(
            address, user=user, port=port, config=config, gateway=gateway, connect_kwargs=self._login(address)
        )
        connection.connect_timeout = self._target.timeout or connection.connect_timeout or CONNECT_SECONDS
        policy = Policy(self._host_keys(connection))
        connection.client.set_missing_host_key_policy(policy)
        connection.connect_kwargs["transport_factory"] = policy.transport
        return connection

    def _login(self, address: str) -> dict[str, Any]:
        only_named = ssh_config().lookup(address).get("identitiesonly", "no") == "yes"
        seconds = self._target.timeout or CONNECT_SECONDS
        return {
            "key_filename": [str(Path(key).expanduser()) for key in self._target.keys],
            "password": self._target.password,
            "allow_agent": not only_named,
            "look_for_keys": not only_named,
            "banner_timeout": seconds,
            "auth_timeout": seconds,
            "channel_timeout": seconds,
        }

    def _host_keys(self, connection: Connection) -> HostKeys:
        said = connection.ssh_config
        user_files = self._target.known_hosts or tuple(said.get("userknownhostsfile", "").split()) or USER_FILES
        return HostKeys(
            host=self._target.name,
            address=connection.host,
            port=connection.port,
            user_files=user_files,
            system_files=tuple(said.get("globalknownhostsfile", "").split()) or SYSTEM_FILES,
            alias=said.get("hostkeyalias", ""),
            accept_new=self._accept_new,
        )
