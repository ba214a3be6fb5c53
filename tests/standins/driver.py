"""Stand-ins for NVIDIA's driver packages, with the names before and after the rename at 590."""

from __future__ import annotations

from collections.abc import Iterator

from tests.standins.deb import DAEMON, Deb
from tests.standins.outputs import nvidia_smi

RENAMED_AT = 590
_LIBRARIES = ("cfg1", "common", "decode", "encode", "extra", "fbc1", "gl", "gpucomp")
# What the kernel does at boot: the module that was built last is loaded, and tells its version.
_LOADER = """\
[Unit]
Description=stand-in for the NVIDIA kernel module
[Service]
Type=oneshot
ExecStart=/usr/bin/install -D /usr/share/stand-in/nvidia-module /run/stand-in/nvidia/version
[Install]
WantedBy=multi-user.target
"""
_ENABLE_LOADER = "#!/bin/sh\nsystemctl enable --quiet stand-in-nvidia.service\n"
_DISABLE_LOADER = "#!/bin/sh\nsystemctl disable --quiet stand-in-nvidia.service\n"


def driver(version: str, build: str = "1ubuntu1") -> Iterator[Deb]:
    """Yield all packages of one driver version; ``build`` is what Ubuntu's or Debian's add to it."""
    branch = version.split(".", 1)[0]
    suffix = f"-{branch}" if int(branch) < RENAMED_AT else ""
    full = f"{version}-{build}"
    yield from _userland(version, full, suffix)
    for flavor in ("-open", ""):
        yield from _kernel_side(version, full, suffix, flavor)
    yield from _metas(version, full, branch, suffix)
    if int(branch) >= 580:
        yield from (pinning(name, f"{name}.*" if name == branch else f"{name}-*") for name in (branch, version))
    yield from fabric(version, "" if int(branch) >= 580 else f"-{branch}")


def pinning(name: str, pattern: str) -> Deb:
    """Return the package that pins a branch or a version by a file for apt."""
    text = f"Package: *nvidia* cuda-drivers\nPin: version {pattern}\nPin-Priority: 1000\n"
    files = {"/etc/apt/preferences.d/nvidia-driver-pin": text}
    return Deb(f"nvidia-driver-pinning-{name}", f"{name}-1", _alone("nvidia-driver-pinning"), files, architecture="all")


def fabric(version: str, suffix: str) -> Iterator[Deb]:
    """Yield what boards with NVSwitch need."""
    unit = DAEMON.format(name="nvidia-fabricmanager", command="/bin/sleep infinity")
    yield Deb(
        f"nvidia-fabricmanager{suffix}",
        f"{version}-1",
        files={"/lib/systemd/system/nvidia-fabricmanager.service": unit},
        programs={"/usr/bin/nv-fabricmanager": f"#!/bin/sh\necho 'Fabric Manager version is : {version}'\n"},
    )
    yield Deb(f"libnvidia-nscq{suffix}", f"{version}-1")
    yield Deb(f"libnvsdm{suffix}", f"{version}-1")


def nvlink5() -> Iterator[Deb]:
    """Yield what NVLink of the fifth generation needs besides."""
    yield Deb("nvlsm", "2025.10.12-1")
    yield Deb("infiniband-diags", "47.0-1")


def _userland(version: str, full: str, suffix: str) -> Iterator[Deb]:
    yield from (Deb(f"libnvidia-{name}{suffix}", full, _alone(f"libnvidia-{name}-any")) for name in _LIBRARIES)
    relations = {"Depends": f"libnvidia-gpucomp{suffix} (= {full})", **_alone("libnvidia-compute-any")}
    yield Deb(f"libnvidia-compute{suffix}", full, relations)
    daemon = "nvidia-persistenced" if not suffix else f"nvidia-compute-utils{suffix}"
    unit = DAEMON.format(name="nvidia-persistenced", command="/usr/bin/nvidia-persistenced --no-persistence-mode")
    yield Deb(
        daemon,
        full,
        _alone("nvidia-persistenced-any"),
        files={"/lib/systemd/system/nvidia-persistenced.service": unit},
        programs={"/usr/bin/nvidia-persistenced": "#!/bin/sh\nexec sleep infinity\n"},
    )
    needs = f"libnvidia-compute{suffix} (= {full}), {daemon} (= {full})"
    relations = {"Depends": needs, **_alone("nvidia-utils-any")}
    yield Deb(f"nvidia-utils{suffix}", full, relations, programs={"/usr/bin/nvidia-smi": nvidia_smi(version)})


def _kernel_side(version: str, full: str, suffix: str, flavor: str) -> Iterator[Deb]:
    names = [f"nvidia-kernel-source{suffix}{flavor}", f"nvidia-dkms{suffix}{flavor}", f"nvidia-driver{suffix}{flavor}"]
    yield Deb(names[0], full, _alone("nvidia-kernel-source-any"))
    told = {"/usr/share/stand-in/nvidia-module": f"NVRM version: stand-in {version}\n"}
    yield Deb(
        names[1],
        full,
        {"Depends": f"{names[0]} (= {full}), dkms", **_alone("nvidia-dkms-any")},
        {**told, "/lib/systemd/system/stand-in-nvidia.service": _LOADER},
        scripts={"postinst": _ENABLE_LOADER, "prerm": _DISABLE_LOADER},
    )
    libraries = ", ".join(f"libnvidia-{name}{suffix} (= {full})" for name in _LIBRARIES)
    needs = f"{names[1]} (= {full}), nvidia-utils{suffix} (= {full}), {libraries}"
    yield Deb(names[2], full, {"Depends": needs, **_alone("nvidia-driver-any")})


def _metas(version: str, full: str, branch: str, suffix: str) -> Iterator[Deb]:
    """Yield what people install; their ``>=`` takes the newest there is, whatever version of them was asked for."""
    for meta, flavor in (("nvidia-open", "-open"), ("cuda-drivers", "")):
        target = f"nvidia-driver{suffix}{flavor} (>= {version})"
        if suffix:
            yield Deb(f"{meta}{suffix}", full, {"Depends": target})
            target = f"{meta}{suffix} (>= {version})"
        yield Deb(meta, full, {"Depends": target})


def _alone(name: str) -> dict[str, str]:
    """Return the relations by which only one package of a kind is installed: another branch's takes its place."""
    return dict.fromkeys(("Provides", "Conflicts", "Replaces"), name)
