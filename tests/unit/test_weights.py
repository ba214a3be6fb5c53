"""Sealed folders: what is refused, and how they come to other hosts. The agent is real; each host is a folder."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from r1fleet.agent import pace
from r1fleet.agent.context import Context
from r1fleet.agent.outcome import ModuleFailed
from r1fleet.agent.soundness import problems
from r1fleet.errors import HostFailed, HostUnreachable, Where
from r1fleet.events import Event, Observer, Step, ignore
from r1fleet.local.session import LocalSession
from r1fleet.modules import fleet_publish
from r1fleet.transport import Become, Call, Completed, Reply
from r1fleet.transport.wire import Wire
from r1fleet.weights import MANIFEST, HostOutcome, parse, read_manifest, stream
from r1fleet.weights.cargo import Cargo
from tests.invoking import well

PATH = "/weights/org--model@main"
PLACES = ("path", "src", "dest", "staged", "target")


class FolderHost:
    """A host whose root is a folder: the agent of this machine, with every path moved below it."""

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root
        self.agent = LocalSession(name)
        self.lost = self.stuck = False
        self.slow = 0.0
        self.sent: list[str] = []

    def submit(self, call: Call, on_output: Callable[[str], None] | None = None) -> Future[Reply]:
        if self.lost:
            raise HostUnreachable("gone", where=Where(host=self.name))
        if self.stuck and call.module == "copy":
            return Future()
        blobs = tuple(replace(blob, open=self._noted(blob.sha256, blob.open)) for blob in call.blobs)
        return self.agent.submit(replace(call, args=self._moved(call.args), blobs=blobs), on_output)

    def run(self, call: Call) -> Reply:
        return self.submit(call).result()

    def execute(self, command: str, *, stdin: bytes = b"", timeout: float | None = None) -> Completed:
        raise NotImplementedError

    def pipe(self, command: str) -> Wire:
        raise NotImplementedError

    def fetch(self, path: str, target: Path, *, become: Become | None = None, rate: int = 0) -> Reply:
        return self.agent.fetch(f"{self.root}{path}", target, become=become, rate=rate)

    def close(self) -> None:
        self.agent.close()

    def _moved(self, args: Any) -> dict[str, Any]:
        return {name: f"{self.root}{value}" if name in PLACES else value for name, value in args.items()}

    def _noted(self, sha256: str, opened: Callable[[], Any]) -> Callable[[], Any]:
        def note() -> Any:
            self.sent.append(sha256)
            time.sleep(self.slow)
            return opened()

        return note


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R1FLEET_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[FolderHost]]:
    made = [FolderHost(name, tmp_path / name) for name in ("h1", "h2", "h3")]
    for host in made:
        (host.root / "weights").mkdir(parents=True)
        host.agent.start()
    yield made
    for host in made:
        host.close()


def shard(*values: int) -> bytes:
    header = json.dumps({"w": {"dtype": "U8", "shape": [len(values)], "data_offsets": [0, len(values)]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(values)


def seal(host: FolderHost, **files: bytes) -> Path:
    folder = host.root / PATH.lstrip("/")
    folder.mkdir()
    rows = []
    for name, content in files.items():
        path = name.replace("__", "/").replace("_", ".")
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(content)
        rows.append({"path": path, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()})
    (folder / MANIFEST).write_text(json.dumps({"schema": 1, "name": "model", "files": rows}))
    return folder


def copied(
    source: FolderHost, targets: Sequence[FolderHost], observer: Observer = ignore, rate: int = 0
) -> tuple[HostOutcome, ...]:
    manifest = read_manifest(source, PATH)
    assert manifest is not None
    return stream(
        Cargo(manifest, PATH, PATH), (source, None), [(target, None) for target in targets], observer, rate=rate
    )


def held(host: FolderHost) -> dict[str, bytes]:
    folder = host.root / PATH.lstrip("/")
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def leftovers(host: FolderHost) -> list[str]:
    return [path.name for path in (host.root / "weights").iterdir() if path.name != Path(PATH).name]


def test_every_target_gets_the_whole_folder_and_nothing_else(hosts: list[FolderHost]) -> None:
    seal(hosts[0], config_json=b"{}", model_safetensors=shard(1, 2, 3), extra__deep_txt=b"deep")
    done = copied(hosts[0], hosts[1:])
    assert [(outcome.host, outcome.changed) for outcome in done] == [("h2", True), ("h3", True)]
    assert not any(outcome.error for outcome in done)
    assert held(hosts[1]) == held(hosts[2]) == held(hosts[0])
    assert leftovers(hosts[1]) == []


def test_a_second_sync_changes_nothing_and_sends_nothing(hosts: list[FolderHost]) -> None:
    seal(hosts[0], config_json=b"{}")
    copied(hosts[0], hosts[1:])
    hosts[1].sent.clear()
    done = copied(hosts[0], hosts[1:])
    assert not any(outcome.changed for outcome in done)
    assert hosts[1].sent == []


def test_other_content_under_the_same_name_is_replaced_whole(hosts: list[FolderHost]) -> None:
    seal(hosts[0], config_json=b"new")
    seal(hosts[1], config_json=b"old", gone_json=b"old")
    copied(hosts[0], hosts[1:2])
    assert held(hosts[1]) == held(hosts[0])
    assert leftovers(hosts[1]) == []


@pytest.mark.parametrize("exchanges", [True, False])
@pytest.mark.parametrize("kind", ["folder", "link"])
def test_a_published_folder_takes_the_place_of_what_was_there(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, *, exchanges: bool
) -> None:
    staged, target, elsewhere = tmp_path / ".model.part", tmp_path / "model", tmp_path / "elsewhere"
    for folder in (staged, elsewhere):
        folder.mkdir()
    (staged / "new").write_bytes(b"new")
    given = published(staged, target, "new")
    (elsewhere / "old").touch()
    target.symlink_to(elsewhere) if kind == "link" else elsewhere.rename(target)
    if not exchanges:
        monkeypatch.setattr(fleet_publish, "_exchange", lambda *_: False)

    fleet_publish.run(Context(given))

    assert {path.name for path in target.iterdir()} == {"new", MANIFEST}
    assert {path.name for path in tmp_path.iterdir()} == {"model"} | ({"elsewhere"} if kind == "link" else set())


def test_what_was_there_comes_back_where_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged, target = tmp_path / ".model.part", tmp_path / "model"
    target.mkdir()
    given = published(staged, target)
    (target / "old").touch()
    rename = os.rename

    def failing(old: str, new: str) -> None:
        if old == str(staged):
            raise OSError(errno.EIO, "Input/output error")
        rename(old, new)

    monkeypatch.setattr(fleet_publish, "_exchange", lambda *_: False)
    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(ModuleFailed, match="Input/output error"):
        fleet_publish.run(Context(given))
    assert (target / "old").exists()


def published(staged: Path, target: Path, *names: str) -> dict[str, Any]:
    """Stage and seal files that hold their own names; return what fleet_publish is asked for them."""
    staged.mkdir(exist_ok=True)
    for name in names:
        (staged / name).write_text(name)
    rows = [{"path": name, "sha256": hashlib.sha256(name.encode()).hexdigest()} for name in names]
    (staged / MANIFEST).write_text(json.dumps({"files": rows}))
    sha256 = hashlib.sha256((staged / MANIFEST).read_bytes()).hexdigest()
    return {"staged": str(staged), "target": str(target), "manifest": MANIFEST, "sha256": sha256}


@pytest.mark.parametrize("cut", ["at the removal", "within it", "before the old one was put aside"])
def test_a_publish_that_is_asked_twice_does_not_bring_back_what_was_there(
    tmp_path: Path, cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged, target = tmp_path / ".model.fetch.part", tmp_path / "model"
    published(target, target, "old", "older")
    given = {**published(staged, target, "new"), "verified": True}
    with monkeypatch.context() as patched:
        patched.setattr(fleet_publish, "_remove", lambda path: None)  # the connection was lost, and the agent with it
        assert fleet_publish.run(Context(given))["changed"]
    gone = tmp_path / ".model.gone.part"
    assert {path.name for path in tmp_path.iterdir()} == {"model", gone.name}
    if cut == "within it":
        (gone / "old").unlink()
    elif cut == "before the old one was put aside":
        gone.rename(staged)

    assert not fleet_publish.run(Context(given))["changed"]

    assert {path.name for path in target.iterdir()} == {"new", MANIFEST}
    assert not gone.exists()


def test_a_publish_takes_no_folder_but_the_one_that_it_is_for(tmp_path: Path) -> None:
    staged, target = tmp_path / ".model.fetch.part", tmp_path / "model"
    given = published(staged, target, "new")
    published(staged, target, "other")
    with pytest.raises(ModuleFailed, match=r"\.model\.fetch\.part does not hold what was to be published"):
        fleet_publish.run(Context(given))
    assert not target.exists()


def test_what_is_left_of_a_folder_that_was_replaced_counts_as_partial_and_goes_with_the_next(tmp_path: Path) -> None:
    target = tmp_path / "model"
    (tmp_path / ".model.gone.part").mkdir()
    (tmp_path / ".model.gone.part" / "left").write_bytes(b"x" * 5000)
    (entry,) = well("fleet_shelf", action="list", folders=[str(tmp_path)])["entries"]
    (folder,) = well("fleet_weights", paths=[str(target)])["folders"]
    assert (entry["kind"], folder["staged"]) == ("partial", 0)
    fleet_publish.run(Context(published(tmp_path / ".model.fetch.part", target, "new")))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_files_that_were_staged_before_do_not_travel_again(hosts: list[FolderHost]) -> None:
    seal(hosts[0], config_json=b"{}", model_safetensors=shard(7))
    digest = parse((hosts[0].root / PATH.lstrip("/") / MANIFEST).read_text(), Where()).digest
    staged = hosts[1].root / "weights" / f".{Path(PATH).name}.{digest[:12]}.part"
    staged.mkdir()
    (staged / "model.safetensors").write_bytes(shard(7))
    (staged / "stray").write_text("of an older try")
    copied(hosts[0], hosts[1:2])
    assert hashlib.sha256(shard(7)).hexdigest() not in hosts[1].sent
    assert held(hosts[1]) == held(hosts[0])


def test_a_lost_target_stops_no_other(hosts: list[FolderHost]) -> None:
    seal(hosts[0], config_json=b"{}")
    hosts[1].lost = True
    done = copied(hosts[0], hosts[1:])
    assert [outcome.host for outcome in done if outcome.error] == ["h2"]
    assert held(hosts[2]) == held(hosts[0])


def test_a_source_that_is_not_what_its_manifest_says_is_refused(hosts: list[FolderHost]) -> None:
    folder = seal(hosts[0], config_json=b"{}")
    (folder / "config.json").write_bytes(b"[]")
    with pytest.raises(HostFailed, match="not what its manifest says"):
        copied(hosts[0], hosts[1:])
    assert leftovers(hosts[1]) == []


def test_an_unsound_source_is_refused_before_anything_is_sent(hosts: list[FolderHost]) -> None:
    seal(hosts[0], model_safetensors=shard(1, 2, 3)[:-1])
    with pytest.raises(HostFailed, match=r"model\.safetensors has \d+ bytes where its header says \d+"):
        copied(hosts[0], hosts[1:])
    assert hosts[1].sent == []


def test_a_damaged_seal_on_a_target_is_replaced_with_its_folder(hosts: list[FolderHost]) -> None:
    seal(hosts[0], config_json=b"{}")
    folder = seal(hosts[1], config_json=b"{}")
    (folder / MANIFEST).write_text((folder / MANIFEST).read_text().replace("config.json", "../config.json"))
    assert [outcome.error for outcome in copied(hosts[0], hosts[1:2])] == [None]
    assert held(hosts[1]) == held(hosts[0])


def test_a_copy_tells_how_far_it_is(hosts: list[FolderHost]) -> None:
    seal(hosts[0], config_json=b"{}", model_bin=bytes(1000))
    hosts[1].slow = 0.6
    told: list[Event] = []
    copied(hosts[0], hosts[1:2], told.append)
    running = [one.done for one in told if isinstance(one, Step) and one.state == "running"]
    assert running[0] == 0
    assert running[-1] > 0


def test_a_rate_holds_from_the_source_and_to_every_target(hosts: list[FolderHost]) -> None:
    seal(hosts[0], config_json=b"{}", model_bin=os.urandom(300_000))
    began = time.monotonic()
    copied(hosts[0], hosts[1:], rate=600_000)
    assert time.monotonic() - began >= 2 * 0.5  # to the controller, then from there to both at once
    began = time.monotonic()
    shutil.rmtree(hosts[1].root / PATH.lstrip("/"))
    copied(hosts[0], hosts[1:2], rate=600_000)  # the controller has it still
    assert time.monotonic() - began >= 0.5
    assert held(hosts[1]) == held(hosts[0])


def test_ctrl_c_ends_a_copy_that_is_under_way(hosts: list[FolderHost]) -> None:
    seal(hosts[0], config_json=b"{}")
    hosts[1].stuck = True
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background has none
    threading.Timer(0.3, signal.pthread_kill, (threading.get_ident(), signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            copied(hosts[0], hosts[1:2])
    finally:
        signal.signal(signal.SIGINT, before)
    assert not (hosts[1].root / PATH.lstrip("/")).exists()


@pytest.mark.parametrize(
    "path", ["../outside", "a/../../b", "/etc/passwd", "", ".", "./a", "a//b", "a/", "a\0b", "a\ud800", MANIFEST]
)
def test_a_manifest_never_leads_out_of_its_folder(path: str) -> None:
    text = json.dumps({"name": "model", "files": [{"path": path, "size": 1, "sha256": "0" * 64}]})
    with pytest.raises(HostFailed, match="damaged"):
        parse(text, Where(host="h1"))


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"path": "a"}, {"path": "a"}], "names a file twice"),
        ([{"path": "a"}, {"path": "a/b"}], "'a' is a file, and 'a/b' lies in it"),
        ([{"path": "a", "link": "/etc/passwd"}], "is a link"),
        ([{"path": "a", "kind": "symlink"}], "is a link"),
        ([{"path": "a", "size": float("inf")}], "damaged"),
    ],
)
def test_a_manifest_names_plain_files_once(rows: list[dict[str, Any]], told: str) -> None:
    text = json.dumps({"name": "model", "files": [{"size": 1, "sha256": "0" * 64, **row} for row in rows]})
    with pytest.raises(HostFailed, match=told):
        parse(text, Where(host="h1"))


def test_the_digest_follows_content_not_order() -> None:
    rows = [{"path": name, "size": 1, "sha256": digit * 64} for name, digit in (("a", "1"), ("b", "2"))]
    text, turned = (json.dumps({"name": "model", "files": files}) for files in (rows, rows[::-1]))
    other = json.dumps({"name": "model", "files": [rows[0], {**rows[1], "sha256": "3" * 64}]})
    assert parse(text, Where()).digest == parse(turned, Where()).digest
    assert parse(text, Where()).digest != parse(other, Where()).digest


INDEX = json.dumps({"weight_map": {"w": "model-2.safetensors"}}).encode()
ZIPPED = b"PK\x03\x04" + bytes(40) + b"PK\x05\x06" + bytes(18)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("model.safetensors", shard(1, 2), None),
        ("model.safetensors", shard(1, 2)[:4], "cut short"),
        ("model.safetensors", shard(1, 2) + b"more", "where its header says"),
        ("model.safetensors", struct.pack("<Q", 2) + b"]]", "damaged safetensors header"),
        ("model.safetensors", POINTER, "git-lfs pointer"),
        ("tokenizer.json", POINTER, "git-lfs pointer"),
        ("model.safetensors.index.json", INDEX, "model-2.safetensors, which"),
        ("model.safetensors.index.json", b'{"weight_map": ["w"]}', "is damaged"),
        ("model.safetensors", shard(1, 2).replace(b"[0, 2]", b"[1, 2]"), "damaged safetensors header"),
        ("model.safetensors", shard(1, 2).replace(b'"data_offsets"', b'"data_offset_"'), "damaged safetensors header"),
        ("model.safetensors.incomplete", b"x", "unfinished download"),
        ("pytorch_model.bin", ZIPPED, None),
        ("pytorch_model.bin", ZIPPED[:-30], "was cut short"),
    ],
)
def test_files_that_no_engine_could_load_are_told(name: str, content: bytes, told: str | None, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    found = tuple(problems(str(tmp_path)))
    assert bool(found) is (told is not None)
    assert all(str(told) in line for line in found)


def test_a_dangling_link_is_told(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").symlink_to("../blobs/none")
    assert tuple(problems(str(tmp_path))) == ("model.safetensors is a link to a file that is not there",)


def test_a_pace_makes_up_for_what_was_lost_a_moment_ago_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    held = pace.Pace(1000)
    for _ in range(10):
        now[0] += 0.1  # what it takes to send
        held.wait(200)
    assert now[0] == pytest.approx(102.0)
    now[0] += 10
    held.wait(2000)
    assert now[0] == pytest.approx(102.0 + 10 + 2.0 - 0.5)
