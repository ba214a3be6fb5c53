"""Facts about processors, memory, disks and firmware."""

from __future__ import annotations

import os
import re
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.modules._proc import entries, number, read

_DMI = {
    "bios_date": "bios_date",
    "bios_vendor": "bios_vendor",
    "bios_version": "bios_version",
    "board_asset_tag": "board_asset_tag",
    "board_name": "board_name",
    "board_serial": "board_serial",
    "board_vendor": "board_vendor",
    "board_version": "board_version",
    "chassis_asset_tag": "chassis_asset_tag",
    "chassis_serial": "chassis_serial",
    "chassis_vendor": "chassis_vendor",
    "chassis_version": "chassis_version",
    "form_factor": "chassis_type",
    "product_name": "product_name",
    "product_serial": "product_serial",
    "product_uuid": "product_uuid",
    "product_version": "product_version",
    "system_vendor": "sys_vendor",
}
_FORMS = (
    "Unknown,Other,Unknown,Desktop,Low Profile Desktop,Pizza Box,Mini Tower,Tower,Portable,Laptop,Notebook,"
    "Hand Held,Docking Station,All In One,Sub Notebook,Space-saving,Lunch Box,Main Server Chassis,"
    "Expansion Chassis,Sub Chassis,Bus Expansion Chassis,Peripheral Chassis,RAID Chassis,Rack Mount Chassis,"
    "Sealed-case PC,Multi-system,CompactPCI,AdvancedTCA,Blade,Blade Enclosure,Tablet,Convertible,Detachable,"
    "IoT Gateway,Embedded PC,Mini PC,Stick PC"
).split(",")
_NO_DISK = ("ram", "zram", "dm-", "md", "fd")


def collect(ctx: Context) -> dict[str, Any]:
    """Tell all of it."""
    facts = dict(_processors(), **_memory())
    facts.update(_firmware(), mounts=_mounts(), devices=_devices())
    facts["uptime_seconds"] = int(float(read("/proc/uptime", "0").split(" ")[0] or 0))
    return facts


