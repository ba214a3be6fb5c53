"""Checks of disks, memory, clocks, package tools, containers and what is left of earlier launches."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from r1fleet.facts.system import Disk
from r1fleet.preflight.check import Check, Seen, Site, Verdict

_GIB: Final = 1 << 30
_SHM_BYTES: Final = 16 * _GIB
_SHM_LEAST: Final = 1 * _GIB
CLOCK_SECONDS: Final = 5.0
_FILES: Final = 65536


def _room(site: Site) -> Seen | None:
    if site.want is None or not site.want.room:
        return None
    short, known = [], []
    for path, need in site.want.room.items():
        disk = site.report.disks.get(path)
        if disk is None or disk.free is None:
            continue
        known.append(f"{_size(disk.free)} free for {path}")
        if disk.free < need:
            short.append(f"{path} on {disk.mount}: {_size(disk.free)} free, {_size(need)} needed")
    if not known:
        return Seen(None, "no file system tells its free space")
    return Seen(not short, "; ".join(short or known))


def _writable(site: Site) -> Seen | None:
    if not site.report.disks:
        return None
    shut = [f"{disk.path} on {disk.mount}" for disk in site.report.disks.values() if disk.read_only]
    full = [disk.path for disk in site.report.disks.values() if disk.inodes_free == 0]
    said = [*(f"read-only: {where}" for where in shut), *(f"no inodes left: {where}" for where in full)]
    return Seen(not said, "; ".join(said) if said else "writable")


def _slow_storage(site: Site) -> Seen | None:
    disk = _weights(site)
    if disk is None:
        return None
    return Seen(not disk.remote, f"{disk.path} is on {disk.kind or 'an unknown file system'} ({disk.source})")


def _shm(site: Site) -> Seen | None:
    want = site.want
    if want is None or want.devices < 2:
        return None
    if want.runtime == "docker" and not want.host_ipc:
        if want.shm_bytes is None:
            return Seen(False, "the container has docker's 64 MiB")
        return Seen(want.shm_bytes >= _SHM_LEAST, f"the container has {_size(want.shm_bytes)}")
    disk = site.report.disks.get("/dev/shm")
    if disk is None or disk.total is None:
        return Seen(None, "/dev/shm tells nothing")
    least = _SHM_LEAST if want.accelerator == "cpu" else _SHM_BYTES
    free = disk.free if disk.free is not None else disk.total
    return Seen(free >= least, f"/dev/shm has {_size(free)} free, {_size(least)} wanted")


def _supervisor(site: Site) -> Seen | None:
    if site.want is None or site.want.runtime != "venv":
        return None
    return Seen(site.report.systemd, "systemd is process 1" if site.report.systemd else "systemd is not process 1")


def _open_files(site: Site) -> Seen | None:
    """Hold systemd's limit against what a rank opens: a connection per peer, a file per shard, and many more."""
    if site.want is None or site.want.runtime != "venv":
        return None
    text = site.report.default_limits.get("DefaultLimitNOFILE", "")
    limit = _FILES if text == "infinity" else int(text) if text.isdigit() else site.report.nofile
    if limit is None:
        return Seen(None, "no limit of open files is told")
    return Seen(limit >= _FILES or limit < 0, f"a rank may open {text or limit} files")


def _clock(site: Site) -> Seen | None:
    report = site.report
    off = abs(report.offset) - report.offset_error
    said = f"{report.offset:+.1f} s against the controller, within {report.offset_error:.1f} s"
    return Seen(off <= CLOCK_SECONDS, said)


def _package_lock(site: Site) -> Seen | None:
    if site.report.packages is None:
        return None
    held = [f"{lock['path']} by pid {lock['pid']} ({lock['command'] or 'unknown'})" for lock in site.report.locks]
    return Seen(not held, "; ".join(held[:2]) if held else "free")


def _docker(site: Site) -> Seen | None:
    if site.want is None or site.want.runtime != "docker":
        return None
    docker = site.report.docker
    if not docker.installed:
        return Seen(False, "docker is not installed")
    return Seen(not docker.problem, docker.problem or f"docker {docker.version}")


def _snap(site: Site) -> Seen | None:
    if site.want is None or site.want.runtime != "docker" or not site.report.docker.installed:
        return None
    return Seen(not site.report.docker.snap, "docker comes from snap" if site.report.docker.snap else "not from snap")


def _gpu_runtime(site: Site) -> Seen | None:
    docker = site.report.docker
    if site.want is None or site.want.runtime != "docker" or not site.gpus or not docker.version:
        return None
    ways = [name for name in docker.runtimes if "nvidia" in name] + list(site.report.cdi)
    said = ", ".join(ways) if ways else f"docker knows {', '.join(docker.runtimes) or 'no runtime'} and no CDI file"
    return Seen(bool(ways), said)


def _image_cuda(site: Site) -> Seen | None:
    """An image's CUDA must be no newer than the driver's, and, where images are built here, than nvcc's."""
    if site.want is None or not site.want.image_cuda or not site.gpus:
        return None
    nvidia = site.report.nvidia
    if not nvidia.cuda:
        return Seen(None, "the driver does not tell which CUDA it supports")
    bounds = {"the driver": nvidia.cuda, **({"nvcc": nvidia.toolkit} if nvidia.toolkit else {})}
    name, bound = min(bounds.items(), key=lambda pair: _pair(pair[1]))
    good = _pair(site.want.image_cuda) <= _pair(bound)
    return Seen(good, f"image {site.want.image_cuda}, {name} {bound}", {"bound": ".".join(map(str, _pair(bound)))})


