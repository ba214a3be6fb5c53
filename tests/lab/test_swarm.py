"""A set on its way between real hosts: whole everywhere, closed to strangers, not stopped by what stops a program."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from r1fleet import lab as labs
from r1fleet.agent.swarm_files import Group
from r1fleet.cli.connect import connector
from r1fleet.errors import FleetError, HostFailed, LockHeld
from r1fleet.events import Event, Note, Transfer
from r1fleet.inventory import load
from r1fleet.lab import Lab
from r1fleet.provision.library import libtorrent_wheel
from r1fleet.transport import Become, Transport
from r1fleet.weights.cargo import Cargo
from r1fleet.weights.manifest import Manifest, SealedFile
from r1fleet.weights.swarm import STATE, Member, Swarm, SwarmSettings, no_wheel, spread
from tests.lab.ground import eventually
from tests.lab.reach import answer, machine

PLACE = "/var/lib/r1fleet/weights/org--model@1"
SETTINGS = SwarmSettings(wheel_for=libtorrent_wheel, sessions=1, first_port=26881)
MIB = 2**20
CLEAN = (
    "sudo systemctl stop 'r1fleet-swarm-*'; sudo rm -rf /var/lib/r1fleet"
    " /etc/systemd/system/r1fleet-swarm* /etc/systemd/system/*/r1fleet-swarm*"
)


@pytest.fixture(scope="module")
def fleet(lab_name: str) -> Iterator[Lab]:
    name = f"{lab_name}-swarm"
    labs.down(name)
    yield labs.up(name, hosts=3)
    labs.down(name)


@pytest.fixture
def way() -> Iterator[Transport]:
    opened = connector()
    yield opened
    opened.close()


@pytest.fixture
def members(fleet: Lab, way: Transport) -> list[Member]:
    return open_all(fleet, way)


def open_all(fleet: Lab, way: Transport) -> list[Member]:
    hosts = load(fleet.inventory).hosts
    return [
        Member(way.open(hosts[one.name], Become()), one.address, interface="eth0", become=Become())
        for one in fleet.hosts
    ]


def content(fleet: Lab, sizes: dict[str, int]) -> Cargo:
    """Write random files on h1, none of them anywhere else."""
    for host in fleet.hosts:
        answer(fleet, host.name, CLEAN)
    folder = at(fleet, "h1", PLACE)
    rows = []
    for path, size in sizes.items():
        data = os.urandom(size)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        rows.append(SealedFile(path, size, hashlib.sha256(data).hexdigest()))
    listed = [{"path": row.path, "size": row.size, "sha256": row.sha256} for row in rows]
    return Cargo(Manifest("org/model", tuple(rows), json.dumps({"name": "org/model", "files": listed})), PLACE, PLACE)


def at(fleet: Lab, host: str, path: str) -> Path:
    return Path(f"{fleet.host(host).root}{path}")


def lacking(fleet: Lab, cargo: Cargo, *hosts: str) -> list[str]:
    """Name the files that a host has not got, or has with other content."""
    return [
        f"{host} {file.path}"
        for host in hosts
        for file in cargo.manifest.files
        if not (path := at(fleet, host, PLACE) / file.path).is_file()
        or hashlib.sha256(path.read_bytes()).hexdigest() != file.sha256
    ]


def traces(fleet: Lab, host: str) -> str:
    """Tell what of a transfer is left on a host: files, units, processes, staged folders."""
    look = f"ls -d {STATE} /etc/systemd/system/r1fleet-swarm* /etc/systemd/system/*/r1fleet-swarm* 2>/dev/null"
    parts = f"find {Path(PLACE).parent} -maxdepth 1 -name '*.part'"
    running = "grep -la 'agent[.]swarm' /proc/[0-9]*/cmdline 2>/dev/null"
    return answer(fleet, host, f"{{ {look}; {parts}; {running}; }} | cat")


def told(fleet: Lab, host: str, part: int = 0) -> dict[str, Any]:
    """Read what the program of a host has written last."""
    for path in at(fleet, host, STATE).glob(f"*/status-{part}.json"):
        return dict(json.loads(path.read_text()))
    return {}


def test_a_set_reaches_every_host_and_leaves_no_trace(fleet: Lab, members: list[Member]) -> None:
    sizes = {"big.bin": 20 * MIB + 3, "näme with: space.txt": 5, "sub/empty": 0}
    cargo = content(fleet, {**sizes, **{f"sub/shard-{number:05d}": 10_000 + number for number in range(160)}})
    seen: list[Event] = []

    outcomes = spread(cargo, members[0], members[1:], SETTINGS, seen.append)

    assert [(one.host, one.changed, one.error) for one in outcomes] == [("h2", True, None), ("h3", True, None)]
    assert lacking(fleet, cargo, "h2", "h3") == []
    assert [traces(fleet, host.name) for host in fleet.hosts] == ["", "", ""]
    moved = [event for event in seen if isinstance(event, Transfer)]
    assert {event.host for event in moved if event.total == cargo.manifest.size} == {"h1", "h2", "h3"}

    began = time.monotonic()
    again: list[Event] = []
    assert not any(one.changed or one.error for one in spread(cargo, members[0], members[1:], SETTINGS, again.append))
    assert time.monotonic() - began < 5
    assert not any(isinstance(event, Transfer) for event in again)


def test_only_what_changed_travels_and_files_come_as_the_source_gets_them(fleet: Lab, members: list[Member]) -> None:
    sizes = {"a.bin": 8 * MIB, "b.bin": 8 * MIB, "c.bin": 2 * MIB}
    cargo = content(fleet, sizes)
    for host in ("h2", "h3"):
        at(fleet, host, PLACE).mkdir(parents=True)
        for name in ("a.bin", "b.bin"):
            (at(fleet, host, PLACE) / name).write_bytes((at(fleet, "h1", PLACE) / name).read_bytes())
    seen: list[Event] = []
    swarm = Swarm(cargo, members[0], members[1:], replace(SETTINGS, group_bytes=MIB), seen.append)
    swarm.start()
    swarm.add(["a.bin"])
    swarm.add(["b.bin"])
    assert eventually(lambda: told(fleet, "h2").get("verified") == 2)
    swarm.add(["c.bin"])

    assert not any(one.error for one in swarm.finish())

    assert lacking(fleet, cargo, "h2", "h3") == []
    sent = max(event.sent for event in seen if isinstance(event, Transfer) and event.host == "h1")
    assert sent < 2 * 2.5 * MIB


def test_killed_programs_a_flipped_byte_and_a_controller_that_leaves_cost_little(
    fleet: Lab, way: Transport, members: list[Member]
) -> None:
    cargo = content(fleet, {"model.bin": 24 * MIB})
    limited = replace(SETTINGS, rate=3 * MIB)
    swarm = Swarm(cargo, members[0], members[1:], limited)
    began = time.monotonic()
    swarm.start()
    swarm.add(["model.bin"])
    assert eventually(lambda: told(fleet, "h2").get("done", 0) > 6 * MIB, 30)
    with pytest.raises(LockHeld, match="another set"):
        Swarm(replace(cargo, place=f"{PLACE}-b"), members[0], members[1:], limited).start()
    assert answered(fleet, "h2") == "b''"
    assert eventually(lambda: any("blocked" in note and fleet.gateway in note for note in told(fleet, "h2")["notes"]))
    swarm.leave()
    assert "cmdline" in traces(fleet, "h2")

    before = {host: told(fleet, host) for host in ("h1", "h2")}
    for host, status in before.items():
        answer(fleet, host, f"sudo kill -9 {status['pid']}")
    assert eventually(lambda: told(fleet, "h2").get("pid") not in (None, before["h2"]["pid"]))
    answer(fleet, "h3", "sudo systemctl stop 'r1fleet-swarm-*'")
    h3 = told(fleet, "h3")
    staged = at(fleet, "h3", cargo.staging) / "model.bin"
    flip(staged)

    again = Swarm(cargo, *split(open_all(fleet, way)), limited)
    again.start()
    again.add(["model.bin"])
    received = {"h2": before["h2"]["received"], "h3": h3["received"]}
    assert eventually(lambda: told(fleet, "h3").get("verified") == 1, 60)
    received = {host: count + told(fleet, host).get("received", 0) for host, count in received.items()}
    assert not any(one.error for one in again.finish())
    assert lacking(fleet, cargo, "h2", "h3") == []
    assert received["h3"] - cargo.manifest.size < 4 * MIB
    assert time.monotonic() - began > cargo.manifest.size / limited.rate
    assert [traces(fleet, host.name) for host in fleet.hosts] == ["", "", ""]


@pytest.mark.slow
def test_without_a_controller_hosts_end_when_all_have_everything_and_the_next_run_publishes(
    fleet: Lab, way: Transport, members: list[Member]
) -> None:
    cargo = content(fleet, {"model.bin": 8 * MIB})
    swarm = Swarm(cargo, *split(members), replace(SETTINGS, rate=2 * MIB))
    swarm.start()
    swarm.add(["model.bin"])
    following = threading.Thread(target=swarm.finish)
    following.start()
    assert eventually(lambda: list(at(fleet, "h3", STATE).glob("*/sealed.json")))
    assert eventually(lambda: list(at(fleet, "h1", STATE).glob("*/sealed.json")))
    swarm.leave()
    following.join()
    assert not at(fleet, "h2", PLACE).exists()

    assert eventually(lambda: not any(running(fleet, host.name) for host in fleet.hosts), 60)

    assert not any(one.error for one in spread(cargo, *split(open_all(fleet, way)), SETTINGS))
    assert lacking(fleet, cargo, "h2", "h3") == []
    assert [traces(fleet, host.name) for host in fleet.hosts] == ["", "", ""]


def running(fleet: Lab, host: str) -> bool:
    return any(word in traces(fleet, host) for word in ("cmdline", "r1fleet-swarm"))


@pytest.mark.slow
def test_a_host_that_reboots_goes_on_by_itself(fleet: Lab, way: Transport, members: list[Member]) -> None:
    cargo = content(fleet, {"model.bin": 24 * MIB})
    host = load(fleet.inventory).hosts["h3"]
    members[2] = replace(members[2], reopen=lambda: way.open(host, Become()))
    swarm = Swarm(cargo, *split(members), replace(SETTINGS, rate=2 * MIB))
    swarm.start()
    swarm.add(["model.bin"])
    assert eventually(lambda: told(fleet, "h3").get("done", 0) > 6 * MIB, 30)

    labs.break_host(fleet.name, "h3", "reboot")
    labs.heal_host(fleet.name, "h3")

    assert eventually(lambda: told(fleet, "h3")["received"] < told(fleet, "h3")["done"], 30)  # what was there counts
    assert [one.error for one in swarm.finish()] == [None, None]
    assert lacking(fleet, cargo, "h2", "h3") == []
    assert [traces(fleet, host.name) for host in fleet.hosts] == ["", "", ""]


def test_over_ipv6_a_set_comes_and_a_blocked_port_is_named(fleet: Lab, members: list[Member]) -> None:
    cargo = content(fleet, {"model.bin": 8 * MIB})
    settings = replace(SETTINGS, first_port=26891)
    sixes = [replace(one, address=f"fd00:77::{number}") for number, one in enumerate(members, 1)]
    with sixth_version(fleet):
        with (
            blocked(fleet, f"ip6 saddr fd00:77::3 tcp dport {settings.first_port}"),
            pytest.raises(HostFailed, match=r"h3 -> h2 \(fd00:77::2\) port 26891: no answer"),
        ):
            spread(cargo, *split(sixes), settings)
        outcomes = spread(cargo, *split(sixes), settings)
    assert [(one.host, one.changed, one.error) for one in outcomes] == [("h2", True, None), ("h3", True, None)]
    assert lacking(fleet, cargo, "h2", "h3") == []


@contextmanager
def sixth_version(fleet: Lab) -> Iterator[None]:
    """Give every host one more address, fd00:77::1 and so on."""
    rows = [(host.namespace, f"fd00:77::{number}/64") for number, host in enumerate(fleet.hosts, 1)]
    for namespace, address in rows:
        machine("ip", "-n", namespace, "addr", "add", address, "dev", "eth0", "nodad")
    try:
        yield
    finally:
        for namespace, address in rows:
            machine("ip", "-n", namespace, "addr", "del", address, "dev", "eth0")


@contextmanager
def blocked(fleet: Lab, what: str) -> Iterator[None]:
    """Drop what comes to h2."""
    inside = ("ip", "netns", "exec", fleet.host("h2").namespace, "nft")
    rules = at(fleet, "h2", "/root/rules")
    chain = "add table inet t\nadd chain inet t in { type filter hook input priority 0; }\n"
    rules.write_text(f"{chain}add rule inet t in {what} drop\n")
    machine(*inside, "-f", str(rules))
    try:
        yield
    finally:
        machine(*inside, "delete", "table", "inet", "t")


@pytest.mark.slow
def test_several_processes_a_host_share_many_files_and_one_that_is_killed_holds_up_nobody(
    fleet: Lab, way: Transport, members: list[Member]
) -> None:
    cargo = content(fleet, {f"shard-{number:03d}.bin": MIB // 2 + number for number in range(64)})
    three = replace(SETTINGS, sessions=3, group_bytes=2 * MIB, rate=3 * MIB)
    swarm = Swarm(cargo, *split(members), three)
    swarm.start()
    swarm.add(file.path for file in cargo.manifest.files)
    assert eventually(lambda: all(told(fleet, "h2", part).get("done", 0) > MIB for part in range(3)), 30)
    swarm.leave()
    killed = told(fleet, "h2", 1)["pid"]
    answer(fleet, "h2", f"sudo kill -9 {killed}")

    again = Swarm(cargo, *split(open_all(fleet, way)), three)
    again.start()
    again.add(file.path for file in cargo.manifest.files)
    assert eventually(lambda: told(fleet, "h2", 1).get("pid") not in (None, killed))

    assert not any(one.error for one in again.finish())
    assert lacking(fleet, cargo, "h2", "h3") == []
    assert [traces(fleet, host.name) for host in fleet.hosts] == ["", "", ""]


def split(members: list[Member]) -> tuple[Member, list[Member]]:
    return members[0], members[1:]


def greeting(fleet: Lab) -> bytes:
    """Return how a peer of this very transfer begins."""
    (told,) = at(fleet, "h1", STATE).glob("*/group-0.json")
    about = Group(json.loads(told.read_text())).metainfo(b"mesh")[b"info"]
    return b"\x13BitTorrent protocol" + bytes(8) + hashlib.sha1(bencoded(about)).digest() + b"-R10000-stranger-id!"


def bencoded(value: Any) -> bytes:
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%b" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(bencoded, value)) + b"e"
    return b"d" + b"".join(bencoded(key) + bencoded(value[key]) for key in sorted(value)) + b"e"


ANSWERED = """
import socket, sys
stream = socket.create_connection(("{address}", {port}), timeout=5)
stream.settimeout(5)
try:
    stream.sendall(bytes.fromhex("{hello}"))
    print(stream.recv(20)[1:])
