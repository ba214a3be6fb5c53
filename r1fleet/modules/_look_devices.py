"""What the kernel tells of PCI devices, NUMA nodes and processors: files of /sys and /proc, no programs."""

from __future__ import annotations

import os
import re
import struct
from typing import Any

from r1fleet.modules._proc import entries, read

_PCI = "/sys/bus/pci/devices"
_WATCHED = {"0x10de": "nvidia", "0x1ec6": "vastai", "0x1002": "amd", "0x15b3": "mellanox"}
_BRIDGE = "0x0604"
_ACS = 0x000D
_REDIRECTS = 0x4 | 0x8 | 0x10  # request, completion and upstream: each sends peer traffic through the root


def pci() -> list[dict[str, Any]]:
    """Tell the accelerators and RDMA adapters on the bus, by their numbers: names need a table that may be old."""
    found = []
    for address in entries(_PCI):
        base = os.path.join(_PCI, address)
        vendor = read(base + "/vendor")
        if vendor in _WATCHED:
            found.append(
                {
                    "address": address,
                    "vendor": _WATCHED[vendor],
                    "device": read(base + "/device")[2:],
                    "subsystem": read(base + "/subsystem_device")[2:],
                    "class": read(base + "/class")[2:6],
                    "driver": os.path.basename(os.path.realpath(base + "/driver"))
                    if os.path.exists(base + "/driver")
                    else "",
                    "numa": read(base + "/numa_node"),
                    "speed": read(base + "/current_link_speed"),
                    "width": read(base + "/current_link_width"),
                }
            )
    return found


def redirecting_bridges() -> int | None:
    """Count the PCI bridges whose access control sends traffic between devices through the root; None: not readable."""
    count = 0
    for address in entries(_PCI):
        base = os.path.join(_PCI, address)
        if read(base + "/class")[:6] != _BRIDGE:
            continue
        try:
            with open(base + "/config", "rb") as stream:
                data = stream.read(4096)
        except OSError:
            return None
        if len(data) < 4096:  # only root is shown more than the first 256 bytes
            return None if os.geteuid() else count
        count += bool(acs_control(data) & _REDIRECTS)
    return count


def acs_control(config: bytes) -> int:
    """Return the control register of the access control capability in a device's extended configuration; 0: none."""
    at, seen = 0x100, set()
    while 0x100 <= at <= len(config) - 8 and at not in seen:
        seen.add(at)
        (header,) = struct.unpack_from("<I", config, at)
        if header & 0xFFFF == _ACS:
            return int(struct.unpack_from("<H", config, at + 6)[0])
        at = header >> 20
    return 0


def numa() -> list[dict[str, Any]]:
    """Tell each memory node with its processors and hugepages."""
    root = "/sys/devices/system/node"
    found = []
    for name in entries(root):
        if re.match(r"node\d+$", name):
            total = re.search(r"MemTotal:\s+(\d+)", read("{}/{}/meminfo".format(root, name)))
            found.append(
                {
                    "node": int(name[4:]),
                    "cpus": read("{}/{}/cpulist".format(root, name)),
                    "memory_kib": int(total.group(1)) if total else None,
                }
            )
    return sorted(found, key=lambda one: one["node"])


def processors() -> dict[str, Any]:
    """Tell the model, the number of threads, sockets and cores, and the governor."""
    models, sockets, cores, threads = set(), set(), set(), 0
    socket = ""
    for line in read("/proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if name == "processor":
            threads += 1
            socket = ""
        elif name in ("model name", "Model", "Hardware") and value:
            models.add(value)
        elif name == "physical id":
            socket = value
            sockets.add(value)
        elif name == "core id":
            cores.add((socket, value))
    return {
        "model": ", ".join(sorted(models)),
        "threads": threads or os.cpu_count(),
        "sockets": len(sockets) or None,
        "cores": len(cores) or None,
        "governor": read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
    }


def dies() -> int:
    """Count the device nodes of Vastai's dies."""
    return sum(1 for name in entries("/dev") if re.match(r"vacc\d+$", name))
