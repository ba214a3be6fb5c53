"""What ``fleet_facts`` tells of hosts: a plain machine without devices, and what tests change of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from r1fleet.facts.report import Report, read_report

_PROGRAMS = (
    "smi_xml", "smi", "topology", "nvcc", "ctk", "docker", "vasmi", "vastai_version", "nft", "iptables", "services",
    "defaults", "complaints",
)  # fmt: skip


def program(out: str, rc: int | None = 0, err: str = "") -> dict[str, Any]:
    """Return what a program said."""
    return {"path": "/usr/bin/it", "rc": rc, "out": out, "err": err}


def told(address: str = "10.0.0.1", interface: str = "eth0", **changes: Any) -> dict[str, Any]:
    """Return what a host tells; ``files`` and ``programs`` are added to its own, all else replaces it."""
    plain: dict[str, Any] = {
        "now": 1000.0,
        "hostname": "node",
        "kernel": "6.1.0-1",
        "machine": "x86_64",
        "files": {
            "/etc/os-release": 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12"\n',
            "/proc/meminfo": "MemTotal: 1048576 kB\nMemAvailable: 524288 kB\nHugePages_Total: 0\nHugepagesize: 2048 kB",
            "/proc/modules": "overlay 1 0 - Live 0x0\nbridge 1 0",
            "/proc/sys/net/ipv4/ip_local_port_range": "32768\t60999",
            "/proc/version": "Linux version 6.1.0",
        },
        "network": {
            "interfaces": ["lo", interface],
            interface: {"device": interface, "ipv4": {"address": address}, "speed": 10000},
            "default_ipv4": {"address": address, "interface": interface},
        },
        "rdma": [],
        "infiniband_nodes": [],
        "listening": [],
        "names": {"node": [address]},
        "pci": [],
        "redirecting_bridges": 0,
        "iommu_groups": 0,
        "numa": [],
        "processors": {"threads": 4},
        "vacc_nodes": 0,
        "disks": [disk("/"), disk("/dev/shm", kind="tmpfs"), disk("/var/lib/r1fleet")],
        "limits": {"Max locked memory": ["unlimited", "unlimited"], "Max open files": ["1024", "1048576"]},
        "locks": [],
        "packages": {},
        "secure_boot": None,
        "proxies": [],
        "wsl": False,
        "systemd": True,
        "peermem": False,
        "cdi": [],
        "toolkits": [],
        "snap_docker": False,
        "docker_socket": False,
        "programs": dict.fromkeys(_PROGRAMS),
    }
    changes = copy.deepcopy(changes)
    for name in ("files", "programs"):
        plain[name].update(changes.pop(name, {}))
    return {**plain, **changes}


def disk(path: str, free: int = 1 << 40, kind: str = "ext4", **more: Any) -> dict[str, Any]:
    """Return what is told of a path's file system."""
    plain = {"path": path, "exists": True, "mount": path, "kind": kind, "source": "/dev/sda1", "total": 1 << 41}
    return {**plain, "free": free, "inodes_free": 1000, "read_only": False, **more}


def report(host: str = "a", **changes: Any) -> Report:
    """Return a host's report; ``asked`` and ``answered`` are both the host's own time unless ``now`` is changed."""
    return read_report(host, told(**changes), asked=1000.0, answered=1000.0)


def gpus(count: int = 8, name: str = "NVIDIA H200", **more: str) -> dict[str, Any]:
    """Return the programs of a host with GPUs; ``more`` replaces texts within each GPU's part."""
    return {"smi_xml": program(smi_xml(*(gpu(index, name, **more) for index in range(count))))}


def gpu(index: int, name: str = "NVIDIA H200", **more: str) -> str:
    """Return one GPU's part of nvidia-smi's XML, with the fields of a capture of an H200."""
    words: Mapping[str, str] = {
        "mig": "Disabled", "persistence": "Enabled", "memory": "143771 MiB", "state": "Completed", "status": "Success",
        "errors": "0", "processes": "", **more,
    }  # fmt: skip
    return (
        f'<gpu id="00000000:{index:02X}:00.0"><product_name>{name}</product_name>'
        f"<persistence_mode>{words['persistence']}</persistence_mode><uuid>GPU-{index}</uuid>"
        f"<mig_mode><current_mig>{words['mig']}</current_mig></mig_mode>"
        f"<fb_memory_usage><total>{words['memory']}</total><used>1 MiB</used></fb_memory_usage>"
        f"<ecc_errors><volatile><sram_uncorrectable>{words['errors']}</sram_uncorrectable></volatile></ecc_errors>"
        f"<fabric><state>{words['state']}</state><status>{words['status']}</status></fabric>"
        f"<processes>{words['processes']}</processes></gpu>"
    )


def process(pid: int, name: str = "python3") -> str:
    """Return one process's part."""
    return (
        f"<process_info><pid>{pid}</pid><type>C</type><process_name>{name}</process_name>"
        "<used_memory>1024 MiB</used_memory></process_info>"
    )


def smi_xml(*parts: str, driver: str = "570.158.01", cuda: str = "12.8") -> str:
    """Return nvidia-smi's XML as drivers up to 595 print it."""
    return (
        '<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">\n<nvidia_smi_log>'
        f"<driver_version>{driver}</driver_version><cuda_version>{cuda}</cuda_version>{''.join(parts)}</nvidia_smi_log>"
    )
