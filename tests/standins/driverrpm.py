"""Stand-ins for NVIDIA's rpm packages: branches are streams of a module, names carry none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tests.standins.deb import DAEMON
from tests.standins.outputs import nvidia_smi
from tests.standins.rpmrepo import Repository, Rpm, Stream

_NEW_UNITS = "systemctl daemon-reload"
_PARTS = ("nvidia-driver-cuda-libs", "nvidia-driver-libs", "nvidia-modprobe")


def cuda(versions: Iterable[str]) -> Repository:
    """Return NVIDIA's repository for RHEL-like 9: drivers of these versions, their fabric managers, a toolkit."""
    versions = list(versions)
    branches = sorted({version.split(".")[0] for version in versions})
    streams = tuple(Stream("nvidia-driver", f"{branch}-open", {"default": ("nvidia-open",)}) for branch in branches)
    toolkit = (Rpm("cuda-toolkit-12-8", "12.8.1", requires=("cuda-nvcc-12-8",)), Rpm("cuda-nvcc-12-8", "12.8.93"))
    rpms = [rpm for version in versions for rpm in (*_driver(version), *_fabric(version))]
    return Repository("cuda/repos/rhel9/x86_64", (*rpms, *toolkit), streams)


def toolkit(versions: Iterable[str]) -> Repository:
    """Return NVIDIA's repository of the container toolkit."""
    base, tools = "nvidia-container-toolkit-base", "libnvidia-container-tools"
    rpms = []
    for version in versions:
        needs = (f"{base} = {version}-1.el9", f"{tools} >= {version}-1.el9")
        rpms += [
            Rpm("nvidia-container-toolkit", version, requires=needs),
            Rpm(base, version),
            Rpm(tools, version, requires=(f"libnvidia-container1 >= {version}-1.el9",)),
            Rpm("libnvidia-container1", version),
        ]
    return Repository("toolkit/stable/rpm/x86_64", tuple(rpms))


def epel() -> Repository:
    """Return what dkms comes from."""
    return Repository("epel/9/Everything/x86_64", (Rpm("dkms", "3.0.13"),))


def base() -> Repository:
    """Return what the distribution itself has."""
    names = ("kernel-devel-matched", "kernel-headers", "python3-dnf-plugin-versionlock")
    shell = Rpm("bash", "5.1.8", provides=("/bin/sh",))
    return Repository("appstream", (shell, *(Rpm(name, "5.14.0") for name in names)))


def _driver(version: str) -> Iterator[Rpm]:
    stream = f"nvidia-driver:{version.split('.')[0]}-open"
    same = f"= 3:{version}-1.el9"
    unit = DAEMON.format(name="nvidia-persistenced", command="/bin/sleep infinity")
    yield from (Rpm(name, version, epoch=3, stream=stream) for name in _PARTS)
    yield Rpm(
        "nvidia-driver-cuda",
        version,
        epoch=3,
        stream=stream,
        requires=tuple(f"{name} {same}" for name in (*_PARTS, "nvidia-persistenced")),
        files={"/usr/share/stand-in/nvidia-smi": nvidia_smi(version)},
    )
    yield Rpm(
        "nvidia-persistenced",
        version,
        epoch=3,
        stream=stream,
        files={"/usr/lib/systemd/system/nvidia-persistenced.service": unit},
        post=_NEW_UNITS,
    )
    yield Rpm("kmod-nvidia-open-dkms", version, epoch=3, stream=stream, requires=("dkms",))
    needs = (f"nvidia-driver-cuda >= 3:{version}", f"kmod-nvidia-open-dkms >= 3:{version}")
    yield Rpm("nvidia-open", version, epoch=3, stream=stream, requires=needs)


def _fabric(version: str) -> Iterator[Rpm]:
    unit = DAEMON.format(name="nvidia-fabricmanager", command="/bin/sleep infinity")
    path = "/usr/lib/systemd/system/nvidia-fabricmanager.service"
    yield Rpm("nvidia-fabricmanager", version, files={path: unit}, post=_NEW_UNITS)
    yield Rpm("libnvidia-nscq", version)