except ConnectionError:
    print(b"")
"""


def answered(fleet: Lab, host: str) -> str:
    """Greet a host's program from outside the cluster; return what it says."""
    text = ANSWERED.format(address=fleet.host(host).address, port=SETTINGS.first_port, hello=greeting(fleet).hex())
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=30).stdout.strip()


def flip(path: Path) -> None:
    """Change one byte of the first data that is there."""
    with path.open("r+b") as stream:
        where = os.lseek(stream.fileno(), 0, os.SEEK_DATA) + 1000
        stream.seek(where)
        byte = stream.read(1)
        stream.seek(where)
        stream.write(bytes([byte[0] ^ 255]))


def test_a_blocked_port_between_two_hosts_is_found_before_a_byte_moves(fleet: Lab, members: list[Member]) -> None:
    cargo = content(fleet, {"model.bin": MIB})
    with (
        blocked(fleet, f"ip saddr {fleet.host('h3').address} tcp dport 26881"),
        pytest.raises(HostFailed) as caught,
    ):
        spread(cargo, members[0], members[1:], SETTINGS)
    assert f"h3 -> h2 ({fleet.host('h2').address}) port 26881: no answer" in caught.value.what
    assert "open TCP 26881" in str(caught.value.hint)
    assert not at(fleet, "h2", PLACE).exists()
    assert [traces(fleet, host.name) for host in fleet.hosts] == ["", "", ""]


def test_hosts_for_which_there_is_no_library_get_a_streamed_copy_and_it_says_so(
    fleet: Lab, members: list[Member]
) -> None:
    cargo = content(fleet, {"model.bin": MIB})
    seen: list[Event] = []
    outcomes = spread(cargo, members[0], members[1:], replace(SETTINGS, wheel_for=no_wheel), seen.append)
    assert not any(one.error for one in outcomes)
    assert lacking(fleet, cargo, "h2", "h3") == []
    notes = [event.text for event in seen if isinstance(event, Note)]
    assert len(notes) == 2
    assert all("streamed by the controller" in text and "Python 3.11" in text for text in notes)


def test_a_source_that_is_not_what_its_manifest_says_ends_it_and_leaves_nothing_running(
    fleet: Lab, members: list[Member]
) -> None:
    cargo = content(fleet, {"model.bin": MIB})
    flip(at(fleet, "h1", PLACE) / "model.bin")
    with pytest.raises(FleetError, match=r"model\.bin is not what its manifest says"):
        spread(cargo, members[0], members[1:], SETTINGS)
    assert "cmdline" not in "".join(traces(fleet, host.name) for host in fleet.hosts)
