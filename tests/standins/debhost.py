"""Dresses a lab host as Ubuntu, Debian or WSL2: another os-release, an archive of stand-ins, PCI devices in a folder.

Real there: apt, dpkg, gpgv, systemd. All that apt sees is a stand-in; the machine's own sources are taken away.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from r1fleet.lab import Lab
from tests.standins.aptrepo import Signer, write_dists
from tests.standins.deb import Deb
from tests.standins.outputs import WSL_SMI
from tests.standins.server import Served

PCI = "srv/stand-in/pci"
LOADED = "/run/stand-in/nvidia"
"""Where a stand-in of the kernel module tells its version."""

GPUS = {
    "8xH200": ["10de 2335 030200"] * 8 + ["10de 22a3 068000"] * 4,
    "1xL40S": ["10de 26b9 030200"],
    "8xB200": ["10de 2901 030200"] * 8,
    "4070TiS": ["10de 2705 030000"],
    "unknown": ["10de ffff 030200"],
    "none": ["8086 1533 020000"],
}
_UBUNTU = """\
PRETTY_NAME="Ubuntu {0} LTS"
NAME="Ubuntu"
VERSION_ID="{0}"
VERSION="{0} LTS"
VERSION_CODENAME={1}
ID=ubuntu
ID_LIKE=debian
"""
RELEASES = {
    "ubuntu2204": _UBUNTU.format("22.04", "jammy"),
    "ubuntu2404": _UBUNTU.format("24.04", "noble"),
    "ubuntu2510": _UBUNTU.format("25.10", "questing"),
    "debian12": "",
}
_UPDATE_INITRAMFS = '#!/bin/sh\necho "$*" >> /var/log/stand-in-initramfs.log\n'
_MOKUTIL = (
    '#!/bin/sh\ncat /srv/stand-in/secure-boot 2>/dev/null || echo "EFI variables are not supported on this system"\n'
)


def archive(folder: Path, signer: Signer, more: Iterable[Deb] = ()) -> None:
    """Write the distribution's own archive: what the roles take from it, and ``more``."""
    write_dists(folder, [*_archive(), *more], signer, "stand-in", "main")


def _archive() -> Iterator[Deb]:
    kernel = platform.release()
    yield Deb("gcc", "4:13.2.0-7")
    yield Deb("dkms", "3.0.11-1", {"Depends": "gcc"}, architecture="all")
    yield Deb(f"linux-headers-{kernel}", "6.8.0-1")
    yield Deb("initramfs-tools", "0.142", programs={"/usr/sbin/update-initramfs": _UPDATE_INITRAMFS})
    yield Deb("mokutil", "0.6.0-2", programs={"/usr/bin/mokutil": _MOKUTIL})


@dataclass(frozen=True, slots=True)
class Dressed:
    """A lab host that looks like another one."""

    lab: Lab
    name: str

    @property
    def root(self) -> Path:
        """Its disk, seen from here."""
        return self.lab.host(self.name).root

    def write(self, path: str, content: str | bytes) -> None:
        """Write a file on it."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)

    def read(self, path: str) -> str:
        """Read a file of it."""
        return (self.root / path.lstrip("/")).read_text()


def dress(lab: Lab, name: str, release: str, served: Served, key: bytes) -> Dressed:
    """Dress a host; its archive is ``archive/`` of what is served, signed with ``key``."""
    host = Dressed(lab, name)
    if RELEASES[release]:
        (host.root / "etc/os-release").unlink(missing_ok=True)
        host.write("etc/os-release", RELEASES[release])
    (host.root / "etc/apt/sources.list.d/lab.sources").unlink(missing_ok=True)
    host.write("usr/share/keyrings/stand-in.gpg", key)
    host.write(
        "etc/apt/sources.list.d/stand-in.list",
        f"deb [signed-by=/usr/share/keyrings/stand-in.gpg] {served.url}/archive stand-in main\n",
    )
    return host


def plug(host: Dressed, gpus: str) -> None:
    """Put PCI devices into the folder that the variable hardware_pci names in tests."""
    for path, text in devices(GPUS[gpus]):
        host.write(f"{PCI}/{path}", text)


def devices(rows: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the files by which the kernel tells of PCI devices: paths below its folder, and contents."""
    for number, device in enumerate(rows):
        for name, value in zip(("vendor", "device", "class"), device.split(), strict=True):
            yield f"0000:{number:02x}:00.0/{name}", f"0x{value}\n"


def make_wsl(host: Dressed) -> None:
    """Put Windows' nvidia-smi where WSL2 has it."""
    host.write("usr/lib/wsl/lib/nvidia-smi", WSL_SMI)
    (host.root / "usr/lib/wsl/lib/nvidia-smi").chmod(0o755)
