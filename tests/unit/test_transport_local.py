"""The agent as a local subprocess: the whole protocol without a network."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from r1fleet.agent import frames
from r1fleet.cli.connect import connector
from r1fleet.errors import HostFailed, HostUnreachable, InventoryError
from r1fleet.inventory import Host
from r1fleet.transport import Blob, Call, Session, bundle
from r1fleet.transport.fetch import fetch, fetching
from r1fleet.transport.greeting import Greeting, remote_command

PROBE = """
import os
import signal
import time
ARGUMENTS = {"do": {"type": "str"}, "sha256": {"type": "str"}, "path": {"type": "str"}}
def run(ctx):
    what = ctx.args["do"]
    if what == "blob":
        with open(ctx.blob(ctx.args["sha256"]), "rb") as stream:
            return {"size": len(stream.read()), "places": os.listdir(os.path.expandvars("$SPACE"))}
    if what == "pid":
        ctx.cache["count"] = ctx.cache.get("count", 0) + 1
        return {"pid": os.getpid(), "count": ctx.cache["count"], "said": print("noise")}
    if what == "sleep":
        ctx.progress("asleep")
        __import__("time").sleep(600)
    if what == "end":
        os._exit(1)
    if what == "odd":
        return {"value": object()}
    return {"bytes": b"caf\\xe9", "set": {1}, "exists": os.path.exists(ctx.args["path"])}
