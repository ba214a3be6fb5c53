"""A lab's names, addresses and files: everything follows from its name, its number and where the cache is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from r1fleet.command import Command, cmd
from r1fleet.errors import LabError

USER = "lab"
"""Logs in by key and may use sudo without a password."""

LOCKED_USER = "locked"
"""Logs in by key; its sudo asks for a password."""

LOCKED_PASSWORD = "rehearsal"
"""What the sudo of ``LOCKED_USER`` wants to hear; no host takes a password over SSH."""

MOST_HOSTS = 240
NUMBERS = 256
INTERFACE = "eth0"
PROXY_PORT = 3128

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


@dataclass(frozen=True, slots=True)
class LabHost:
    """One host of a lab: the inventory's name and the address for SSH and for ranks."""

    name: str
    address: str
    namespace: str
    folder: Path

    @property
    def upper(self) -> Path:
        """What this host has changed over the base image: its disk."""
        return self.folder / "upper"

    @property
    def root(self) -> Path:
        """Where the host's root file system is mounted."""
        return self.folder / "root"

    @property
    def docker(self) -> Path:
        """What the host sees as /var/lib/docker: overlays cannot stand on the overlay that its disk is."""
        return self.folder / "docker"

    @property
    def console(self) -> Path:
        """What the host's boot has written."""
        return self.folder / "console.log"


@dataclass(frozen=True, slots=True)
class Lab:
    """One lab: ``number`` picks its network 10.77.<number>.0/24 and all names that the kernel sees.

    ``docker`` tells whether its hosts have a docker engine.
    """

    name: str
    number: int
    size: int
    folder: Path
    docker: bool = False

    @property
    def hosts(self) -> tuple[LabHost, ...]:
        """Its hosts, h1 to hN."""
        return tuple(self._host(index) for index in range(1, self.size + 1))

    @property
    def prefix(self) -> str:
        """Its network."""
        return f"10.77.{self.number}.0/24"

    @property
    def gateway(self) -> str:
        """The controller's address on its network."""
        return f"10.77.{self.number}.1"

    @property
    def interface(self) -> str:
        """Its only interface in the root namespace."""
        return f"r1l{self.number}"

    @property
    def cgroup(self) -> str:
        """The name of its control group."""
        return f"r1lab{self.number}"

    @property
    def switch(self) -> str:
        """The namespace that holds its bridge."""
        return f"{self.cgroup}-switch"

    @property
    def key(self) -> Path:
        """The private key that every host takes."""
        return self.folder / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The hosts' true keys."""
        return self.folder / "known_hosts"

    @property
    def inventory(self) -> Path:
        """The inventory: its stem is the cluster's name."""
        return self.folder / "inventories" / f"{self.name}.yaml"

    @property
    def proxy(self) -> str:
        """The URL of the hosts' only way to packages."""
        return f"http://{self.gateway}:{PROXY_PORT}"

    def host(self, name: str) -> LabHost:
        """Return the host called ``name``; LabError that names the others."""
        for host in self.hosts:
            if host.name == name:
                return host
        names = ", ".join(host.name for host in self.hosts)
        raise LabError(f"lab {self.name} has no host {name}", hint=f"its hosts are {names}")

    def ssh(self, host: str, *words: str, user: str = USER, options: tuple[str, ...] = ()) -> Command:
        """Build the ssh command that reaches one host and accepts its true key only."""
        settings = {
            "UserKnownHostsFile": f'"{self.known_hosts}"',
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "IdentitiesOnly": "yes",
        }
        pairs = [f"{name}={value}" for name, value in settings.items()] + list(options)
        target = f"{user}@{self.host(host).address}"
        return cmd("ssh", "-F", "/dev/null", {"-i": str(self.key), "-o": pairs}, target, words and ["--", *words])

    def _host(self, index: int) -> LabHost:
        name = f"h{index}"
        address = f"10.77.{self.number}.{10 + index}"
        return LabHost(name, address, f"{self.cgroup}-{name}", self.folder / "hosts" / name)


def check_name(name: str) -> str:
    """Return ``name`` if a lab may be called so."""
    if not _NAME.fullmatch(name):
        hint = "at most 31 lower-case letters, digits and hyphens, beginning with a letter"
        raise LabError(f"{name!r} cannot be a lab's name", hint=hint)
    return name


def check_size(size: int) -> int:
    """Return ``size`` if a lab may have so many hosts."""
    if not 1 <= size <= MOST_HOSTS:
        raise LabError(f"a lab cannot have {size} hosts", hint=f"choose 1 to {MOST_HOSTS}")
    return size
