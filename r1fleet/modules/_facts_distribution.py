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
    "kylin": "Kylin Linux Advanced Server",
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
_RED_HAT = (
    "Alibaba",
    "AlmaLinux",
    "Amazon",
    "CentOS",
    "CloudLinux",
    "EulerOS",
    "EuroLinux",
    "Fedora",
    "Kylin Linux Advanced Server",
    "MIRACLE",
    "OracleLinux",
    "RedHat",
    "Rocky",
    "Scientific",
    "TencentOS",
    "Virtuozzo",
    "openEuler",
)
# The first of these that is there tells the distribution, in Ansible's order; the others have os-release only.
_FILES = (("oracle-release", "OracleLinux"), ("centos-release", "CentOS"), ("redhat-release", "RedHat"))


def os_release() -> dict[str, str]:
    """Read /etc/os-release."""
    text = read("/etc/os-release") or read("/usr/lib/os-release")
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): " ".join(shlex.split(value)) for name, _, value in pairs}


def collect(ctx: Context) -> dict[str, Any]:
    """Tell the distribution as roles test for it."""
    release = os_release()
    path, variety, text = next(
        (("/etc/" + name, variety, text) for name, variety in _FILES for text in [read("/etc/" + name)] if text),
        ("/etc/os-release", "", ""),
    )
    name = _name(release, variety, text)
    family = "RedHat" if name in _RED_HAT else _FAMILIES.get(name, name)
    version = _version(name, release.get("VERSION_ID", ""), text)
    parts = version.split(".")
    facts = {
        "distribution": name,
        "distribution_version": version or "NA",
        "distribution_major_version": parts[0] or "NA",
        "distribution_release": "Stream" if "CentOS Stream" in text else _release(name, release),
        "distribution_file_path": path,
        "distribution_file_variety": variety or {"Debian": "Debian", "Suse": "SUSE"}.get(family, "NA"),
        "distribution_file_parsed": True,
        "os_family": family,
    }
    if name == "Debian" and len(parts) > 1:
        facts["distribution_minor_version"] = parts[1]
    return facts


def _name(release: dict[str, str], variety: str, text: str) -> str:
    if variety == "RedHat" and "Red Hat" not in text:
        # Whoever is like Red Hat begins that file with its own name.
        return text.split()[0]
    return variety or _NAMES.get(release.get("ID", "")) or release.get("NAME", "").split(" ")[0] or "Linux"


def _version(name: str, short: str, text: str) -> str:
    if name == "Debian":
        exact = read("/etc/debian_version")
        return exact if re.match(r"^\d+\.\d+$", exact) and exact.split(".")[0] == short else short
    # CentOS writes the point release only here.
    point = re.search(r"\d+\.\d+", text) if name == "CentOS" else None
    return point.group(0) if point else short


def _release(name: str, release: dict[str, str]) -> str:
    codename = release.get("VERSION_CODENAME", release.get("UBUNTU_CODENAME"))
    if codename is not None:
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
    program = ctx.which("dnf") if family == "RedHat" else None
    if program:
        return {"pkg_mgr": "dnf5" if os.path.basename(os.path.realpath(program)) == "dnf5" else "dnf"}
    order = [("apt", "apt-get"), ("dnf5", "dnf5"), ("dnf", "dnf"), ("yum", "yum"), ("zypper", "zypper")]
    order += [("apk", "apk"), ("pacman", "pacman")]
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
