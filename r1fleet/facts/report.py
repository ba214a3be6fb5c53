"""Everything a host has told, as frozen values: None and empty text mean that it is not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from r1fleet.facts.model import Accelerator, HostFacts, Interface, from_setup
from r1fleet.facts.nvidia import Nvidia, failure_of, read_banner, read_module, read_nvcc, read_topology, read_xml
from r1fleet.facts.rdma import Gid, RdmaPort, common_gid, joining_adapters
from r1fleet.facts.system import (
    Disk,
    Docker,
    Firewall,
    Memory,
    active_services,
    read_disk,
    read_docker,
    read_firewall,
    read_limit,
    read_memory,
    read_properties,
    read_release,
)
from r1fleet.facts.vastai import Vastai, read_vastai

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Listener:
    """Something that listens on a TCP port."""

    address: str
    port: int
    pid: int | None = None
    command: str = ""


@dataclass(frozen=True, slots=True)
class Package:
    """An installed package of drivers, toolkits or container engines; ``held`` None: its tool does not tell."""

    version: str
    held: bool | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """One host, looked at once; ``offset`` is its clock against the controller's, ``offset_error`` how sure that is."""

    host: str
    gathered_at: float
    offset: float
    offset_error: float
    hostname: str = ""
    release: Mapping[str, str] = field(default_factory=dict)
    kernel: str = ""
    machine: str = ""
    boot_id: str = ""
    wsl: bool = False
    systemd: bool = True
    command_line: str = ""
    modules: frozenset[str] = frozenset()
    memory: Memory = field(default_factory=Memory)
    processors: Mapping[str, Any] = field(default_factory=dict)
    numa: tuple[Mapping[str, Any], ...] = ()
    pci: tuple[Mapping[str, str], ...] = ()
    iommu_groups: int = 0
    redirecting_bridges: int | None = None
    nvidia: Nvidia = field(default_factory=Nvidia)
    vastai: Vastai = field(default_factory=Vastai)
    network: HostFacts = field(default_factory=HostFacts)
    rdma: tuple[RdmaPort, ...] = ()
    rdma_nodes: tuple[str, ...] = ()
    listeners: tuple[Listener, ...] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hosts_file: str = ""
    ephemeral: tuple[int, int] | None = None
    disks: Mapping[str, Disk] = field(default_factory=dict)
    memlock: int | None = None
    nofile: int | None = None
    default_limits: Mapping[str, str] = field(default_factory=dict)
    locks: tuple[Mapping[str, Any], ...] = ()
    packages: Mapping[str, Package] | None = None
    docker: Docker = field(default_factory=Docker)
    container_toolkit: str = ""
    cdi: tuple[str, ...] = ()
    toolkits: tuple[str, ...] = ()
    active: frozenset[str] = frozenset()
    services: Mapping[str, str] = field(default_factory=dict)
    firewall: Firewall = field(default_factory=Firewall)
    secure_boot: bool | None = None
    proxies: tuple[str, ...] = ()
    peermem: bool = False
    complaints: tuple[str, ...] = ()

    @property
    def for_plan(self) -> HostFacts:
        """What a plan asks of a host."""
        devices = [Accelerator(gpu.name, gpu.memory_mib * _MIB if gpu.memory_mib else None) for gpu in self.nvidia.gpus]
        if not devices and self.vastai.dies:
            sizes = self.vastai.memory_mib or (None,) * self.vastai.dies
            devices = [Accelerator(self.vastai.card or "Vastai", size * _MIB if size else None) for size in sizes]
        return HostFacts(
            tuple(devices),
            self.network.interfaces,
            self.network.default_address,
            self.network.default_interface,
            self.gathered_at,
            joining_adapters(self.rdma),
            common_gid(self.rdma),
            self.systemd,
        )

    def as_json(self) -> dict[str, Any]:
        """Return plain data for programs."""
        plain = asdict(self)
        topology = plain["nvidia"]["topology"]
        if topology is not None:
            topology["links"] = {" ".join(pair): link for pair, link in topology["links"].items()}
        for name in ("modules", "active"):
            plain[name] = sorted(plain[name])
        return plain


