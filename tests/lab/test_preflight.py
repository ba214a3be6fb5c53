"""Facts and preflight on real hosts, by the command line: faults are real wherever a lab host can have them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from r1fleet import lab as labs
from r1fleet.lab import Lab
from tests.lab.reach import answer, r1fleet
from tests.told import gpu, smi_xml

pytestmark = pytest.mark.lab
PREFLIGHT, UNREACHABLE, USAGE = 6, 4, 5


READY = (
    "mount -o remount,size=2g /dev/shm; mkdir -p /opt/venv/bin /srv/model && ln -sf /bin/true /opt/venv/bin/vllm && "
    "echo '{}' > /srv/model/config.json && echo '{\"lock\": 1}' > /opt/venv/r1fleet.json"
)


@pytest.fixture(scope="module")
def ground(lab_name: str) -> Iterator[Lab]:
    """Two hosts with a deployment of plain processes, and all that it needs."""
    name = f"{lab_name}-preflight"
    labs.down(name)
    made = labs.up(name, hosts=2, extra_vars={})
    deployment = {
        "engine": "vllm", "accelerator": "cpu", "model": "r1fleet/tiny-qwen2", "hosts": "nodes", "runtime": "venv",
        "venv": "/opt/venv", "port": 8000, "rendezvous_port": 29501, "tensor_parallel": 4, "user": "lab", "args": {},
        "model_path": "/srv/model", "machine": "2xcpu",
    }  # fmt: skip
    variables = made.inventory.parent / "group_vars"
    variables.mkdir(exist_ok=True)
    (variables / "all.yml").write_text(yaml.safe_dump({"deployments": {"tiny": deployment}}))
    for host in ("h1", "h2"):
        root(made, host, READY)
    yield made
    labs.down(name)


def root(lab: Lab, host: str, script: str) -> str:
    return answer(lab, host, script, user="root")


def install_smi(lab: Lab, host: str, script: str) -> None:
    """Put a stand-in where nvidia-smi would be."""
    root(lab, host, f"cat > /usr/bin/nvidia-smi <<'X'\n#!/bin/sh\n{script}\nX\nchmod +x /usr/bin/nvidia-smi")


def look(lab: Lab, *more: str, expected: int | None = None) -> dict[tuple[str, str], dict[str, Any]]:
    """Run preflight and return its findings by host and check."""
    done = r1fleet("preflight", "-i", str(lab.inventory), "--json", *more)
    assert expected is None or done.returncode == expected, done.stdout + done.stderr
    result = json.loads(done.stdout.splitlines()[-1])["results"][0]
    return {(row["host"], row["check"]): row for row in result["findings"]}


SMALL = "mkdir -p /var/lib/r1fleet && mount -t tmpfs -o {} tmpfs /var/lib/r1fleet"
POINTER = "printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:0\\n' > /srv/model/m.safetensors"
TAKER = (
    "systemd-run -q --unit taker python3 -m http.server 8000; "
    "for i in $(seq 100); do grep -q ':1F40' /proc/net/tcp && break; sleep 0.2; done"
)
LOCK = (
    "systemd-run -q --unit locker python3 -c \"import fcntl, time; f = open('/var/lib/dpkg/lock-frontend', 'w'); "
    "fcntl.lockf(f, fcntl.LOCK_EX); open('/run/locked', 'w'); time.sleep(600)\"; "
    "for i in $(seq 100); do [ -e /run/locked ] && break; sleep 0.2; done"
)
CLOSED = (
    "nft -f - <<'X'\ntable inet shut {\n chain input {\n type filter hook input priority 0; policy drop;\n"
    " ct state established,related accept\n tcp dport { 22, 29501 } accept\n }\n}\nX"
)


@dataclass(frozen=True)
class Fault:
    """A fault that a script makes on one host, the script that ends it, and what is said of it."""

    check: str
    host: str
    make: str
    heal: str
    verdict: str
    evidence: str


FAULTS = (
    Fault("port", "h1", TAKER, "systemctl stop taker", "FAIL", "port 8000 (endpoint) is taken by pid"),
    Fault("leftovers", "h2", "systemd-run -q --unit r1fleet-tiny-7-1 sleep 600",
          "systemctl stop r1fleet-tiny-7-1", "FAIL", "r1fleet-tiny-7-1 (pid"),
    Fault("room", "h2", SMALL.format("size=8m"), "umount /var/lib/r1fleet", "FAIL", "8 MiB free, 1.0 GiB needed"),
    Fault("writable", "h1", SMALL.format("ro"), "umount /var/lib/r1fleet", "FAIL", "read-only: /var/lib/r1fleet"),
    Fault("hostname-loopback", "h1",
          "cp /etc/hosts /etc/hosts.was; (echo 127.0.1.1 h1; grep -v h1 /etc/hosts.was) > /etc/hosts",
          "cat /etc/hosts.was > /etc/hosts", "WARN", "127.0.1.1"),
    Fault("model", "h1", "mv /srv/model /srv/away", "mv /srv/away /srv/model", "FAIL", "/srv/model is not there"),
    Fault("weights-sound", "h2", POINTER, "rm /srv/model/m.safetensors", "FAIL", "m.safetensors is a git-lfs pointer"),
    Fault("executable", "h1", "mv /opt/venv/bin/vllm /opt/", "mv /opt/vllm /opt/venv/bin/", "FAIL",
          "/opt/venv/bin/vllm"),
    Fault("same-environment", "h2", "echo '{\"lock\": 2}' > /opt/venv/r1fleet.json",
          "echo '{\"lock\": 1}' > /opt/venv/r1fleet.json", "FAIL", "the engine's environment"),
    Fault("package-lock", "h1", LOCK, "systemctl stop locker", "WARN", "/var/lib/dpkg/lock-frontend by pid"),
    Fault("firewall", "h2", CLOSED, "nft delete table inet shut", "WARN", "nftables"),
    Fault("reach", "h2", "true", "true", "FAIL", "h1 to 10.77."),
    Fault("shm", "h2", "mount -o remount,size=64m /dev/shm", "mount -o remount,size=2g /dev/shm", "FAIL",
          "/dev/shm has 64 MiB free"),
    Fault("open-files", "h2",
          "mkdir -p /etc/systemd/system.conf.d && printf '[Manager]\nDefaultLimitNOFILE=1024\n' > "
          "/etc/systemd/system.conf.d/few.conf && systemctl daemon-reexec",
          "rm /etc/systemd/system.conf.d/few.conf && systemctl daemon-reexec", "WARN", "may open 1024 files"),
    Fault("proxies", "h1", "echo http_proxy=http://user:secret@p:1 > /etc/environment", ": > /etc/environment",
          "WARN", "http_proxy"),
)  # fmt: skip


@pytest.fixture(scope="module")
def looked(ground: Lab) -> dict[str, dict[tuple[str, str], dict[str, Any]]]:
    """What is found on sound hosts, with all faults at once, and when all are mended."""
    found = {"sound": look(ground, expected=0)}
    done = []
    try:
        for fault in FAULTS:
            root(ground, fault.host, fault.make)
            done.append(fault)
        found["faulty"] = look(ground, expected=PREFLIGHT)
    finally:
        for fault in reversed(done):
            root(ground, fault.host, fault.heal)
    found["mended"] = look(ground, expected=0)
    return found


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.check)
def test_a_fault_that_was_made_for_real_is_found_and_gone_when_mended(
    looked: dict[str, dict[tuple[str, str], dict[str, Any]]], fault: Fault
) -> None:
    row = looked["faulty"][fault.host, fault.check]
    assert row["verdict"] == fault.verdict, row
    assert fault.evidence in row["evidence"]
    assert row["remedy"]
    assert "secret" not in json.dumps(row)
    for when in ("sound", "mended"):
        assert looked[when][fault.host, fault.check]["verdict"] == "OK", when


def test_unequal_drivers_as_a_stand_in_of_nvidia_smi_tells_them(ground: Lab, tmp_path: Path) -> None:
    """The program is a stand-in that prints captured layouts; no device is there."""
    versions = {"h1": "570.158.01", "h2": "570.124.06"}
    for host, driver in versions.items():
        text = smi_xml(*(gpu(index) for index in range(8)), driver=driver)
        install_smi(ground, host, f"[ \"$1\" = -q ] && cat <<'Y'\n{text}\nY\nexit 0")
    try:
        told = {row["host"]: row for row in json.loads(r1fleet("facts", "-i", str(ground.inventory), "--json").stdout)}
        assert {host: row["nvidia"]["driver"] for host, row in told.items()} == versions
        assert len(told["h1"]["nvidia"]["gpus"]) == 8
        shown = r1fleet("facts", "-i", str(ground.inventory))
        assert "8xNVIDIA H200" in shown.stdout
        found = look(ground, expected=PREFLIGHT)
        assert {found[host, "same-driver"]["verdict"] for host in versions} == {"OK", "FAIL"}
    finally:
        for host in versions:
            root(ground, host, "rm /usr/bin/nvidia-smi")


@pytest.mark.parametrize(
    "script",
    [
        "printf 'NVIDIA-SMI has failed because it could'; exit 9",
        "printf '<?xml version=\"1.0\"?><nvidia_smi_log><gpu id='",
        "head -c 3000000 /dev/urandom",
        "printf '\\033[4mGPU0\\033[0m'; kill -9 $$",
    ],
)
def test_a_half_broken_tool_is_unknown_and_never_an_error(ground: Lab, script: str) -> None:
    install_smi(ground, "h1", script)
    try:
        done = r1fleet("facts", "-i", str(ground.inventory), "h1")
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        assert "\x1b" not in done.stdout
    finally:
        root(ground, "h1", "rm /usr/bin/nvidia-smi")


def test_a_host_without_the_usual_tools_and_one_that_is_away(ground: Lab) -> None:
    hidden = "/usr/bin/ss /usr/bin/ip /usr/sbin/nft"
    root(ground, "h1", f"for p in {hidden}; do [ ! -e $p ] || mv $p $p.away; done")
    labs.break_host(ground.name, "h2", "crash")
    try:
        done = r1fleet("facts", "-i", str(ground.inventory), "--json")
        rows = {row["host"]: row for row in json.loads(done.stdout)}
        assert done.returncode == UNREACHABLE
        assert rows["h1"]["network"]["default_interface"] == "eth0"
        assert "error" in rows["h2"]
        checked = r1fleet("preflight", "-i", str(ground.inventory))
        assert checked.returncode in (UNREACHABLE, PREFLIGHT)
        assert "[SKIP] h2:" in checked.stdout
    finally:
        labs.heal_host(ground.name, "h2")
        root(ground, "h1", f"for p in {hidden}; do [ ! -e $p.away ] || mv $p.away $p; done")


def test_a_launch_is_refused_and_forced_by_name(ground: Lab) -> None:
    root(ground, "h2", "mv /srv/model /srv/away")
    try:
        refused = r1fleet("launch", "tiny", "-i", str(ground.inventory))
        assert refused.returncode == PREFLIGHT
        assert "h2: /srv/model is not there" in refused.stderr
        assert "--force model" in refused.stderr
        unknown = r1fleet("launch", "tiny", "-i", str(ground.inventory), "--force", "modell")
        assert unknown.returncode == USAGE
        assert "preflight --list" in unknown.stderr
    finally:
        root(ground, "h2", "mv /srv/away /srv/model")


def test_the_table_is_printed_without_a_host() -> None:
    done = r1fleet("preflight", "--list")
    assert done.returncode == 0
    assert len([line for line in done.stdout.splitlines() if "fabric-manager" in line]) == 1