def _answered(kind: str) -> Callable[[Site], Seen | None]:
    """Take what the host itself answered to looks of one kind."""

    def look(site: Site) -> Seen | None:
        found = [answer for answer in site.ground.answers.get(site.host, ()) if answer.kind == kind]
        if not found:
            return None
        bad = [answer.detail for answer in found if not answer.ok]
        name = site.want.deployment if site.want else ""
        return Seen(
            not bad,
            "; ".join(bad) or "; ".join(a.detail for a in found if a.detail) or "as it should be",
            {"name": name},
        )

    return look


def _weights(site: Site) -> Disk | None:
    return site.report.disks.get(site.want.weights) if site.want and site.want.weights else None


def _pair(version: str) -> tuple[int, int]:
    numbers = [int(part) for part in re.findall(r"\d+", version)[:2]]
    return (numbers[0] if numbers else 0, numbers[1] if len(numbers) > 1 else 0)


def _size(count: int) -> str:
    return f"{count / _GIB:.1f} GiB" if count >= _GIB else f"{count / (1 << 20):.0f} MiB"


# fmt: off
CHECKS: Final = (
    Check("user", "a deployment", Verdict.FAIL, "the ranks' user is not there", "r1fleet provision INVENTORY",
          _answered("user")),
    Check("container", "a kept container", Verdict.FAIL, "there is nowhere to start the engine",
          "r1fleet stop {name}, then r1fleet provision INVENTORY --tags image,engine", _answered("container")),
    Check("executable", "a deployment in a venv", Verdict.FAIL, "the engine is not installed",
          "r1fleet provision INVENTORY",
          _answered("executable")),
    Check("input", "a job", Verdict.FAIL, "what the job reads is not there: prompts, scripts, a converted checkpoint",
          "put it there; what convert.py makes: r1fleet sync -i INVENTORY", _answered("input")),
    Check("model", "a deployment", Verdict.FAIL, "the weights are not there, at the same path on every host",
          "r1fleet sync -i INVENTORY (r1fleet provision INVENTORY makes the tiny models), or correct model_path",
          _answered("model")),
    Check("weights-sound", "a deployment", Verdict.FAIL,
          "a file of the model is no such file: a git-lfs pointer, cut short, or missing",
          "r1fleet weights verify -i INVENTORY --unseal, then r1fleet sync -i INVENTORY", _answered("weights")),
    Check("resolves", "several hosts that meet by name", Verdict.FAIL, "the leader's name means something else here",
          "put the name into /etc/hosts of {host} or into the DNS, or set r1fleet_address to an address",
          _answered("resolves")),
    Check("leftovers", "a deployment", Verdict.FAIL, "ranks of an earlier generation still run", "r1fleet stop {name}",
          _answered("leftovers")),
    Check("room", "a deployment", Verdict.FAIL, "not enough space",
          "free space there, or set weights_dir to a larger disk", _room),
    Check("writable", "always", Verdict.FAIL, "nothing can be written there",
          "ssh {host} 'mount | grep ro,; sudo dmesg | tail'",
          _writable),
    Check("slow-storage", "weights on shared storage", Verdict.WARN,
          "one slow node holds up all: loading from cold shared storage may pass the engine's time limit",
          "copy them to a local disk, or raise timeouts: load in the deployment", _slow_storage),
    Check("shm", "several devices on one host", Verdict.FAIL,
          "NCCL and the ranks share memory there: No space left on device",
          "container: {ipc: host} or shm_size: 32g; without docker: sudo mount -o remount,size=32g /dev/shm", _shm),
    Check("systemd", "a deployment in a venv", Verdict.FAIL, "there is nothing that keeps a service alive",
          "write runtime: unsupervised, or launch: it takes that by itself",
          _supervisor),
    Check("open-files", "a deployment in a venv", Verdict.WARN, "large models over many ranks run out of open files",
          "set DefaultLimitNOFILE=1048576 in /etc/systemd/system.conf.d/ on {host}, then systemctl daemon-reexec",
          _open_files),
    Check("clock", "always", Verdict.WARN, "logs of hosts cannot be compared, certificates and tokens may be refused",
          "ssh {host} sudo timedatectl set-ntp true", _clock),
    Check("package-lock", "apt, dpkg, rpm", Verdict.WARN, "provisioning would wait for it",
          "wait for it to end; what holds it is named above", _package_lock),
    Check("docker", "the docker runtime", Verdict.FAIL, "docker is not there or does not answer",
          "r1fleet provision INVENTORY --tags docker", _docker),
    Check("snap-docker", "the docker runtime", Verdict.FAIL, "docker from snap cannot give GPUs to containers",
          "ssh {host} sudo snap remove docker, then r1fleet provision INVENTORY --tags docker", _snap),
    Check("gpu-runtime", "docker with NVIDIA GPUs", Verdict.FAIL,
          "docker would say: could not select device driver with capabilities: gpu",
          "r1fleet provision INVENTORY --tags docker", _gpu_runtime),
    Check("image-cuda", "an image with CUDA in its tag", Verdict.FAIL,
          "the image's CUDA is newer than what this host supports: unsatisfied condition: cuda>=",
          "take a tag with CUDA {bound} or older, or a newer driver", _image_cuda),
)
