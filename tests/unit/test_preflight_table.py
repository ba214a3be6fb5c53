"""Every check of the table both ways: on a host that has the fault, and on one that has not."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from r1fleet.facts.report import Report
from r1fleet.preflight import TABLE, Answer, Ground, Port, Reached, Verdict, Want, judge, worst
from tests.told import disk, gpus, process, program, report

ROOT = Path(__file__).parents[2]
WANT = Want(
    deployment="r1", devices=8, machine="8xH200", nodes=2, address="10.0.0.1", interface="eth0", rendezvous=20000,
    ports=(Port(40000, "endpoint"), Port(20000, "rendezvous")), runtime="docker", host_ipc=True, weights="/w",
    memlock_unlimited=True, room={"/var/lib/r1fleet": 1 << 30},
)  # fmt: skip
SWITCH = {"vendor": "nvidia", "device": "22a3", "class": "0680", "address": "0000:05:00.0", "subsystem": ""}
DIE = {"vendor": "vastai", "device": "0100", "class": "1200", "address": "0000:3b:00.0", "subsystem": "0022"}
PORT = {
    "device": "mlx5_0", "port": 1, "state": "ACTIVE", "physical": "LinkUp", "rate": "400 Gb/sec (4X NDR)",
        "link": "InfiniBand",
    "pci": "0000:0c:00.0", "interfaces": ["ib0"], "gids": [],
}  # fmt: skip
ROCE = {**PORT, "link": "Ethernet", "gids": [
    {"index": 1, "gid": "fe80::1", "kind": "IB/RoCE v1", "interface": "eth0"},
    {"index": 3, "gid": "::ffff:10.0.0.1", "kind": "RoCE v2", "interface": "eth0"},
]}  # fmt: skip
SMI_BROKEN = {
    "smi_xml": program("", 9),
    "smi": program("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", 9),
}
MISMATCH = {"smi_xml": program("Failed to initialize NVML: Driver/library version mismatch\n", 18)}
LOADED = {"/sys/module/nvidia/version": "570.158.01"}
FABRIC = program(
    "Id=nvidia-fabricmanager.service\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\n\n"
    "Id=docker.service\nLoadState=not-found\nActiveState=inactive\nUnitFileState=\n"
)
NFT_CLOSED = program(
    "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n"
    "\t\ttcp dport { 22 } accept\n\t}\n}\n"
)
NFT_OPEN = program(
    "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n\t}\n}\n"
)
DOCKER = program(
    '{"ServerVersion": "28.1.1", "Runtimes": {"nvidia": {}, "runc": {}}, "Driver": "overlay2", "CgroupVersion": "2"}'
)
DOCKER_BARE = program('{"ServerVersion": "28.1.1", "Runtimes": {"runc": {}}}')
DOCKER_AWAY = program('{"ServerErrors": ["Cannot connect to the Docker daemon"]}')
XID = program("Nov 24 08:00:00 n kernel: NVRM: Xid (PCI:0000:0a:00): 79, pid=1, GPU has fallen off the bus.\n")
HELD = {"version": "570.158.01-0ubuntu1", "held": True}
LOOSE = {**HELD, "held": False}
UNATTENDED = {"unattended-upgrades": {"version": "2.9", "held": False}}


def of(name: str, ground: Ground, host: str = "a") -> tuple[Verdict, str, str]:
    """Return how one check ended on one host, with its evidence and remedy."""
    found = [one for one in judge(ground) if (one.check, one.host) == (name, host)]
    assert len(found) == 1, f"{name} applies {len(found)} times"
    return found[0].verdict, found[0].evidence, found[0].remedy


def ground(told: Report | None = None, want: Want | None = WANT, **more: Any) -> Ground:
    return Ground({"a": told or report()}, {} if want is None else {"a": want}, **more)


Row = tuple[str, dict[str, Any], Want | None, dict[str, Any], Want | None, str]
VENV = replace(WANT, runtime="venv", host_ipc=False)
VASTAI = replace(WANT, accelerator="vastai", devices=2, machine="", nodes=1)
CUDA = replace(WANT, image_cuda="12.8")
ROWS: tuple[Row, ...] = (
    # check, what a sound host tells, its want, what a faulty one tells, its want, a part of the evidence
    ("driver", {"programs": gpus()}, WANT, {"programs": SMI_BROKEN}, WANT, "the kernel module is not loaded"),
    ("driver", {"programs": gpus()}, WANT, {}, WANT, "nvidia-smi is not there"),
    ("driver-library", {"programs": gpus(), "files": LOADED}, WANT, {"programs": MISMATCH}, WANT, "mismatch"),
    ("driver-library", {"programs": gpus(), "files": LOADED}, WANT,
     {"programs": gpus(), "files": {"/sys/module/nvidia/version": "570.124.06"}}, WANT, "kernel module 570.124.06"),
    ("nouveau", {}, WANT, {"files": {"/proc/modules": "nouveau 1 0"}}, WANT, "nouveau is loaded"),
    ("secure-boot", {"secure_boot": True, "programs": gpus()}, WANT, {"secure_boot": True}, WANT, "unsigned"),
    ("wsl-driver", {"wsl": True, "packages": {"cuda-toolkit-12-8": HELD}}, WANT,
     {"wsl": True, "packages": {"nvidia-driver-570-open": HELD}}, WANT, "nvidia-driver-570-open"),
    ("gpu-count", {"programs": gpus(8)}, WANT, {"programs": gpus(7)}, WANT, "7 x NVIDIA H200, 8 wanted"),
    ("gpu-busy", {"programs": gpus()}, WANT, {"programs": gpus(8, processes=process(4242))}, WANT,
         "pid 4242 (python3)"),
    ("mig", {"programs": gpus()}, WANT, {"programs": gpus(mig="Enabled")}, WANT, "MIG is on for GPU 0"),
    ("gpu-errors", {"programs": gpus()}, WANT, {"programs": gpus(errors="3")}, WANT, "GPU 0: 3"),
    ("gpu-persistence", {"programs": gpus()}, WANT, {"programs": gpus(persistence="Disabled")}, WANT, "off for GPU 0"),
    ("kernel-log", {}, WANT, {"programs": {"complaints": XID}}, WANT, "79"),
    ("fabric-manager", {"pci": [SWITCH], "programs": {**gpus(), "services": FABRIC}}, WANT,
     {"pci": [SWITCH], "programs": gpus(state="In Progress", status="N/A")}, WANT, "does not run, fabric In Progress"),
    ("fabric-version", {"programs": gpus(), "packages": {"nvidia-fabricmanager-570": HELD}}, WANT,
     {"programs": gpus(), "packages": {"nvidia-fabricmanager-570": {"version": "570.124.06-1", "held": True}}}, WANT,
     "nvidia-fabricmanager-570 570.124.06"),
    ("driver-held", {"packages": {"nvidia-dkms-570-open": HELD, **UNATTENDED}}, WANT,
     {"packages": {"nvidia-dkms-570-open": LOOSE, **UNATTENDED}}, WANT, "not held: nvidia-dkms-570-open"),
    ("vastai", {"pci": [DIE, DIE], "vacc_nodes": 2, "files": {"/proc/modules": "vastai_pci 1 0"}}, VASTAI,
     {"pci": [DIE], "vacc_nodes": 1, "files": {"/proc/modules": "vastai_pci 1 0"}}, VASTAI, "1 dies on the bus"),
    ("vastai-iommu", {}, VASTAI, {"iommu_groups": 40, "files": {"/proc/cmdline": "quiet intel_iommu=on"}}, VASTAI,
     "40 IOMMU groups, intel_iommu=on"),
    ("peer-traffic", {}, WANT, {"redirecting_bridges": 4}, WANT, "4 bridges"),
    ("room", {}, WANT, {"disks": [disk("/var/lib/r1fleet", free=1 << 20)]}, WANT, "1 MiB free, 1.0 GiB needed"),
    ("writable", {}, WANT, {"disks": [disk("/", read_only=True)]}, WANT, "read-only: / on /"),
    ("slow-storage", {"disks": [disk("/w")]}, WANT, {"disks": [disk("/w", kind="nfs4", source="filer:/w")]}, WANT,
         "nfs4 (filer:/w)"),
    ("shm", {}, WANT, {"disks": [disk("/dev/shm", free=64 << 20)]}, WANT, "/dev/shm has 64 MiB free"),
    ("shm", {}, replace(WANT, host_ipc=False, shm_bytes=32 << 30), {}, replace(WANT, host_ipc=False,
         shm_bytes=64 << 20), "64 MiB"),
    ("open-files", {"programs": {"defaults": program("DefaultLimitNOFILE=524288\n")}}, VENV,
     {"programs": {"defaults": program("DefaultLimitNOFILE=1024\n")}}, VENV, "may open 1024 files"),
    ("systemd", {}, VENV, {"systemd": False}, VENV, "systemd is not process 1"),
    ("clock", {}, WANT, {"now": 1090.0}, WANT, "+90.0 s"),
    ("package-lock", {}, WANT, {"locks": [{"path": "/var/lib/dpkg/lock", "pid": 7, "command": "apt-get"}]}, WANT,
         "pid 7 (apt-get)"),
    ("docker", {"programs": {"docker": DOCKER}}, WANT, {"programs": {"docker": DOCKER_AWAY}}, WANT, "Cannot connect"),
    ("docker", {"programs": {"docker": DOCKER}}, WANT, {}, WANT, "not installed"),
    ("snap-docker", {"programs": {"docker": DOCKER}}, WANT, {"programs": {"docker": DOCKER}, "snap_docker": True},
         WANT, "snap"),
    ("gpu-runtime", {"programs": {"docker": DOCKER}}, WANT, {"programs": {"docker": DOCKER_BARE}}, WANT,
         "docker knows runc"),
    ("image-cuda", {"programs": gpus()}, CUDA, {"programs": gpus()}, replace(WANT, image_cuda="12.9"),
         "image 12.9, the driver 12.8"),
    ("image-cuda", {"programs": gpus()}, replace(WANT, image_cuda="12.6"),
     {"programs": {**gpus(), "nvcc": program("release 12.6, V12.6.20")}}, CUDA, "nvcc 12.6"),
    ("interface", {}, WANT, {"interface": "ens1"}, WANT, "no interface eth0, only ens1, lo"),
    ("interface", {}, WANT, {"address": "10.0.0.9"}, WANT, "10.0.0.1 is on no interface"),
    ("bind", {}, replace(WANT, bind="10.0.0.1"), {}, replace(WANT, bind="10.0.0.2"), "10.0.0.2 is not among 10.0.0.1"),
    ("hostname-loopback", {}, WANT, {"names": {"node": ["127.0.1.1"]}}, WANT, "node is 127.0.1.1"),
    ("port", {}, WANT, {"listening": [{"address": "0.0.0.0", "port": 40000, "pid": 12, "command": "nginx"}]}, WANT,
     "port 40000 (endpoint) is taken by pid 12 (nginx)"),
    ("port-range", {}, WANT, {}, replace(WANT, rendezvous=40001), "rendezvous port 40001"),
    ("firewall", {"programs": {"nft": NFT_OPEN}}, WANT, {"programs": {"nft": NFT_CLOSED}}, WANT, "nftables"),
    ("firewall", {"programs": {"nft": NFT_OPEN}}, WANT, {"programs": {"iptables": program("-P INPUT DROP\n")}}, WANT,
         "iptables"),
    ("proxies", {}, WANT, {"proxies": ["http_proxy"]}, WANT, "http_proxy"),
    ("network-rate", {"rdma": [PORT]}, WANT, {"rdma": [{**PORT, "rate": "100 Gb/sec (4X EDR)"}]}, WANT,
         "100 Gbit/s, 200 expected"),
    ("rdma-port", {"rdma": [PORT]}, WANT, {"rdma": [{**PORT, "state": "DOWN"}]}, WANT, "mlx5_0:1 DOWN"),
    ("gid-index", {"rdma": [ROCE]}, WANT, {"rdma": [ROCE]}, replace(WANT, gid_index=1),
         "entry 1 is IB/RoCE v1, RoCE v2 is 3"),
    ("rdma-devices", {"rdma": [PORT], "infiniband_nodes": ["uverbs0"]}, WANT, {"rdma": [PORT]}, WANT,
         "no /dev/infiniband"),
    ("peermem", {"rdma": [PORT], "peermem": True}, WANT, {"rdma": [PORT]}, WANT, "not loaded"),
    ("memlock", {"rdma": [PORT]}, WANT, {"rdma": [PORT]}, replace(WANT, memlock_unlimited=False), "limited"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "sound", "sound_want", "faulty", "faulty_want", "evidence"), ROWS, ids=lambda value: str(value)[:20]
)
def test_a_check_on_a_sound_and_on_a_faulty_host(
    name: str,
    sound: dict[str, Any],
    sound_want: Want | None,
    faulty: dict[str, Any],
    faulty_want: Want | None,
    evidence: str,
) -> None:
    check = next(check for check in TABLE if check.name == name)
    assert of(name, ground(report(**sound), sound_want))[0] is Verdict.OK
    verdict, said, remedy = of(name, ground(report(**faulty), faulty_want))
    assert verdict is check.severity
    assert evidence in said
    assert remedy
    assert "{" not in remedy.replace("{ipc: host}", "").replace("{memlock: -1}", "")


ANSWERED = ("user", "container", "executable", "input", "model", "weights-sound", "resolves", "leftovers")


@pytest.mark.parametrize("name", ANSWERED)
def test_checks_that_hosts_answer_themselves(name: str) -> None:
    kind = "weights" if name == "weights-sound" else name
    for ok in (True, False):
        answers = {"a": (Answer(kind, ok, "what was seen"),)}
        verdict, evidence, _ = of(name, ground(answers=answers))
        assert (verdict, evidence) == (Verdict.OK if ok else Verdict.FAIL, "what was seen")


def two(**changes: Any) -> Ground:
    """Return three hosts, of which c differs."""
    reports = {"a": report("a"), "b": report("b", address="10.0.0.2"), "c": report("c", address="10.0.0.3", **changes)}
    return Ground(reports, {host: replace(WANT, address=f"10.0.0.{n}") for n, host in enumerate(reports, 1)})


Change = Callable[[int], dict[str, Any]]
UNEQUAL: tuple[tuple[str, Change], ...] = (
    ("same-gpus", lambda n: {"programs": gpus(8 if n < 3 else 7)}),
    (
        "same-driver",
        lambda n: {
            "programs": {"smi_xml": program(gpus()["smi_xml"]["out"].replace("158", "158" if n < 3 else "124"))}
        },
    ),
    (
        "same-toolkit",
        lambda n: {"programs": {"ctk": program(f"NVIDIA Container Toolkit CLI version 1.{18 if n < 3 else 17}.0\n")}},
    ),
    (
        "same-cuda",
        lambda n: {"programs": {"nvcc": program(f"release 12.{8 if n < 3 else 6}, V12.{8 if n < 3 else 6}.1")}},
    ),
    ("same-docker", lambda n: {"programs": {"docker": program(f'{{"ServerVersion": "28.{n // 3}"}}')}}),
    ("same-nccl", lambda n: {"packages": {"libnccl2": {"version": f"2.2{n // 3}", "held": False}}}),
    ("same-kernel", lambda n: {"kernel": f"6.{n // 3}"}),
    ("same-interfaces", lambda n: {"interface": "eth0" if n < 3 else "ens3"}),
    ("same-adapters", lambda n: {"rdma": [PORT] * (2 - n // 3)}),
    ("same-clock", lambda n: {"now": 1000.0 + 30 * (n // 3)}),
)


@pytest.mark.parametrize(("name", "change"), UNEQUAL, ids=lambda value: value if isinstance(value, str) else "")
def test_what_differs_between_hosts_is_told_of_the_one_that_differs(name: str, change: Change) -> None:
    check = next(check for check in TABLE if check.name == name)
    unequal = Ground({host: report(host, **change(n)) for n, host in enumerate("abc", 1)})
    assert [of(name, unequal, host)[0] for host in "abc"] == [Verdict.OK, Verdict.OK, check.severity]
    equal = Ground({host: report(host, **change(1)) for host in "abc"})
    assert [of(name, equal, host)[0] for host in "abc"] == [Verdict.OK] * 3


@pytest.mark.parametrize(
    ("name", "kind"), [("same-environment", "marker"), ("same-image", "image"), ("same-weights", "model")]
)
def test_hashes_that_differ_between_hosts(name: str, kind: str) -> None:
    reports = {host: report(host) for host in "abc"}
    values = {"a": "0123456789abcdef", "b": "0123456789abcdef", "c": "fedcba"}
    found = Ground(reports, answers={host: (Answer(kind, ok=True, value=value),) for host, value in values.items()})
    assert [of(name, found, host)[0] for host in "abc"] == [Verdict.OK, Verdict.OK, Verdict.FAIL]
    assert "fedcba, not 0123456789ab as on a, b" in of(name, found, "c")[1]


def test_ways_that_are_closed_name_both_ends_and_the_port() -> None:
    tried = (Reached("b", "a", "10.0.0.1", 41000), Reached("a", "b", "10.0.0.2", 41000, "no answer"))
    found = Ground({host: report(host) for host in "ab"}, reached=tried)
    assert of("reach", found, "a")[0] is Verdict.OK
    verdict, evidence, remedy = of("reach", found, "b")
    assert (verdict, evidence) == (Verdict.FAIL, "a to 10.0.0.2 port 41000: no answer")
    assert "from a," in remedy


def test_ways_that_are_closed_alike_are_told_together() -> None:
    hosts = [f"h{number}" for number in range(1, 65)]
    tried = [
        Reached(one, other, f"10.0.0.{other[1:]}", port, "timed out")
        for one in hosts
        for other in hosts
        if one != other
        for port in (18500, 41000)
    ]
    found = Ground({host: report(host) for host in hosts}, reached=tuple(tried))
    _, evidence, remedy = of("reach", found, "h1")
    assert evidence == "h2, h3, h4, h5 and 59 more to 10.0.0.1 port 18500, 41000: timed out"
    assert "open h1 for TCP from h2 h3 h4 h5 and 59 more," in remedy


def test_every_check_is_tested_both_ways() -> None:
    tested = {row[0] for row in ROWS} | set(ANSWERED) | {name for name, _ in UNEQUAL}
    tested |= {"same-environment", "same-image", "same-weights", "reach"}
    assert tested == {check.name for check in TABLE}


def test_names_are_unique_and_rows_are_whole() -> None:
    assert len({check.name for check in TABLE}) == len(TABLE)
    assert all(check.cause and check.remedy and check.applies for check in TABLE)
    assert all((check.look is None) != (check.look_at_all is None) for check in TABLE)


def test_what_does_not_apply_is_not_told() -> None:
    plain = judge(ground(want=None))
    assert {one.check for one in plain} == {"writable", "clock", "package-lock"}
    assert worst(plain) is Verdict.OK


def test_unknown_is_no_ok() -> None:
    silent = report(names={}, files={"/proc/sys/net/ipv4/ip_local_port_range": ""}, redirecting_bridges=None)
    for name in ("hostname-loopback", "port-range", "peer-traffic", "firewall", "driver-library"):
        told = silent if name != "driver-library" else report(programs=gpus())
        assert of(name, ground(told))[0] is Verdict.SKIP, name


def test_a_machine_without_switches_needs_no_fabric_manager() -> None:
    plain = report(programs=gpus(state="N/A", status="N/A"), packages={})
    names = {one.check for one in judge(ground(plain))}
    assert {"fabric-manager", "fabric-version"}.isdisjoint(names)


def test_sixteen_gpus_of_two_kinds_are_told() -> None:
    mixed = (
        gpus(8)["smi_xml"]["out"].replace("</nvidia_smi_log>", "")
        + gpus(8, "NVIDIA H20")["smi_xml"]["out"].split("</cuda_version>")[1]
    )
    verdict, evidence, _ = of("gpu-count", ground(report(programs={"smi_xml": program(mixed)})))
    assert (verdict, evidence) == (Verdict.FAIL, "16 x NVIDIA H20 and NVIDIA H200: GPUs of two kinds")


def test_a_host_with_two_hundred_interfaces_and_one_with_only_ipv6() -> None:
    names = [f"veth{number}" for number in range(200)]
    many = {"interfaces": ["eth0", *names], "eth0": {"ipv4": {"address": "10.0.0.1"}}, "default_ipv4": {}}
    verdict, evidence, _ = of("interface", ground(report(network=many), replace(WANT, interface="ens9")))
    assert (verdict, len(evidence) < 200) == (Verdict.FAIL, True)
    six = {"interfaces": ["eth0"], "eth0": {"ipv6": [{"address": "fd00::1"}]}, "default_ipv4": {}, "default_ipv6": {}}
    told = report(network=six)
    assert told.for_plan.address_of("eth0") == "fd00::1"
    assert of("interface", ground(told, replace(WANT, address="fd00::1")))[0] is Verdict.OK


@pytest.mark.parametrize("version", ["", "one", "999999999999.99", "..", "12", "\x1b[31m12.8\x1b[0m"])
def test_absurd_versions_end_in_a_verdict(version: str) -> None:
    told = report(programs={"smi_xml": program(gpus()["smi_xml"]["out"].replace("12.8", version.replace("\x1b", "")))})
    assert of("image-cuda", ground(told, CUDA))[0] in Verdict


def test_remedies_name_tags_that_the_playbook_has() -> None:
    playbook = yaml.safe_load((ROOT / "playbooks" / "provision.yaml").read_text())
    rows = [*playbook[0].get("roles", ()), *playbook[0].get("tasks", ())]
    known = {tag for row in rows for tag in row.get("tags", ())}
    named = {tag for check in TABLE for tag in re.findall(r"--tags (\w+)", check.remedy)}
    assert named
    assert named <= known
