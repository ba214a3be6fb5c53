"""Facts about the distribution: its name and version, its package and service tools."""

from __future__ import annotations

import os
import re
import shlex
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.modules._proc import read

_NAMES = {
    "almalinux": "AlmaLinux",
    "alpine": "Alpine",
    "amzn": "Amazon",
    "arch": "Archlinux",
    "centos": "CentOS",
    "debian": "Debian",
    "deepin": "Deepin",
    "fedora": "Fedora",
    "kali": "Kali",
    "linuxmint": "Linux Mint",
    "ol": "OracleLinux",
    "openEuler": "openEuler",
    "opensuse-leap": "openSUSE Leap",
    "opensuse-tumbleweed": "openSUSE Tumbleweed",
    "raspbian": "Debian",
    "rhel": "RedHat",
    "rocky": "Rocky",
    "sles": "SLES",
    "ubuntu": "Ubuntu",
    "uos": "Uos",
}
_FAMILIES = {
    "Alpine": "Alpine",
    "Archlinux": "Archlinux",
    "Debian": "Debian",
    "Deepin": "Debian",
    "Kali": "Debian",
    "Linux Mint": "Debian",
    "Ubuntu": "Debian",
    "Uos": "Debian",
    "SLES": "Suse",
    "openSUSE Leap": "Suse",
    "openSUSE Tumbleweed": "Suse",
}
_RED_HAT = ("AlmaLinux", "Amazon", "CentOS", "Fedora", "OracleLinux", "RedHat", "Rocky", "openEuler")


def os_release() -> dict[str, str]:
    """Read /etc/os-release."""
    text = read("/etc/os-release") or read("/usr/lib/os-release")
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): " ".join(shlex.split(value)) for name, _, value in pairs}


def collect(ctx: Context) -> dict[str, Any]:
    """Tell the distribution as roles test for it."""
    release = os_release()
    identity = release.get("ID", "")
    name = _NAMES.get(identity) or release.get("NAME", "").split(" ")[0] or "Linux"
    version = release.get("VERSION_ID", "")
    family = _family(name, release)
    if name == "Debian":
        version = _debian_version(version)
    elif family == "RedHat":
        # These write the point release only here.
        exact = re.search(r"\d+(\.\d+)+", read("/etc/redhat-release"))
        version = exact.group(0) if exact and name != "Fedora" else version
    parts = version.split(".")
    facts = {
        "distribution": name,
        "distribution_version": version or "NA",
        "distribution_major_version": parts[0] or "NA",
        "distribution_release": _release(name, release),
        "distribution_file_path": "/etc/os-release",
        "distribution_file_variety": "RedHat" if family == "RedHat" else name if name != "Ubuntu" else "Debian",
        "distribution_file_parsed": True,
        "os_family": family,
    }
    if name in ("Debian", "CentOS", "RedHat", "AlmaLinux", "Rocky") and len(parts) > 1:
        facts["distribution_minor_version"] = parts[1]
    return facts


def _debian_version(short: str) -> str:
    exact = read("/etc/debian_version")
    return exact if re.match(r"^\d+\.\d+$", exact) and exact.split(".")[0] == short else short


def _family(name: str, release: dict[str, str]) -> str:
    if name in _RED_HAT:
        return "RedHat"
    if name in _FAMILIES:
        return _FAMILIES[name]
    like = release.get("ID_LIKE", "").split()
    if "debian" in like or "ubuntu" in like:
        return "Debian"
    return "RedHat" if {"rhel", "fedora", "centos"} & set(like) else name


def _release(name: str, release: dict[str, str]) -> str:
    codename = release.get("VERSION_CODENAME") or release.get("UBUNTU_CODENAME")
    if codename:
        return codename
    named = re.search(r"\((.+?)\)", release.get("VERSION", ""))
    if name == "Debian" and named:
        return named.group(1).split(" ")[0]
    return named.group(1) if named else "NA"


def lsb(ctx: Context) -> dict[str, Any]:
    """Tell what lsb_release would, from files."""
    settings = dict(line.split("=", 1) for line in read("/etc/lsb-release").splitlines() if "=" in line)
    if not settings and ctx.which("lsb_release") is None:
        return {"lsb": {}}
    release = os_release()
    version = settings.get("DISTRIB_RELEASE", release.get("VERSION_ID", "")).strip("\"'")
    facts = {
        "id": settings.get("DISTRIB_ID", release.get("NAME", "").split(" ")[0]).strip("\"'"),
        "release": version,
        "codename": settings.get("DISTRIB_CODENAME", release.get("VERSION_CODENAME", "")).strip("\"'"),
        "description": settings.get("DISTRIB_DESCRIPTION", release.get("PRETTY_NAME", "")).strip("\"'"),
        "major_release": version.split(".")[0],
    }
    return {"lsb": facts}


def package_tool(ctx: Context) -> dict[str, Any]:
    """Tell which tool installs packages."""
    family = collect(ctx)["os_family"]
    order = [("apt", "apt-get"), ("dnf5", "dnf5"), ("dnf", "dnf"), ("yum", "yum"), ("zypper", "zypper")]
    order += [("apk", "apk"), ("pacman", "pacman")]
    if family == "RedHat":
        order.sort(key=lambda pair: pair[0] == "apt")
    found = next((name for name, program in order if ctx.which(program)), "unknown")
    return {"pkg_mgr": found}


def service_keeper(ctx: Context) -> dict[str, Any]:
    """Tell what runs as process 1, in the word that roles test for."""
    for path in ("/run/systemd/system", "/dev/.run/systemd", "/dev/.systemd"):
        if os.path.exists(path):
            return {"service_mgr": "systemd"}
    first = os.path.basename(read("/proc/1/comm"))
    if first in ("", "init", "sh", "bash", "python3", "tail", "sleep"):
        first = (
            "openrc" if os.path.exists("/sbin/openrc") else "sysvinit" if os.path.isdir("/etc/init.d") else "service"
        )
    return {"service_mgr": first}
