"""Turn a plain Debian tree into a lab host's: users, sshd, quiet units, the machine's apt sources."""

from __future__ import annotations

import shutil
from pathlib import Path

from r1fleet.command import cmd
from r1fleet.lab.layout import LOCKED_PASSWORD, LOCKED_USER
from r1fleet.lab.recipe import FILES, MASKED, USERS, Recipe, quieter_pam
from r1fleet.lab.shell import run


def settle(recipe: Recipe, base: Path) -> None:
    """Make ``base`` what the recipe says, beyond its packages."""
    _settle_apt(recipe, base)
    _copy_certificates(base)
    for name, text in FILES.items():
        _write(base / name, text)
    (base / "etc/sudoers.d/lab").chmod(0o440)
    for unit in MASKED:
        _mask(base / "etc/systemd/system" / unit)
    for name in ("sshd", "common-session"):
        path = base / "etc/pam.d" / name
        path.write_text(quieter_pam(path.read_text(encoding="utf-8")), encoding="utf-8")
    for key_file in (base / "etc/ssh").glob("ssh_host_*"):
        key_file.unlink()
    for unit in ("dbus.service", "systemd-logind.service"):  # started by whoever asks for them, not at boot
        (base / "lib/systemd/system/multi-user.target.wants" / unit).unlink(missing_ok=True)
    _add_users(base)
    run(cmd("systemctl", {"--root": str(base)}, "enable", "ssh.service"))


def _settle_apt(recipe: Recipe, base: Path) -> None:
    """Put the machine's own sources, keys and settings in the place of what the build used."""
    apt = base / "etc/apt"
    built_with = [apt / "sources.list", apt / "apt.conf.d/99mmdebstrap", *(apt / "sources.list.d").iterdir()]
    for path in built_with:
        path.unlink(missing_ok=True)
    _write(apt / "sources.list.d/lab.sources", recipe.sources_text())
    _write(apt / "apt.conf.d/90lab", recipe.options_text())
    for key in recipe.keys:
        _copy(Path(key), base / key.lstrip("/"))


def _add_users(base: Path) -> None:
    for name, number in USERS.items():
        run(cmd("chroot", str(base), "useradd", {"--create-home": True, "--shell": "/bin/bash", "--uid": number}, name))
    run(cmd("chroot", str(base), "chpasswd"), stdin=f"{LOCKED_USER}:{LOCKED_PASSWORD}\n")


def _copy_certificates(base: Path) -> None:
    """Let hosts trust whom the machine trusts: packages may come by way of a private authority."""
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    if bundle.is_file():
        _copy(bundle, base / "etc/ssl/certs/ca-certificates.crt")
    for path in Path("/usr/local/share/ca-certificates").glob("*.crt"):
        _copy(path, base / "usr/local/share/ca-certificates" / path.name)


def _mask(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/null")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o644)
