"""What a lab host's disk is made of; a change here makes a new base image."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from r1fleet.lab.layout import LOCKED_USER, USER
from r1fleet.lab.sources import Source, apt_options, codename, keyrings, machine_sources

PACKAGES = (
    "ca-certificates",
    "dbus",
    "gnupg",
    "iproute2",
    "iputils-ping",
    "kmod",
    "less",
    "netbase",
    "nftables",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
    "udev",
)

USERS = {USER: 1000, LOCKED_USER: 1001}

MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty.target",
    "motd-news.timer",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "systemd-udev-trigger.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-udevd.service",
    "systemd-update-utmp-runlevel.service",
    "systemd-update-utmp.service",
)
"""Units that a container has no use for, or whose wake-ups would blur a measurement."""

FILES = {
    "etc/hostname": "",
    "etc/machine-id": "",
    "etc/resolv.conf": "",
    "etc/ssh/sshd_config.d/lab.conf": (
        "HostKey /etc/ssh/ssh_host_ed25519_key\n"
        "UseDNS no\n"
        "PermitRootLogin prohibit-password\n"
        "PasswordAuthentication no\n"
        "KbdInteractiveAuthentication no\n"
        "PrintLastLog no\n"
    ),
    # Apart, so that a test can remove it and meet sshd's own limits.
    "etc/ssh/sshd_config.d/lab-limits.conf": "MaxSessions 64\nMaxStartups 200:30:400\n",
    "etc/sudoers.d/lab": f"{USER} ALL=(ALL:ALL) NOPASSWD: ALL\n{LOCKED_USER} ALL=(ALL:ALL) ALL\n",
    # Kept over a reboot, in small files: a journal's first file is made at full size.
    "etc/systemd/journald.conf.d/lab.conf": (
        "[Journal]\nStorage=persistent\nSystemMaxUse=64M\nSystemMaxFileSize=1M\nRuntimeMaxFileSize=512K\n"
    ),
}

_PAM_LEFT_OUT = ("pam_motd", "pam_mail", "pam_systemd")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides a base image, as plain data."""

    release: str
    sources: tuple[Source, ...]
    options: dict[str, str]
    keys: dict[str, str]
    certificates: str

    @property
    def digest(self) -> str:
        """A short hash that changes whenever the image would."""
        code = [path.read_text(encoding="utf-8") for path in (Path(__file__), Path(__file__).with_name("settle.py"))]
        decided = [asdict(self), code]
        return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()[:12]

    def sources_text(self) -> str:
        """The hosts' apt sources: the machine's own, in deb822 style."""
        return "\n".join(source.render() for source in self.sources)

    def options_text(self) -> str:
        """The hosts' apt settings, as apt.conf lines."""
        return "".join(f'{name} "{value}";\n' for name, value in sorted(self.options.items()))


def machine_recipe() -> Recipe:
    """Read from this machine what its lab hosts are to be made of."""
    sources = machine_sources()
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    return Recipe(
        release=codename(),
        sources=sources,
        options=apt_options(),
        keys={str(path): _hash(path) for path in keyrings(sources)},
        certificates=_hash(bundle) if bundle.is_file() else "",
    )


def quieter_pam(text: str) -> str:
    """Comment out what makes a login slow and keeps a session process for each."""
    return "".join(
        f"#{line}" if any(name in line for name in _PAM_LEFT_OUT) and not line.startswith("#") else line
        for line in text.splitlines(keepends=True)
    )


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
