"""Facts about what the host itself runs on."""

from __future__ import annotations

import os
import re
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.modules._proc import read

_PRODUCTS = (
    (r"^KVM", "kvm"),
    (r"^OpenStack", "openstack"),
    (r"^VMware", "VMware"),
    (r"^VirtualBox", "virtualbox"),
    (r"^Virtual Machine$", "VirtualPC"),
    (r"^Parallels", "parallels"),
    (r"^RHEV|^oVirt", "RHEV"),
    (r"^Google Compute Engine", "kvm"),
)
_VENDORS = (
    (r"^QEMU|^Amazon EC2|^DigitalOcean|^Hetzner|^Google|^Alibaba|^Tencent|^NVIDIA BCM", "kvm"),
    (r"^Xen", "xen"),
    (r"^VMware", "VMware"),
    (r"^innotek", "virtualbox"),
    (r"^Microsoft", "VirtualPC"),
    (r"^Parallels", "parallels"),
    (r"^Red Hat", "RHEV"),
)


def collect(ctx: Context) -> dict[str, Any]:
    """Tell kind and role: the innermost first, a container in a virtual machine is a container."""
    inside = _container() + _machine()
    around = ["kvm"] if os.path.exists("/dev/kvm") else []
    modules = {line.split(" ", 1)[0] for line in read("/proc/modules").splitlines()}
    around += ["virtualbox"] if "vboxdrv" in modules else []
    if inside:
        kind, role = inside[0], "guest"
    elif around:
        kind, role = around[0], "host"
    else:
        kind, role = "NA", "NA"
    return {
        "virtualization_type": kind,
        "virtualization_role": role,
        "virtualization_tech_guest": sorted(set(inside)),
        "virtualization_tech_host": around,
    }


def _container() -> list[str]:
    found = []
    groups = read("/proc/1/cgroup")
    if re.search(r"/docker(/|-[0-9a-f]+\.scope)", groups) or os.path.exists("/.dockerenv"):
        found += ["docker", "container"]
    elif os.path.exists("/run/.containerenv"):
        found += ["podman", "container"]
    elif re.search(r"/lxc/", groups):
        found += ["lxc", "container"]
    named = re.search(r"(?:^|\0)container=([^\0]+)", read("/proc/1/environ")) or re.match(
        r"(.+)", read("/run/systemd/container")
    )
    if named and not found:
        found += [{"lxc": "lxc", "docker": "docker", "podman": "podman"}.get(named.group(1), "container"), "container"]
    return found


def _machine() -> list[str]:
    product, vendor = read("/sys/class/dmi/id/product_name"), read("/sys/class/dmi/id/sys_vendor")
    for text, table in ((product, _PRODUCTS), (vendor, _VENDORS)):
        found = [kind for pattern, kind in table if text and re.search(pattern, text)]
        if found:
            return found[:1]
    if os.path.isdir("/proc/xen"):
        return ["xen"]
    information = read("/proc/cpuinfo")
    if re.search(r"^model name\s*:.*QEMU", information, re.MULTILINE):
        return ["kvm"]
    return []


def chroot(ctx: Context) -> dict[str, Any]:
    """Tell whether our root is another than process 1's."""
    try:
        mine, first = os.stat("/"), os.stat("/proc/1/root/.")
    except OSError:
        return {"is_chroot": os.stat("/").st_ino not in (2, 128, 256)}
    return {"is_chroot": not os.path.samestat(mine, first)}
