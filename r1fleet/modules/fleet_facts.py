"""Tell everything about this host that serving a model depends on, in one look; changes nothing.

Programs' outputs travel as they are: the controller reads them, with parsers that are tested on captured outputs.
"""

from __future__ import annotations

import os
import time
from typing import Any

from r1fleet.agent.context import Context, ModuleFailed
from r1fleet.modules import _facts_network, _look_devices, _look_network, _look_system
from r1fleet.modules._proc import entries, read

ARGUMENTS = {
    "paths": {"type": "list", "default": []},
    "names": {"type": "list", "default": []},
}
LOCAL = True

WSL_SMI = "/usr/lib/wsl/lib/nvidia-smi"
_KEEP = 1 << 20
_SECONDS = 30
_FILES = (
    "/etc/hosts",
    "/etc/os-release",
    "/proc/cmdline",
    "/proc/driver/nvidia/version",
    "/proc/meminfo",
    "/proc/modules",
    "/proc/sys/kernel/random/boot_id",
    "/proc/sys/net/ipv4/ip_local_port_range",
    "/proc/uptime",
    "/proc/version",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/module/nvidia/version",
)
_SERVICES = (
    "nvidia-fabricmanager",
    "nvidia-persistenced",
    "docker",
    "containerd",
    "chrony",
    "chronyd",
    "systemd-timesyncd",
    "ntp",
    "ntpd",
    "firewalld",
    "ufw",
    "nftables",
    "unattended-upgrades",
    "apt-daily-upgrade.timer",
)
_COMPLAINTS = "NVRM|Xid|fallen off the bus|vastai|nvidia-nvswitch"


def run(ctx: Context) -> dict[str, Any]:
    """Look at files first, then ask the programs that are there."""
    hostname = os.uname().nodename
    told = {
        "changed": False,
        "now": time.time(),
        "hostname": hostname,
        "kernel": os.uname().release,
        "machine": os.uname().machine,
        "files": {path: read(path) for path in _FILES if os.path.exists(path)},
        "network": _facts_network.collect(ctx),
        "rdma": _look_network.rdma(),
        "listening": _look_network.listening(),
        "names": _look_network.meaning([hostname, *ctx.args["names"]]),
        "pci": _look_devices.pci(),
        "redirecting_bridges": _look_devices.redirecting_bridges(),
        "iommu_groups": len(entries("/sys/kernel/iommu_groups")),
        "numa": _look_devices.numa(),
        "processors": _look_devices.processors(),
        "vacc_nodes": _look_devices.dies(),
        "disks": [_look_system.disk(path) for path in ctx.args["paths"]],
        "limits": _look_system.limits(),
        "locks": _look_system.lock_holders(),
        "packages": _look_system.packages(ctx),
        "secure_boot": _look_system.secure_boot(),
        "proxies": _look_system.proxies(ctx),
        "wsl": os.path.exists("/dev/dxg"),
        "systemd": os.path.isdir("/run/systemd/system"),
        "peermem": os.path.isdir("/sys/module/nvidia_peermem"),
        "infiniband_nodes": entries("/dev/infiniband"),
        "cdi": [name for folder in ("/etc/cdi", "/var/run/cdi") for name in entries(folder)],
        "toolkits": [name for name in entries("/usr/local") if name.startswith("cuda-")],
        "snap_docker": os.path.exists("/snap/bin/docker"),
        "docker_socket": os.path.exists("/var/run/docker.sock"),
    }
    told["programs"] = _programs(ctx)
    return told


def _programs(ctx: Context) -> dict[str, Any]:
    """Ask each program that is there; None stands for one that is not."""
    smi = WSL_SMI if os.access(WSL_SMI, os.X_OK) else ctx.which("nvidia-smi")
    nvcc = ctx.which("nvcc") or next((path for path in ("/usr/local/cuda/bin/nvcc",) if os.access(path, os.X_OK)), None)
    found = {
        "smi_xml": _ask(ctx, smi, "-q", "-x"),
        "topology": _ask(ctx, smi, "topo", "-m"),
        "nvcc": _ask(ctx, nvcc, "--version"),
        "ctk": _ask(ctx, ctx.which("nvidia-ctk"), "--version"),
        "docker": _ask(ctx, ctx.which("docker"), "info", "--format", "{{json .}}"),
        "vasmi": _ask(ctx, ctx.which("vasmi"), "getmem", "--display-format=json"),
        "vastai_version": _ask(ctx, _there("/dev/vastai0_version") and ctx.which("cat"), "/dev/vastai0_version"),
        "nft": _ask(ctx, ctx.which("nft"), "list", "ruleset"),
        "iptables": _ask(ctx, ctx.which("iptables-legacy") or ctx.which("iptables"), "-S"),
        "services": _ask(
            ctx, ctx.which("systemctl"), "show", "-p", "Id,LoadState,ActiveState,UnitFileState", *_SERVICES
        ),
        "defaults": _ask(ctx, ctx.which("systemctl"), "show", "-p", "DefaultLimitMEMLOCK,DefaultLimitNOFILE"),
        "complaints": _ask(
            ctx, ctx.which("journalctl"), "-k", "-b", "-q", "--no-pager", "-n", "400", "-g", _COMPLAINTS
        ),
    }
    failed = found["smi_xml"] is not None and found["smi_xml"]["rc"] != 0
    found["smi"] = _ask(ctx, smi) if failed else None
    return found


def _ask(ctx: Context, program: str | None, *words: str) -> dict[str, Any] | None:
    if not program:
        return None
    try:
        done = ctx.run([program, *words], timeout=_SECONDS, locale="C")
    except ModuleFailed as failure:  # it hangs, or cannot start: that is an answer, too
        return {"path": program, "rc": None, "out": "", "err": failure.msg}
    return {"path": program, "rc": done.rc, "out": done.text[:_KEEP], "err": done.error[:4096]}


def _there(path: str) -> str:
    return path if os.path.exists(path) else ""
