"""What a swarm decides: groups and pieces, what is there already, who may take part, what it tells."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from unittest.mock import MagicMock

import pytest

from r1fleet.agent import swarm_unit
from r1fleet.agent.swarm_files import Group, Record, Unsound, take_over
from r1fleet.errors import FleetError, HostFailed, HostUnreachable, LockHeld
from r1fleet.events import Event, Note, Step, ignore
from r1fleet.inventory import Host
from r1fleet.provision.library import libtorrent_wheel
from r1fleet.provision.lock import Pin
from r1fleet.provision.target import Target
from r1fleet.status import Access, Contact
from r1fleet.transport import Call, Reply, Session
from r1fleet.weights import MANIFEST, HostOutcome, Manifest, SealedFile
from r1fleet.weights.cargo import Cargo
from r1fleet.weights.members import members_of
from r1fleet.weights.swarm import Member, Platform, Swarm, SwarmSettings
from r1fleet.weights.swarm.drive import Begin, Drive
from r1fleet.weights.swarm.ground import Ground, check_ways, look
from r1fleet.weights.swarm.groups import Divider, piece_size
from r1fleet.weights.swarm.handout import Handout
from r1fleet.weights.swarm.party import Party
from r1fleet.weights.swarm.program import configuration, sessions_for
from r1fleet.weights.swarm.progress import figures, transfer
from tests.invoking import well
from tests.plays import FakeTransport

GB = 10**9
PIECE = 1 << 17


def manifest(sizes: Mapping[str, int]) -> Manifest:
    files = tuple(SealedFile(path, size, hashlib.sha256(path.encode()).hexdigest()) for path, size in sizes.items())
    rows = [{"path": file.path, "size": file.size, "sha256": file.sha256} for file in files]
    return Manifest("org/model", files, json.dumps({"name": "org/model", "files": rows}))


# --- groups ----------------------------------------------------------------------------------------


def test_a_group_is_sealed_as_soon_as_it_is_worth_its_connections_and_the_last_one_when_nothing_is_missing() -> None:
    divider = Divider(manifest({"config.json": 1, "a": 2 * GB, "b": 2 * GB, "c": 10}), GB)
    divider.take(["config.json"])
    assert divider.groups() == []
    divider.take(["a", "a", "stranger"])
    assert [[file.path for file in group] for group in divider.groups()] == [["config.json", "a"]]
    divider.take(["b", "c"])
    assert [[file.path for file in group] for group in divider.groups()] == [["b"], ["c"]]
    assert divider.missing == ()


def test_a_big_set_has_few_groups() -> None:
    whole = manifest({f"model-{number:05d}.safetensors": 43 * GB // 10 for number in range(163)})
    divider = Divider(whole, 1 << 30)
    divider.take(file.path for file in whole.files)
    assert len(divider.groups()) <= 32


@pytest.mark.parametrize(
    ("size", "piece"), [(1, 1 << 16), (10**8, 1 << 16), (2 * 10**8, 1 << 17), (10 * GB, 1 << 21), (690 * GB, 1 << 21)]
)
def test_small_sets_have_small_pieces(size: int, piece: int) -> None:
    assert piece_size(manifest({"a": size})) == piece


@pytest.mark.parametrize(("speeds", "sessions"), [([], 1), ([0, 1000], 1), ([10_000, 100_000], 2), ([100_000], 8)])
def test_fast_links_have_several_processes(speeds: list[int], sessions: int) -> None:
    assert sessions_for(SwarmSettings(), speeds) == sessions
    assert sessions_for(SwarmSettings(sessions=3), speeds) == 3


# --- files -----------------------------------------------------------------------------------------


def group_of(folder: Path, contents: Mapping[str, bytes]) -> Group:
    rows = []
    for path, data in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        rows.append({"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    return Group({"number": 0, "piece": PIECE, "files": rows})


CONTENTS = {"a.bin": os.urandom(3 * PIECE + 5), "sub/empty": b"", "sub/b.bin": os.urandom(2 * PIECE), "c": b"tail"}


def test_a_sealed_group_knows_every_piece_and_none_holds_two_files(tmp_path: Path) -> None:
    group = group_of(tmp_path, CONTENTS)
    group.seal(str(tmp_path))
    assert len(group.hashes) // 20 == 4 + 2 + 1
    for row in group.carried:
        assert all(group.present(str(tmp_path), row))
    told = Group(json.loads(json.dumps(group.told())))
    assert (told.hashes, told.metainfo(b"mesh")) == (group.hashes, group.metainfo(b"mesh"))
    length = sum(row[b"length"] for row in group.metainfo(b"mesh")[b"info"][b"files"])
    assert -(-length // PIECE) == len(group.hashes) // 20


def test_a_flipped_byte_and_a_missing_end_cost_their_pieces_only(tmp_path: Path) -> None:
    group = group_of(tmp_path, CONTENTS)
    group.seal(str(tmp_path))
    with (tmp_path / "a.bin").open("r+b") as stream:
        stream.seek(PIECE + 7)
        byte = stream.read(1)
        stream.seek(PIECE + 7)
        stream.write(bytes([byte[0] ^ 1]))
        stream.truncate(3 * PIECE + 1)
    row = group.carried[0]
    assert group.present(str(tmp_path), row) == [True, False, True, False]


def test_what_was_never_written_is_missing(tmp_path: Path) -> None:
    group = group_of(tmp_path, CONTENTS)
    group.seal(str(tmp_path))
    data = (tmp_path / "a.bin").read_bytes()
    (tmp_path / "a.bin").unlink()
    assert not any(group.present(str(tmp_path), group.carried[0]))
    with (tmp_path / "a.bin").open("wb") as stream:
        stream.truncate(len(data))
        stream.seek(2 * PIECE)
        stream.write(data[2 * PIECE : 3 * PIECE])
    assert group.present(str(tmp_path), group.carried[0]) == [False, False, True, False]


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data + b"x", lambda data: bytes([data[0] ^ 1]) + data[1:]]
)
def test_a_source_that_is_not_what_its_manifest_says_is_not_sealed(tmp_path: Path, damage: Any) -> None:
    group = group_of(tmp_path, CONTENTS)
    (tmp_path / "a.bin").write_bytes(damage(CONTENTS["a.bin"]))
    with pytest.raises(Unsound, match=r"a\.bin is not what its manifest says"):
        group.seal(str(tmp_path))


def test_a_record_holds_until_the_file_is_touched(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    record = Record(str(tmp_path / "record"))
    record.note(str(path), "aa")
    again = Record(str(tmp_path / "record"))
    assert again.holds(str(path), "aa")
    assert not again.holds(str(path), "bb")
    path.write_bytes(b"changed")
    os.utime(path, ns=(1, 1))
    assert not again.holds(str(path), "aa")


def test_only_the_same_file_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"content")
    (tmp_path / "link").symlink_to("old")
    row = {"path": "new", "size": 7, "sha256": hashlib.sha256(b"content").hexdigest()}
    other = {**row, "sha256": hashlib.sha256(b"another").hexdigest()}
    place, candidates = str(tmp_path / "new"), [str(tmp_path / "link"), str(tmp_path / "none"), str(tmp_path / "old")]
    assert not take_over(place, candidates, other)
    assert take_over(place, candidates, row)
    assert (tmp_path / "new").samefile(tmp_path / "old")


# --- hosts -----------------------------------------------------------------------------------------

CARGO = Cargo(manifest({"a": 5 * GB, "b": 1}), "/src/model", "/weights/org--model@1")
HEALTHY: Reply = {
    "python": "3.11",
    "machine": "x86_64",
    "library": "glibc 2.36",
    "free": 100 * GB,
    "writable": True,
    "published": "",
    "missing": 5 * GB,
    "others": [],
    "speed": 1000,
    "runs": False,
    "groups": [],
}


class ToldHost:
    """A session that answers from a table."""

    def __init__(self, name: str, **answers: Any) -> None:
        self.name = name
        self.answers = answers
        self.calls: list[Call] = []

    def submit(self, call: Call, on_output: Any = None) -> Future[Reply]:
        self.calls.append(call)
        answer = self.answers.get(str(call.args.get("action", call.module)), {})
        future: Future[Reply] = Future()
        if isinstance(answer, FleetError):
            future.set_exception(answer)
        else:
            future.set_result(dict(answer))
        return future


PART = {
    "done": 0,
    "received": 0,
    "sent": 0,
    "rate": 0.0,
    "sending": 0.0,
    "peers": [],
    "verified": 0,
    "verifying": [],
    "sealed": [],
    "error": "",
    "state": "running",
}
STATUS = {"runs": True, "log": "", "status": [PART]}


def driven(*members: Member, idle: float = 900.0, begin: Begin = lambda hosts: {}) -> dict[str, HostOutcome]:
    """Follow a transfer to its end, with no patience at all."""
    names = [one.name for one in members]
    party, settings = Party(members, CARGO), SwarmSettings(patience=0.0, idle=idle)
    handout = Handout(party, CARGO, names[0], names[1:], settings)
    handout.add(file.path for file in CARGO.manifest.files)
    handout.close()
    drive = Drive(party, CARGO, handout, settings, begin)
    drive.begin(names[0], names[1:], Ground(told=dict.fromkeys(names, HEALTHY)), ignore)
    drive.follow()
    return drive.outcomes


def test_a_source_that_stays_away_ends_the_wait_of_those_that_miss_something() -> None:
    (outcome,) = driven(member(1, status=HostUnreachable("silent")), member(2, status=STATUS)).values()
    assert isinstance(outcome.error, HostUnreachable)
    assert "h1, from which it comes, was lost" in outcome.error.what
    assert "run it again once h1 is back" in str(outcome.error.hint)


def test_a_host_to_which_nothing_came_for_long_says_so() -> None:
    sealed = {**STATUS, "status": [{**PART, "sealed": [0, 1]}]}
    (outcome,) = driven(member(1, status=sealed, take={"groups": []}), member(2, status=STATUS), idle=0.2).values()
    assert outcome.error is not None
    assert outcome.error.what == "nothing has come or gone for 0 s"


def test_a_host_that_ended_while_the_source_had_nothing_to_give_is_started_again() -> None:
    started: list[str] = []
    idle, whole = ({**PART, "state": "idle"}, {**PART, "verified": 2, "sealed": [0, 1]})
    target = ToldHost("h2", look=HEALTHY, close={"records": []}, status={**STATUS, "runs": False, "status": [idle]})

    def begin(hosts: Sequence[str]) -> dict[str, Any]:
        if "h1" not in hosts and hosts:
            started.extend(hosts)
            target.answers["status"] = {**STATUS, "status": [whole]}
        return {}

    source = member(1, status={**STATUS, "status": [whole]}, take={"groups": []})
    (outcome,) = driven(source, Member(cast(Session, target), "10.0.0.2"), begin=begin).values()
    assert started == ["h2"]
    assert outcome.error is None


def test_a_source_that_was_killed_after_it_had_sealed_everything_is_started_again() -> None:
    whole = {**PART, "verified": 2, "sealed": [0, 1]}
    source = ToldHost("h1", look=HEALTHY, take={"groups": []}, status={**STATUS, "runs": False, "status": [whole]})
    target = ToldHost("h2", look=HEALTHY, close={"records": []}, status=STATUS)

    def begin(hosts: Sequence[str]) -> dict[str, Any]:
        if list(hosts) == ["h1"]:
            source.answers["status"] = target.answers["status"] = {**STATUS, "status": [whole]}
        return {}

    members = (Member(cast(Session, host), f"10.0.0.{number}") for number, host in enumerate((source, target), 1))
    (outcome,) = driven(*members, begin=begin).values()
    assert outcome.error is None


def test_hosts_that_are_lost_while_the_source_still_gets_files_are_waited_for() -> None:
    gone = member(2, status=HostUnreachable("silent"))
    names = ["h1", "h2"]
    party, settings = Party([member(1, status=STATUS), gone], CARGO), SwarmSettings(patience=0.0)
    handout = Handout(party, CARGO, "h1", ["h2"], settings)
    drive = Drive(party, CARGO, handout, settings, lambda hosts: {})
    drive.begin("h1", ["h2"], Ground(told=dict.fromkeys(names, HEALTHY)), ignore)
    following = threading.Thread(target=drive.follow, daemon=True)
    following.start()
    time.sleep(0.5)
    assert drive.outcomes == {}
    drive.left = True
    handout.news.set()
    following.join(10)
    assert not following.is_alive()


def test_over_ipv6_connections_come_from_the_address_itself() -> None:
    first, second = (Member(cast(Session, ToldHost(f"h{n}")), f"fd00::{n}", interface="eth0") for n in (1, 2))
    told = configuration(CARGO, second, first, [second], replace(SwarmSettings(), sessions=1))
    assert (told["address"], told["interface"]) == ("fd00::2", "")


@pytest.mark.parametrize(
    ("written", "address"),
    [("10.0.0.7", "10.0.0.7"), ("FD00:0:0::0007", "fd00::7"), ("localhost", ""), ("no-such-name.invalid", "")],
)
def test_addresses_are_spelled_as_sockets_tell_them(written: str, address: str) -> None:
    access = Access(FakeTransport(), lambda host: None)
    host = Host("h1", variables={"r1fleet_address": written, "r1fleet_interface": "eth0"})
    with Contact(access, [host]) as contact:
        if address:
            assert members_of(contact, access, ["h1"])["h1"].address == address
        else:
            with pytest.raises(HostFailed, match="is no address where other hosts reach it"):
                members_of(contact, access, ["h1"])


PROGRAM = "import time\ntime.sleep(30)\n"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nobody waits for what is detached
def test_without_systemd_a_program_is_started_once_and_one_of_several_is_enough_to_keep_others_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swarm_unit, "has_systemd", lambda: False)
    monkeypatch.setattr(swarm_unit, "UNITS", str(tmp_path / "units"))
    (tmp_path / "one" / "lib").mkdir(parents=True)
    code = [{"path": f"r1fleet/{name}.py", "content": ""} for name in ("__init__", "agent/__init__")]
    code.append({"path": "r1fleet/agent/swarm.py", "content": PROGRAM})
    config = {"role": "source", "sessions": 2, "unit": "none-%d"}
    state, one = str(tmp_path), {"state": str(tmp_path), "name": "one"}

    started = [well("fleet_swarm", action="begin", config=config, code=code, **one)["started"] for _ in range(2)]

    assert started == [[0, 1], []]
    pids = [json.loads((tmp_path / "one" / f"status-{part}.json").read_text())["pid"] for part in (0, 1)]
    os.kill(pids[0], 9)
    os.waitpid(pids[0], 0)
    look = {"action": "look", "state": state, "manifest": {"name": MANIFEST}}
    assert well("fleet_swarm", name="other", **look)["others"] == ["one"]
    assert well("fleet_swarm", name="one", **look)["runs"] is True
    assert well("fleet_swarm", name="one", action="status", state=state)["runs"] is False
    well("fleet_swarm", action="end", **one)
    os.waitpid(pids[1], 0)
    assert well("fleet_swarm", name="other", **look)["others"] == []


@pytest.mark.parametrize(
    ("address", "reason"), [("127.0.0.1", "Address already in use"), ("192.0.2.1", "Cannot assign")]
)
def test_a_program_that_cannot_listen_says_where_and_ends(
    address: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "libtorrent", MagicMock())
    swarm = importlib.import_module("r1fleet.agent.swarm")
    monkeypatch.setattr(swarm, "TAKEN", 0.3)
    monkeypatch.setattr(swarm_unit, "UNITS", str(tmp_path / "units"))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        limits = {"sessions": 2, "first_port": port - 1, "idle": 0.3}
        config = {"role": "target", "folder": str(tmp_path), "address": address, "unit": "none-%d", **limits}
        (tmp_path / "config.json").write_text(json.dumps(config))
        swarm.Node(str(tmp_path), 1).serve()
    told = json.loads((tmp_path / "status-1.json").read_text())
    assert told["state"] == "failed"
    assert f"cannot listen on port {port} of {address}: {reason}" in told["error"]
    assert figures([told]).error == told["error"]


def test_a_host_asks_the_farther_ahead_the_more_it_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    libtorrent = MagicMock()
    monkeypatch.setitem(sys.modules, "libtorrent", libtorrent)
    monkeypatch.delitem(sys.modules, "r1fleet.agent.swarm_session", raising=False)
    session = importlib.import_module("r1fleet.agent.swarm_session")
    limits = {"sessions": 1, "rate": 0, "interface": ""}
    wire = session.Wire({"address": "10.0.0.1", "peers": ["10.0.0.2"], **limits}, 26881)
    asked = libtorrent.session.return_value.apply_settings
    for behind in (0.0, 1.9, 3.9, 4.0, 4.5, 300.0, 0.5):
        wire.ask_ahead(behind)
    assert [call.args[0] for call in asked.call_args_list] == [{"request_queue_time": ahead} for ahead in (2, 1)]


def member(number: int, **answers: Any) -> Member:
    host = ToldHost(f"h{number}", **{"look": HEALTHY, **answers})
    return Member(cast(Session, host), f"10.0.0.{number}")


def looked(*targets: Member, source: Member | None = None) -> Any:
    first = source or member(1)
    return look(Party((first, *targets), CARGO), CARGO, first, targets, SwarmSettings())


def test_hosts_that_have_the_set_or_cannot_take_it_are_told_apart() -> None:
    found = looked(
        member(2),
        member(3, look={**HEALTHY, "published": CARGO.manifest.text}),
        member(4, look={**HEALTHY, "free": GB}),
        member(5, look={**HEALTHY, "writable": False}),
        member(6, look={**HEALTHY, "published": '{"name": "damaged"'}),
        member(7, look=HostFailed("no such user")),
        member(8, look={**HEALTHY, "free": 0, "missing": 0}),
    )
    assert sorted(found.told) == ["h1", "h2", "h6", "h8"]
    assert found.held == {"h3"}
    assert str(found.unfit["h4"]).startswith("host h4: no space for /weights/org--model@1: 5.0 GB are to come, 1.0 GB")
    assert "read-only" in found.unfit["h5"].what
    assert found.unfit["h7"].what == "no such user"


def test_a_second_transfer_to_a_host_is_refused() -> None:
    with pytest.raises(LockHeld, match="another set is on its way to this host"):
        looked(member(2), member(3, look={**HEALTHY, "others": ["0123456789ab"]}))


def test_a_source_that_cannot_be_asked_ends_it() -> None:
    with pytest.raises(HostFailed, match="gone"):
        looked(member(2), source=member(1, look=HostFailed("gone")))


def test_every_blocked_pair_is_named_with_what_to_open() -> None:
    def row(host: int, problem: str = "") -> dict[str, Any]:
        return {"host": f"h{host}", "address": f"10.0.0.{host}", "port": 7000, "problem": problem}

    listens = {"ports": [7000]}
    members = [
        member(1, listen=listens, connect={"tried": [row(2), row(3)]}),
        member(2, listen=listens, connect={"tried": [row(1), row(3, "no answer")]}),
        member(3, listen=listens, connect={"tried": [row(1), row(2, "no answer")]}),
    ]
    with pytest.raises(HostFailed) as caught:
        check_ways(Party(members, CARGO), members, SwarmSettings(first_port=7000, sessions=1))
    assert caught.value.what == (
        "hosts cannot connect to each other: h2 -> h3 (10.0.0.3) port 7000: no answer; "
        "h3 -> h2 (10.0.0.2) port 7000: no answer"
    )
    assert "open TCP 7000 between the hosts" in str(caught.value.hint)
    assert all(cast(ToldHost, one.session).calls[-1].args["action"] == "end" for one in members)


def test_a_port_that_is_taken_is_named() -> None:
    members = [member(1, listen={"ports": [7000, 7001]}), member(2, listen={"ports": [7000]})]
    with pytest.raises(HostFailed, match=r"port 7001 at 10\.0\.0\.2 is in use"):
        check_ways(Party(members, CARGO), members, SwarmSettings(first_port=7000, sessions=2))


def test_hosts_that_all_have_the_set_are_done_without_a_start() -> None:
    told: list[Event] = []
    has = member(2, look={**HEALTHY, "published": CARGO.manifest.text})
    source = member(1)
    swarm = Swarm(CARGO, source, [has], SwarmSettings(), told.append)
    swarm.start()
    swarm.add(file.path for file in CARGO.manifest.files)
    assert [(one.host, one.changed, one.error) for one in swarm.finish()] == [("h2", False, None)]
    assert [(one.state, one.host) for one in told if isinstance(one, Step)] == [("skipped", "h2")]
    actions = {call.args["action"] for one in (source, has) for call in cast(ToldHost, one.session).calls}
    assert actions == {"look"}


def test_a_host_without_a_wheel_is_named_with_its_python() -> None:
    told: list[Event] = []
    old = member(2, look={**HEALTHY, "python": "3.8"})

    def only_for_311(platform: Platform) -> Path | None:
        return Path(__file__) if platform.python == "3.11" else None

    Swarm(CARGO, member(1), [old], SwarmSettings(wheel_for=only_for_311), told.append).start()
    (note,) = (one for one in told if isinstance(one, Note))
    assert (note.host, note.level) == ("h2", "warning")
    assert "a copy streamed by the controller: h2: there is no libtorrent for Python 3.8 on x86_64" in note.text


def test_the_wheel_is_downloaded_once_for_each_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R1FLEET_CACHE", str(tmp_path))
    asked: list[Target] = []

    def download(pins: tuple[Pin, ...], target: Target, folder: Path) -> None:
        asked.append(target)
        name = f"{pins[0].stem}-{pins[0].version}-cp311-cp311-manylinux2014_{target.machine}.whl"
        (folder / name).write_bytes(b"PK\x05\x06" + bytes(18))

    first, second = (libtorrent_wheel(Platform("3.11", "x86_64", 36), download) for _ in range(2))
    assert first == second
    assert first is not None
    assert first.is_file()
    assert asked == [Target("3.11", "x86_64", 36)]


def test_a_lost_host_is_called_back_and_goes_on_with_its_new_session() -> None:
    gone = HostUnreachable("silent for 10 seconds")
    back = ToldHost("h2", status={"runs": True})
    lost = replace(member(2, status=gone), reopen=lambda: cast(Session, back))
    party = Party([lost], CARGO)
    assert party.ask("status", {"h2": {}}) == {"h2": gone}
    assert party.ask("status", {"h2": {}}) == {"h2": gone}
    assert len(cast(ToldHost, lost.session).calls) == 1
    deadline = time.monotonic() + 10
    while party.lost and time.monotonic() < deadline:
        party.call_back()
    assert party.ask("status", {"h2": {}}) == {"h2": {"runs": True}}


def test_a_copy_by_the_controller_takes_the_session_that_a_lost_host_has_by_then() -> None:
    gone = HostUnreachable("silent for 10 seconds")
    back = ToldHost("h2")
    lost, stays = replace(member(2, ping=gone), reopen=lambda: cast(Session, back)), member(3)
    party = Party([lost, stays], CARGO)
    assert party.reaches(["h3", "h2"]) == [(stays.session, None), (back, None)]
    assert party.lost == {}


# --- progress --------------------------------------------------------------------------------------


def test_what_hosts_write_becomes_rate_time_left_and_what_is_verified() -> None:
    peers = ["10.0.0.1", "10.0.0.3"]
    moved = {"done": GB, "received": GB, "sent": 5, "rate": 1e8, "sending": 2e8}
    part = {**PART, **moved, "peers": peers, "verifying": ["a"], "sealed": [0]}
    now = figures(
        [part, {}, {"pid": 7}, {**part, "peers": ["10.0.0.3"], "verifying": [], "sealed": [1], "state": "idle"}]
    )
    event = transfer("h2", "/weights/m", CARGO.manifest, now, is_source=False)
    assert (event.host, event.state, event.done, event.total) == ("h2", "running", 2 * GB, 5 * GB + 1)
    assert (event.rate, event.sending, event.peers, event.verifying) == (2e8, 4e8, 2, ("a",))
    assert event.left == pytest.approx(15, abs=0.1)
    assert (now.sealed, now.idle) == (frozenset({0, 1}), True)
    assert MANIFEST not in {file.path for file in CARGO.manifest.files}
