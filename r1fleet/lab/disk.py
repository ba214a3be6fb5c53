"""A host's disk: an overlay over the base image, with the host's own identity."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from r1fleet.command import cmd
from r1fleet.errors import LabError
from r1fleet.lab.layout import Lab, LabHost
from r1fleet.lab.recipe import USERS
from r1fleet.lab.shell import run, succeeds

_HOST_KEY = "etc/ssh/ssh_host_ed25519_key"
# A host that is told to reboot waits no longer for a process that does not end; systemd's own 90 s outlast a rehearsal.
_PATIENCE = "[Manager]\nDefaultTimeoutStopSec=15s\n"
_LAYERS = ("base", "layer")
"""Links in a host's folder to what its disk stands on, the lowest first."""


def make_key(path: Path, comment: str) -> None:
    """Make an ed25519 key pair unless a whole one is there."""
    public = path.with_name(f"{path.name}.pub")
    if path.exists() and public.exists():
        return
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    run(cmd("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)))


def public_key(path: Path) -> str:
    """Return a key's public half: type and key, without the comment."""
    return " ".join(path.with_name(f"{path.name}.pub").read_text(encoding="utf-8").split()[:2])


def true_key(host: LabHost) -> str:
    """Return the host's own public key, read from its disk and not from the network."""
    return public_key(host.upper / _HOST_KEY)


def mount_disk(lab: Lab, host: LabHost, layers: Sequence[Path]) -> None:
    """Mount the host's root; a disk that exists is kept with the base image, and the layers over it, it was made on.

    The base image is the first of ``layers``; without any, they are the disk's own.
    """
    if os.path.ismount(host.root):
        return
    lower = ":".join(str(layer) for layer in reversed(_settle_layers(lab, host, layers)))
    for folder in (host.upper, host.folder / "work", host.root, *([host.docker] if lab.docker else [])):
        folder.mkdir(parents=True, exist_ok=True)
    host.upper.chmod(0o755)
    _give_identity(lab, host)
    options = f"lowerdir={lower},upperdir={host.upper},workdir={host.folder / 'work'}"
    if set(",:\\") & set(str(host.folder)):
        raise LabError(f"the cache folder {lab.folder} holds a comma, colon or backslash", hint="set R1FLEET_CACHE")
    if not succeeds(cmd("mount", "-t", "overlay", {"-o": options}, f"{lab.cgroup}-{host.name}", str(host.root))):
        hint = "set R1FLEET_CACHE to a folder on a plain local file system such as ext4 or xfs"
        raise LabError(f"overlayfs cannot use {lab.folder} for a host's disk", hint=hint)


def erase_disk(host: LabHost) -> None:
    """Remove all that the host has written."""
    if host.folder.exists():
        shutil.rmtree(host.folder)


def _settle_layers(lab: Lab, host: LabHost, layers: Sequence[Path]) -> list[Path]:
    kept = [link.readlink() for link in (host.folder / name for name in _LAYERS) if link.is_symlink()]
    if kept and all(layer.is_dir() for layer in kept):
        return kept
    if not layers:
        raise LabError(f"host {host.name} of lab {lab.name} was never booted", hint="r1fleet lab up")
    erase_disk(host)
    host.folder.mkdir(parents=True, mode=0o700)
    for name, layer in zip(_LAYERS, layers, strict=False):
        (host.folder / name).symlink_to(layer)
    return list(layers)


def _give_identity(lab: Lab, host: LabHost) -> None:
    make_key(host.upper / _HOST_KEY, host.name)
    for folder in ("etc", "etc/ssh", "etc/systemd/system.conf.d", "home"):
        (host.upper / folder).mkdir(parents=True, exist_ok=True)
    _write_once(host.upper / "etc/systemd/system.conf.d/lab.conf", _PATIENCE)
    _write_once(host.upper / "etc/hostname", f"{host.name}\n")
    names = f"127.0.0.1 localhost\n{host.address} {host.name}\n{lab.gateway} controller\n"
    _write_once(host.upper / "etc/hosts", names)
    for user, number in {"root": 0, **USERS}.items():
        home = host.upper / ("root" if user == "root" else f"home/{user}")
        _admit(home, number, public_key(lab.key))


def _admit(home: Path, number: int, key: str) -> None:
    """Let the lab's key log in to ``home``."""
    folder = home / ".ssh"
    folder.mkdir(parents=True, exist_ok=True)
    _write_once(folder / "authorized_keys", f"{key}\n")
    for path in (home, folder):
        path.chmod(0o700)
    for path in (home, folder, folder / "authorized_keys"):
        os.chown(path, number, number)
    (folder / "authorized_keys").chmod(0o600)


def _write_once(path: Path, text: str) -> None:
    """Write a file of the host's, unless a play has changed it since."""
    if not path.exists():
        path.write_text(text, encoding="utf-8")
