"""The docker layer: what a host with a docker engine has over the base image, built once per base image."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from pathlib import Path

from r1fleet.cache import cache_dir, cache_lock
from r1fleet.command import Command, cmd
from r1fleet.errors import LabError
from r1fleet.events import Observer, Step
from r1fleet.lab.mounts import unmount_below
from r1fleet.lab.shell import environment
from r1fleet.lab.sources import apt_proxy

PACKAGES = ("docker.io", "iptables", "libnuma1", "python3-venv")
LAYER_SPACE = 1 << 30
"""What the layer may take while it is built, in bytes; 320 MB of it stay."""

HOST_SPACE = 256 << 20
"""What an engine without images may take of each host, in bytes."""

_STEP = "build the docker layer"
_GIB = 1 << 30

# In a mount namespace of its own, which ends with the build: the overlay, what apt needs of a running system, and
# the kept packages. `exit 101` keeps Debian from starting services in a tree that runs nothing.
_BUILD = r"""
set -eu
base=$1 upper=$2 work=$3 root=$4 packages=$5
shift 5
mount -t overlay -o "lowerdir=$base,upperdir=$upper,workdir=$work" r1fleet-layer "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mkdir -p "$root/var/cache/apt/archives" "$packages/partial"
mount --bind "$packages" "$root/var/cache/apt/archives"
[ ! -s /etc/resolv.conf ] || mount --bind "$(readlink -f /etc/resolv.conf)" "$root/etc/resolv.conf"
[ ! -s /etc/hosts ] || mount --bind /etc/hosts "$root/etc/hosts"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 0755 "$root/usr/sbin/policy-rc.d"
chroot "$root" apt-get "$@" update
chroot "$root" apt-get "$@" install $PACKAGES
rm -f "$root/usr/sbin/policy-rc.d"
find "$root/var/lib/apt/lists" -mindepth 1 -delete
find "$root/var/log" -type f -delete
"""

# Containers get control groups of their own; nspawn mounts those hierarchies read-only. Docker and containerd wait.
_UNIT_NAME = "lab-cgroups.service"
_UNIT = """\
[Unit]
Description=Give the docker engine its control groups
DefaultDependencies=no
After=local-fs.target
Before=containerd.service docker.service docker.socket

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'mount -o remount,rw /sys/fs/cgroup; \\
  for group in /sys/fs/cgroup/*; do ! mountpoint -q "$group" || mount -o remount,rw,bind "$group"; done'

[Install]
WantedBy=sysinit.target
"""


def ensure_layer(base: Path, observer: Observer) -> Path:
    """Return the docker layer over ``base``, built if absent, and remove layers that no host uses."""
    layer = cache_dir("lab-bases") / f"docker-{_digest(base)}"
    with cache_lock("lab-layer"):
        _remove_unused(layer)
        if not layer.is_dir():
            require_space(layer.parent, LAYER_SPACE, "the docker layer")
            _build(base, layer, observer)
    return layer


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raise LabError if the file system of ``folder`` has less room than ``needed`` bytes."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise LabError(
            f"{what} needs {needed / _GIB:.2f} GiB below {folder}, and {free / _GIB:.2f} GiB are free",
            hint="make room, or set R1FLEET_CACHE to a folder on another disk",
        )


def _digest(base: Path) -> str:
    decided = f"{base.name}\n{Path(__file__).read_text(encoding='utf-8')}"
    return hashlib.sha256(decided.encode()).hexdigest()[:12]


def _build(base: Path, layer: Path, observer: Observer) -> None:
    began = time.monotonic()
    building = layer.with_name(f".{layer.name}.{os.getpid()}")
    observer(Step(_STEP, detail=f"{', '.join(PACKAGES)}, once"))
    for name in ("upper", "work", "root"):
        (building / name).mkdir(parents=True, mode=0o755)
    try:
        _install(_build_command(base, building))
        _add_unit(building / "upper")
        (building / "upper").rename(layer)
    except LabError:
        observer(Step(_STEP, "failed"))
        raise
    finally:
        _discard(building)
    observer(Step(_STEP, "done", detail=str(layer), seconds=time.monotonic() - began))


def _build_command(base: Path, building: Path) -> Command:
    proxy = apt_proxy()
    return cmd(
        ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"],
        ["sh", "-c", _BUILD, "r1fleet-lab-layer"],
        [str(base), *(str(building / name) for name in ("upper", "work", "root")), str(cache_dir("lab-packages"))],
        ["-qq", "-y", "--no-install-recommends"],
        {"-o": ["APT::Sandbox::User=root", "Dpkg::Options::=--force-unsafe-io", "Acquire::Retries=3"]},
        ["-o", f"Acquire::http::Proxy={proxy}"] if proxy else None,
    )


def _install(command: Command) -> None:
    env = {**environment(), "DEBIAN_FRONTEND": "noninteractive", "PACKAGES": " ".join(PACKAGES)}
    try:
        done = subprocess.run(
            command.argv, stdin=subprocess.DEVNULL, capture_output=True, env=env, text=True, errors="replace",
            timeout=900, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise LabError("the docker layer was not built within 900 s", hint="does `apt-get update` work?") from error
    if done.returncode != 0:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        hint = "does `apt-get update` work on this machine?"
        raise LabError("the docker layer could not be built:\n" + "\n".join(lines[-8:]), hint=hint)


def _add_unit(upper: Path) -> None:
    units = upper / "etc/systemd/system"
    wants = units / "sysinit.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    (units / _UNIT_NAME).write_text(_UNIT, encoding="utf-8")
    (wants / _UNIT_NAME).symlink_to(f"../{_UNIT_NAME}")


def _remove_unused(current: Path) -> None:
    used = {current, *(link.readlink() for link in cache_dir("lab").glob("*/hosts/*/layer"))}
    for path in current.parent.glob("docker-*"):
        if path not in used:
            path.rename(path.with_name(f".{path.name}.unused"))
    for path in current.parent.glob(".docker-*"):  # unused, or left by a build that was killed
        _discard(path)


def _discard(path: Path) -> None:
    """Remove a tree, and nothing of the machine's that may be mounted in it."""
    unmount_below(path)
    if path.exists():
        shutil.rmtree(path)