"""


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    transport = connector(modules={"probe": PROBE})
    yield transport.open(Host("here", {"ansible_connection": "local", "ansible_remote_tmp": str(tmp_path)}))
    transport.close()


def probe(session: Session, what: str, **more: Any) -> dict[str, Any]:
    return session.submit(Call("probe", {"do": what, **more})).result(30)


def test_a_host_whose_python_has_another_bytecode_is_sent_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "MARK", b"none")
    bundle.pack.cache_clear()
    try:
        transport = connector(modules={"probe": PROBE})
        session = transport.open(Host("here", {"ansible_connection": "local"}))
        assert probe(session, "pid")["count"] == 1
        crashed = session.run(Call("stat", {"path": "\0"}))
        assert 'File "<r1fleet>/r1fleet/modules/stat.py", line' in crashed["exception"]
        transport.close()
    finally:
        bundle.pack.cache_clear()


def test_calls_share_one_process_and_its_cache_and_may_print(session: Session) -> None:
    first, second = probe(session, "pid"), probe(session, "pid")
    assert (first["pid"], second["count"]) == (second["pid"], 2)


def test_content_lies_in_the_folder_named_and_only_during_the_call(session: Session, tmp_path: Path) -> None:
    content = os.urandom(300_000)
    sha256 = hashlib.sha256(content).hexdigest()
    call = Call(
        "probe",
        {"do": "blob", "sha256": sha256},
        environment={"SPACE": str(tmp_path)},
        blobs=(Blob(sha256, len(content), lambda: io.BytesIO(content)),),
    )
    reply = session.submit(call).result(30)
    assert (reply["size"], len(reply["places"])) == (300_000, 1)
    session.close()
    assert list(tmp_path.iterdir()) == []


def test_content_that_was_not_offered_or_cannot_be_read_fails_the_call(session: Session) -> None:
    assert "not offered" in probe(session, "blob", sha256="0" * 64)["msg"]

    def gone() -> io.BytesIO:
        raise FileNotFoundError(2, "No such file")

    call = Call("probe", {"do": "blob", "sha256": "0" * 64}, blobs=(Blob("0" * 64, 1, gone),))
    assert "No such file" in session.submit(call).result(30)["msg"]


def test_names_and_results_that_are_not_utf8(session: Session, tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    Path(name).touch()
    reply = probe(session, "other", path=name)
    assert reply == {"changed": False, "bytes": "caf\udce9", "set": [1], "exists": True}


def test_a_result_that_is_no_data_is_that_call_s_failure(session: Session) -> None:
    assert "no plain data" in probe(session, "odd")["msg"]


def test_a_time_limit_ends_a_module_that_sleeps(session: Session) -> None:
    reply = session.submit(Call("probe", {"do": "sleep"}, timeout=0.5)).result(30)
    assert reply["failed"]
    assert reply["timedout"] == {"period": 0.5}
    assert reply["msg"] == "Timed out after 0.5 second(s)."


def test_cancelling_ends_a_running_and_a_waiting_call(session: Session) -> None:
    lines: list[str] = []
    running = session.submit(Call("probe", {"do": "sleep"}), lines.append)
    waiting = session.submit(Call("probe", {"do": "sleep"}))
    last = session.submit(Call("ping"))
    assert waiting.cancel()
    assert running.cancel()
    assert last.result(30)["ping"] == "pong"


def test_an_agent_that_dies_fails_what_waits_and_what_comes(session: Session) -> None:
    dying, waiting = session.submit(Call("probe", {"do": "end"})), session.submit(Call("ping"))
    assert isinstance(dying.exception(30), HostUnreachable)
    assert isinstance(waiting.exception(30), HostUnreachable)
    assert isinstance(session.submit(Call("ping")).exception(30), HostUnreachable)


def test_a_closed_session_says_so_and_closes_twice(session: Session) -> None:
    session.close()
    session.close()
    assert isinstance(session.submit(Call("ping")).exception(5), HostUnreachable)


def test_fetch_replaces_the_target_or_leaves_it(session: Session, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "deep" / "target"
    source.write_bytes(os.urandom(200_000))
    assert session.fetch(str(source), target)["size"] == 200_000
    assert target.read_bytes() == source.read_bytes()
    assert session.fetch(str(tmp_path / "none"), target)["absent"]
    assert target.read_bytes() == source.read_bytes()
    assert list(target.parent.iterdir()) == [target]


def test_plain_commands(session: Session) -> None:
    done = session.execute("cat; exit 2", stdin=b"x")
    assert (done.rc, done.stdout) == (2, b"x")
    with pytest.raises(HostFailed, match="timed out"):
        session.execute("sleep 600", timeout=0.2)


def test_an_interpreter_that_is_not_there_and_one_that_is_no_python() -> None:
    for path, words in (("/no/python", "cannot start"), ("/bin/false", "could not be started")):
        host = Host("here", {"ansible_connection": "local", "ansible_python_interpreter": path})
        with pytest.raises(HostUnreachable, match=words):
            connector().open(host)


def test_an_unknown_connection_is_refused() -> None:
    with pytest.raises(InventoryError, match="winrm"):
        connector().open(Host("here", {"ansible_connection": "winrm"}))


# --- codec and greeting ----------------------------------------------------------------------------


def test_frames_survive_any_cut() -> None:
    stream = frames.encode_json(frames.CALL, 7, {"name": "\udce9"}) + frames.encode(frames.DATA, 8, b"\0\xff")
    decoder = frames.Decoder()
    whole = [frame for index in range(len(stream)) for frame in decoder.feed(stream[index : index + 1])]
    assert [(frame.kind, frame.ident) for frame in whole] == [(frames.CALL, 7), (frames.DATA, 8)]
    assert whole[0].json() == {"name": "\udce9"}


@pytest.mark.parametrize("noise", [b"Last login: never, you see", b"\xff" * 40])
def test_what_is_no_frame_is_noticed(noise: bytes) -> None:
    with pytest.raises(frames.BrokenStream):
        list(frames.Decoder().feed(noise))


def test_noise_before_the_marker_is_bounded_and_kept_for_the_message() -> None:
    greeting = Greeting("abc")
    assert greeting.feed(b"Welcome\nabc is not it\n" + b"x" * 5000) is None
    assert greeting.feed(b"\nab") is None
    assert greeting.feed(b"c ready\nrest") == b"rest"
    assert greeting.ready
    assert greeting.noise.startswith("Welcome / abc is not it / xxx")
    assert len(greeting.noise) < 300


def test_endless_noise_is_given_up() -> None:
    greeting = Greeting("abc")
    while not greeting.too_noisy:
        assert greeting.feed(b"y\n" * 50_000) is None


def test_the_remote_line_is_plain_for_every_shell() -> None:
    line = remote_command("abc")
    assert not set(line) & set("\\!\n`")
    assert line.count("'") == 2


def test_an_agent_that_is_told_twice_to_end_ends(session: Session, tmp_path: Path) -> None:
    pid = probe(session, "pid")["pid"]
    begun = tmp_path / "begun"
    future = session.submit(Call("shell", {"cmd": f"trap '' TERM; touch {begun}; sleep 600"}))
    while not begun.exists():
        time.sleep(0.02)
    for _ in range(2):  # as systemd and sudo do when a host goes down
        os.kill(pid, signal.SIGTERM)
        time.sleep(0.1)
    assert "closed by the host" in str(future.exception(10))


def test_a_controller_that_stood_still_is_told_so(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr("r1fleet.transport.link._clock", lambda: now + 3600)
    future = session.submit(Call("probe", {"do": "end"}))
    error = future.exception(10)
    assert isinstance(error, HostUnreachable)
    assert "stood still" in str(error)
    assert "30 seconds" in str(error.hint)


class Cut(Future[Any]):
    """An answer during whose wait Ctrl-C comes."""

    def result(self, timeout: float | None = None) -> Any:
        raise KeyboardInterrupt


def test_what_still_comes_of_a_file_after_ctrl_c_is_dropped_and_nothing_is_left(tmp_path: Path) -> None:
    sinks: list[Callable[[bytes], None]] = []
    coming = Cut()

    def submit(call: Call, sink: Callable[[bytes], None]) -> Cut:
        sinks.append(sink)
        sink(b"first")
        return coming

    with pytest.raises(KeyboardInterrupt):
        fetch("h1", submit, fetching("/data/file", None, 0), tmp_path / "file")
    sinks[0](b"late")
    assert coming.cancelled()
    assert list(tmp_path.iterdir()) == []