def read_report(host: str, told: Mapping[str, Any], *, asked: float, answered: float) -> Report:
    """Read what ``fleet_facts`` has told; ``asked`` and ``answered`` are the controller's clock around the question."""
    files, programs = told["files"], told["programs"]
    services = list(active_services(_out(programs["services"])))
    active = frozenset(name for name, runs, _ in services if runs)
    modules = files.get("/proc/modules", "")
    limits = told["limits"]
    return Report(
        host=host,
        gathered_at=answered,
        offset=told["now"] - (asked + answered) / 2,
        offset_error=(answered - asked) / 2,
        hostname=told["hostname"],
        release=read_release(files.get("/etc/os-release", "")),
        kernel=told["kernel"],
        machine=told["machine"],
        boot_id=files.get("/proc/sys/kernel/random/boot_id", ""),
        systemd=told["systemd"],
        wsl=told["wsl"] or "microsoft" in files.get("/proc/version", "").lower(),
        command_line=files.get("/proc/cmdline", ""),
        modules=frozenset(line.split(" ", 1)[0] for line in modules.splitlines()),
        memory=read_memory(files.get("/proc/meminfo", "")),
        processors=told["processors"],
        numa=tuple(told["numa"]),
        pci=tuple(told["pci"]),
        iommu_groups=told["iommu_groups"],
        redirecting_bridges=told["redirecting_bridges"],
        nvidia=_nvidia(programs, files),
        vastai=read_vastai(told, modules),
        network=from_setup({f"ansible_{name}": value for name, value in told["network"].items()}, gathered_at=answered),
        rdma=tuple(_rdma(row) for row in told["rdma"]),
        rdma_nodes=tuple(told["infiniband_nodes"]),
        listeners=tuple(Listener(**row) for row in told["listening"]),
        names={name: tuple(found) for name, found in told["names"].items()},
        hosts_file=files.get("/etc/hosts", ""),
        ephemeral=_range(files.get("/proc/sys/net/ipv4/ip_local_port_range", "")),
        disks={row["path"]: read_disk(row) for row in told["disks"]},
        memlock=read_limit(limits.get("Max locked memory")),
        nofile=read_limit(limits.get("Max open files")),
        default_limits=next(iter(read_properties(_out(programs["defaults"]))), {}),
        locks=tuple(told["locks"]),
        packages=_packages(told["packages"]),
        docker=read_docker(programs["docker"], snap=told["snap_docker"]),
        container_toolkit=_toolkit(_out(programs["ctk"])),
        cdi=tuple(told["cdi"]),
        toolkits=tuple(name.removeprefix("cuda-") for name in told["toolkits"]),
        active=active,
        services={name: state for name, _, state in services},
        firewall=read_firewall(programs["nft"], programs["iptables"], set(active)),
        secure_boot=told["secure_boot"],
        proxies=tuple(told["proxies"]),
        peermem=told["peermem"],
        complaints=tuple(_out(programs["complaints"]).splitlines()),
    )


def _nvidia(programs: Mapping[str, Any], files: Mapping[str, str]) -> Nvidia:
    asked, plain = programs["smi_xml"], programs["smi"]
    loaded = files.get("/sys/module/nvidia/version") or read_module(files.get("/proc/driver/nvidia/version", ""))
    toolkit = read_nvcc(_out(programs["nvcc"]))
    if asked is None:
        return Nvidia(loaded=loaded, toolkit=toolkit)
    read = read_xml(asked["out"]) if asked["rc"] == 0 else None
    topology = read_topology(_out(programs["topology"]))
    if read is not None:
        return Nvidia(True, read[0], read[1], loaded, toolkit, gpus=read[2], topology=topology)
    words = "\n".join(part for one in (plain, asked) if one for part in (one["out"], one["err"]))
    problem, said = failure_of(words)
    driver, cuda = read_banner(words)
    return Nvidia(True, driver, cuda, loaded, toolkit, problem, said, topology=topology)


def _rdma(row: Mapping[str, Any]) -> RdmaPort:
    plain = {name: row[name] for name in ("device", "port", "state", "physical", "rate", "link", "pci")}
    return RdmaPort(**plain, interfaces=tuple(row["interfaces"]), gids=tuple(Gid(**gid) for gid in row["gids"]))


def _packages(told: Mapping[str, Mapping[str, Any]] | None) -> dict[str, Package] | None:
    return None if told is None else {name: Package(row["version"], row["held"]) for name, row in told.items()}


def _range(text: str) -> tuple[int, int] | None:
    words = text.split()
    return (int(words[0]), int(words[1])) if len(words) == 2 and all(word.isdigit() for word in words) else None


def _toolkit(text: str) -> str:
    words = text.split("version", 1)
    return words[1].split()[0] if len(words) == 2 and words[1].split() else ""


def _out(program: Mapping[str, Any] | None) -> str:
    return str(program["out"]) if program and program["rc"] == 0 else ""


__all__ = ["Gid", "Interface", "Listener", "Package", "RdmaPort", "Report", "read_report"]