def _processors() -> dict[str, Any]:
    blocks = [block for block in read("/proc/cpuinfo").split("\n\n") if block.strip()]
    cpus = [dict(_pairs(block)) for block in blocks]
    listed: list[str] = []
    for cpu in cpus:
        words = (cpu.get(name) for name in ("processor", "vendor_id", "model name", "cpu", "Processor"))
        listed += [word for word in words if word]
    usable = len(os.sched_getaffinity(0))
    vcpus = sum("processor" in cpu for cpu in cpus) or usable
    sockets = len({cpu.get("physical id", "0") for cpu in cpus if "processor" in cpu}) or 1
    cores = number(cpus[0].get("cpu cores", "")) if cpus else 0
    if not cores:
        # Without topology (most ARM kernels) each processor counts as a socket of one core.
        sockets, cores = vcpus, 1
    flags = next((cpu[name].split() for cpu in cpus for name in ("flags", "Features") if name in cpu), [])
    return {
        "processor": listed,
        "processor_count": sockets,
        "processor_cores": cores,
        "processor_threads_per_core": max(1, vcpus // (sockets * cores)),
        "processor_vcpus": vcpus,
        "processor_nproc": usable,
        "flags": flags,
    }


def _pairs(block: str) -> list[tuple[str, str]]:
    rows = (line.partition(":") for line in block.splitlines() if ":" in line)
    return [(name.strip(), value.strip()) for name, _, value in rows]


def _memory() -> dict[str, Any]:
    kilobytes = {name: number(value.split()[0]) for name, value in _pairs(read("/proc/meminfo")) if value}
    mega = {name: value // 1024 for name, value in kilobytes.items()}
    total, free = mega.get("MemTotal", 0), mega.get("MemFree", 0)
    cached = kilobytes.get("Cached", 0) + kilobytes.get("Buffers", 0)
    loose = (kilobytes.get("MemFree", 0) + cached) // 1024
    swap_total, swap_free = mega.get("SwapTotal", 0), mega.get("SwapFree", 0)
    swap = {"total": swap_total, "free": swap_free, "used": swap_total - swap_free, "cached": mega.get("SwapCached", 0)}
    return {
        "memtotal_mb": total,
        "memfree_mb": free,
        "swaptotal_mb": swap_total,
        "swapfree_mb": swap_free,
        "memory_mb": {
            "real": {"total": total, "free": free, "used": total - free},
            "nocache": {"free": loose, "used": total - loose},
            "swap": swap,
        },
    }


def _firmware() -> dict[str, Any]:
    facts = {name: read("/sys/class/dmi/id/" + source) or "NA" for name, source in _DMI.items()}
    kind = number(facts["form_factor"], -1)
    if 0 <= kind < len(_FORMS):
        facts["form_factor"] = _FORMS[kind]
    return facts


def _mounts() -> list[dict[str, Any]]:
    found = []
    links = _links("by-uuid")
    for line in read("/proc/self/mounts").splitlines():
        words = [_unescaped(word) for word in line.split(" ")]
        device, place, kind, options = words[:4]
        if not (device.startswith(("/", "\\")) or ":/" in device) or kind == "none":
            continue
        facts: dict[str, Any] = {"mount": place, "device": device, "fstype": kind, "options": options}
        facts.update(dump=number(words[4]), passno=number(words[5]))
        facts["uuid"] = links.get(os.path.basename(os.path.realpath(device)), "N/A")
        found.append(dict(facts, **_room(place, remote=":/" in device)))
    return found


def _unescaped(word: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), word)


def _room(place: str, *, remote: bool) -> dict[str, Any]:
    """Tell sizes; a remote file system whose server is gone would hang us, so it is not asked."""
    if remote:
        return {}
    try:
        room = os.statvfs(place)
    except OSError:
        return {}
    return {
        "size_total": room.f_frsize * room.f_blocks,
        "size_available": room.f_frsize * room.f_bavail,
        "block_size": room.f_bsize,
        "block_total": room.f_blocks,
        "block_available": room.f_bavail,
        "block_used": room.f_blocks - room.f_bavail,
        "inode_total": room.f_files,
        "inode_available": room.f_favail,
        "inode_used": room.f_files - room.f_favail,
    }


def _links(kind: str) -> dict[str, str]:
    folder = "/dev/disk/" + kind
    return {os.path.basename(os.path.realpath(os.path.join(folder, name))): name for name in entries(folder)}


def _devices() -> dict[str, Any]:
    found = {}
    for name in entries("/sys/block"):
        base = "/sys/block/" + name
        sectors = number(read(base + "/size"))
        if name.startswith(_NO_DISK) or (name.startswith("loop") and not sectors):
            continue
        facts: dict[str, Any] = {
            "virtual": int("/virtual/" in os.path.realpath(base)),
            "vendor": read(base + "/device/vendor") or None,
            "model": read(base + "/device/model") or None,
            "removable": read(base + "/removable", "0"),
            "rotational": read(base + "/queue/rotational", "0"),
            "support_discard": read(base + "/queue/discard_granularity", "0"),
            "sectors": sectors,
            "sectorsize": read(base + "/queue/logical_block_size", "512"),
            "size": human_size(sectors * 512),
            "holders": entries(base + "/holders"),
        }
        scheduler = re.search(r"\[(.+?)\]|^(\w+)$", read(base + "/queue/scheduler"))
        facts["scheduler_mode"] = (scheduler.group(1) or scheduler.group(2)) if scheduler else ""
        serial = read(base + "/device/serial")
        facts.update({"serial": serial} if serial else {}, partitions=_partitions(base))
        found[name] = facts
    return found


def _partitions(base: str) -> dict[str, Any]:
    found = {}
    for name in entries(base):
        folder = os.path.join(base, name)
        if not os.path.exists(folder + "/partition"):
            continue
        sectors = number(read(folder + "/size"))
        found[name] = {
            "start": read(folder + "/start", "0"),
            "sectors": sectors,
            "sectorsize": 512,
            "size": human_size(sectors * 512),
            "uuid": _links("by-uuid").get(name),
            "holders": entries(folder + "/holders"),
        }
    return found


def human_size(size: float) -> str:
    """Spell a number of bytes as Ansible does: 1.82 TB."""
    for limit, unit in ((2**50, "PB"), (2**40, "TB"), (2**30, "GB"), (2**20, "MB"), (2**10, "KB")):
        if size >= limit:
            return "{:.2f} {}".format(size / limit, unit)
    return "{:.2f} Bytes".format(size)
