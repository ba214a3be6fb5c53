"""What runs on the hosts for a launch: the lock, the files, the looks, the judge."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from r1fleet.agent import processes
from r1fleet.agent.completion import NoAnswer, complete, key_from
from r1fleet.agent.context import Context, ModuleFailed
from r1fleet.agent.processes import address, listeners, peers
from r1fleet.agent.readiness import Judge
from r1fleet.modules import fleet_check, fleet_lock, fleet_model, fleet_stage, fleet_state, fleet_stop
from r1fleet.status.record import ROOT, SYNCS, lock_of


def run(module: Any, **args: Any) -> dict[str, Any]:
    defaults = {name: row.get("default") for name, row in module.ARGUMENTS.items()}
    return dict(module.run(Context({**defaults, **args})))


# --- the model --------------------------------------------------------------------------------------


def test_a_models_folder_tells_its_configuration_and_the_bytes_of_its_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"hidden_size": 64}')
    for name in ("model-1.safetensors", "model-2.safetensors", "consolidated.safetensors", "notes.txt"):
        (tmp_path / name).write_bytes(b"1234")

    told = run(fleet_model, path=str(tmp_path))

    assert (told["config"], told["weight_bytes"]) == ({"hidden_size": 64}, 8)


@pytest.mark.parametrize("text", ["[1]", "{", "[" * 100_000, '{"a": "' + "x" * 1024 * 1024 + '"}', "\udcff"])
def test_a_configuration_that_is_none_is_no_answer(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text, errors="surrogateescape")

    told = run(fleet_model, path=str(tmp_path))

    assert told["config"] is None
    assert "config.json" in told["problem"]


def test_no_folder_is_no_answer(tmp_path: Path) -> None:
    told = run(fleet_model, path=str(tmp_path / "none"))

    assert (told["config"], told["problem"], told["weight_bytes"]) == (None, "", None)


# --- the lock ---------------------------------------------------------------------------------------


def test_only_one_of_two_gets_the_lock_and_learns_the_owner(tmp_path: Path) -> None:
    path = str(tmp_path / "r1" / "lock")
    assert run(fleet_lock, path=path, action="status")["held"] is None
    assert run(fleet_lock, path=path, action="acquire", owner={"by": "ann", "token": "1"})["acquired"]
    second = run(fleet_lock, path=path, action="acquire", owner={"by": "bob", "token": "2"})
    assert not second["acquired"]
    assert second["held"]["by"] == "ann"
    assert second["held"]["time"] > 0
    assert [path.name for path in (tmp_path / "r1").iterdir()] == ["lock"]


def test_a_lock_is_released_by_its_token_or_by_force(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    run(fleet_lock, path=path, action="acquire", owner={"by": "ann", "token": "1"})
    assert not run(fleet_lock, path=path, action="release", token="2")["released"]
    assert run(fleet_lock, path=path, action="release")["released"]
    assert not run(fleet_lock, path=path, action="release")["released"]
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_is_ones_own_already_is_held(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    run(fleet_lock, path=path, action="acquire", owner={"by": "ann", "token": "1"})
    assert run(fleet_lock, path=path, action="acquire", owner={"by": "ann", "token": "1"})["acquired"]
    assert not run(fleet_lock, path=path, action="acquire", owner={"by": "ann", "token": "2"})["acquired"]


def test_a_release_holds_up_another_that_would_take_the_next_owners_lock_for_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "lock")
    run(fleet_lock, path=path, action="acquire", owner={"by": "ann", "token": "dead"})
    others: list[Thread] = []
    ended: list[bool] = []
    released = shutil.rmtree

    def another_comes(folder: str) -> None:
        monkeypatch.setattr(shutil, "rmtree", released)
        others.append(
            Thread(target=lambda: ended.append(run(fleet_lock, path=path, action="release", token="dead")["released"]))
        )
        others[0].start()
        others[0].join(0.1)
        ended.append(others[0].is_alive())
        released(folder)

    monkeypatch.setattr(shutil, "rmtree", another_comes)
    assert run(fleet_lock, path=path, action="release", token="dead")["released"]
    others[0].join()
    assert ended == [True, False]


def test_the_lock_of_syncs_lies_apart_from_the_models_and_is_shown_as_weights(tmp_path: Path) -> None:
    path = tmp_path / Path(lock_of(SYNCS)).relative_to(ROOT)
    (tmp_path / "weights" / "lock").mkdir(parents=True)  # a folder of models like any other
    assert run(fleet_state, root=str(tmp_path))["deployments"] == []
    run(fleet_lock, path=str(path), action="acquire", owner={"by": "ann", "token": "1"})
    for name in (None, SYNCS):
        (row,) = run(fleet_state, root=str(tmp_path), deployment=name)["deployments"]
        assert (row["name"], row["lock"]["by"]) == ("weights", "ann")
    assert not path.is_relative_to(tmp_path / "weights")


def test_a_lock_whose_owner_cannot_be_read_is_shown_so_that_it_can_be_released(tmp_path: Path) -> None:
    lock = tmp_path / "r1" / "lock"
    lock.mkdir(parents=True)
    (lock / "owner.json").write_text("")  # as a power cut leaves it
    (row,) = run(fleet_state, root=str(tmp_path))["deployments"]
    assert (row["name"], row["lock"]) == ("r1", {})
    assert not run(fleet_lock, path=str(lock), action="acquire", owner={"by": "bob"})["acquired"]
    assert run(fleet_lock, path=str(lock), action="release")["released"]
    assert run(fleet_state, root=str(tmp_path))["deployments"] == []


def test_a_full_disk_leaves_neither_half_a_lock_nor_half_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModuleFailed, match="No space left"):
        run(fleet_lock, path=str(tmp_path / "r1" / "lock"), action="acquire", owner={"by": "ann"})
    with pytest.raises(ModuleFailed, match="No space left"):
        run(fleet_stage, folder=str(tmp_path / "r1"), current={"generation": 1})
    assert list((tmp_path / "r1").iterdir()) == []


# --- files ------------------------------------------------------------------------------------------


def test_files_get_their_modes_and_the_marker_and_journal_come_with_them(tmp_path: Path) -> None:
    folder = tmp_path / "r1"
    files = [{"path": str(folder / "generations/1/a.secrets"), "content": "K=1\n", "mode": 0o400}]
    for _ in range(2):
        run(fleet_stage, folder=str(folder), files=files, current={"generation": 1}, journal={"what": "launch"})
    secret = folder / "generations/1/a.secrets"
    assert secret.read_text() == "K=1\n"
    assert secret.stat().st_mode & 0o777 == 0o400
    assert folder.stat().st_mode & 0o777 == 0o755
    current = json.loads((folder / "current.json").read_text())
    assert (current["generation"], current["schema"]) == (1, 1)
    assert [json.loads(line)["what"] for line in (folder / "journal.jsonl").read_text().splitlines()] == ["launch"] * 2


def test_a_marker_of_another_generation_is_left_alone(tmp_path: Path) -> None:
    folder = str(tmp_path / "r1")
    run(fleet_stage, folder=folder, current={"generation": 2, "state": "starting"})
    reply = run(fleet_stage, folder=folder, current={"generation": 1, "state": "stopped"}, only_generation=1)
    assert reply == {"changed": False, "current": 2}


def test_an_unknown_owner_is_one_clear_message(tmp_path: Path) -> None:
    files = [{"path": str(tmp_path / "x"), "content": "", "mode": 0o400, "owner": "no-such-user"}]
    with pytest.raises(ModuleFailed, match="no user no-such-user"):
        run(fleet_stage, folder=str(tmp_path / "r1"), files=files)


# --- looks ------------------------------------------------------------------------------------------


def looked(**row: Any) -> dict[str, Any]:
    return dict(run(fleet_check, checks=[row])["answers"][0])


def test_a_model_needs_its_folder_and_its_config(tmp_path: Path) -> None:
    assert "is not there" in looked(kind="model", path=str(tmp_path / "m"), manifests=[])["detail"]
    assert "no config.json" in looked(kind="model", path=str(tmp_path), manifests=[])["detail"]
    (tmp_path / "config.json").write_text("{}")
    bare = looked(kind="model", path=str(tmp_path), manifests=["manifest.json"])
    assert (bare["ok"], bare["value"]) == (True, "")
    (tmp_path / "manifest.json").write_text("one")
    first = looked(kind="model", path=str(tmp_path), manifests=["manifest.json"])["value"]
    (tmp_path / "manifest.json").write_text("two")
    assert first != looked(kind="model", path=str(tmp_path), manifests=["manifest.json"])["value"]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_listening_port_names_its_holder_without_a_connection(family: socket.AddressFamily) -> None:
    with socket.create_server(("", 0), family=family) as server:
        port = server.getsockname()[1]
        server.setblocking(False)
        answer = looked(kind="port", port=port, purpose="endpoint")
        assert not answer["ok"]
        assert f"pid {os.getpid()} (" in answer["detail"]
        with pytest.raises(BlockingIOError):
            server.accept()
    assert looked(kind="port", port=port, purpose="endpoint")["ok"]


@pytest.mark.parametrize(
    ("name", "means", "ok", "detail"),
    [
        ("leader.cluster", ["10.0.0.1"], True, "10.0.0.1"),
        ("leader.cluster", ["127.0.1.1"], False, "resolves to 127.0.1.1, this host's own loopback"),
        ("nowhere.cluster", [], False, "nowhere.cluster does not resolve"),
    ],
)
def test_a_name_must_mean_the_same_host_to_all(
    monkeypatch: pytest.MonkeyPatch, name: str, means: list[str], ok: bool, detail: str
) -> None:
    def asked(host: str, port: object, **more: object) -> list[Any]:
        if not means:
            raise socket.gaierror(-2, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in means]

    monkeypatch.setattr(socket, "getaddrinfo", asked)
    answer = looked(kind="resolves", name=name)

    assert answer["ok"] is ok
    assert detail in answer["detail"]


def test_connections_to_a_port_tell_their_peers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert peers(port) == set()
        with socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0)):
            assert peers(port) == {"127.0.0.2"}
            assert listeners([port]) == {port: [os.getpid()]}


@pytest.mark.parametrize(
    ("kernel", "usual"),
    [
        ("0B4D0A0A", "10.10.77.11"),
        ("0000000000000000FFFF00000B004D0A", "10.77.0.11"),
        ("B80D0120000000000000000001000000", "2001:db8:0:0:0:0:0:1"),
    ],
)
def test_the_kernels_addresses_are_read(kernel: str, usual: str) -> None:
    assert address(kernel) == usual


# --- logs -------------------------------------------------------------------------------------------


def test_new_lines_are_told_once_and_only_when_whole(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one\ntwo\npart")
    first = fleet_state._log(str(log), 0, 0)
    assert first["text"] == "one\ntwo\n"
    log.write_bytes(b"one\ntwo\npartial\n")
    second = fleet_state._log(str(log), first["offset"], 0)
    assert second["text"] == "partial\n"
    assert fleet_state._log(str(log), second["offset"], 0)["text"] == ""
    log.write_bytes(b"new\n")
    assert fleet_state._log(str(log), second["offset"], 0)["text"] == "new\n"


def test_a_huge_log_is_read_in_bounded_pieces(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * (3 * fleet_state.CHUNK) + b"\n" + b"last\n")
    piece = fleet_state._log(str(log), 0, 2)
    assert len(piece["text"]) == fleet_state.CHUNK
    assert piece["tail"][-1] == "last"
    assert all(len(line) <= 2000 for line in piece["tail"])


@pytest.mark.parametrize(
    ("log", "first"),
    [
        ("INFO ok|Traceback (most recent call last):|  raise ValueError(x)|ValueError: no", "ValueError: no"),
        ("OSError: [Errno 98] Address in use|ValueError: late", "OSError: [Errno 98] Address in use"),
        ("torch.distributed.DistStoreError: Timed out", "torch.distributed.DistStoreError: Timed out"),
        ("(EngineCore pid=7) ERROR 11-22 boom", "(EngineCore pid=7) ERROR 11-22 boom"),
        ("WARNING 11-22 [x.py:3] ImportError: no _C|ERROR 11-22 boom", "ERROR 11-22 boom"),
        ("all is well|0 errors", ""),
    ],
)
def test_the_first_line_that_is_an_error_is_found(tmp_path: Path, log: str, first: str) -> None:
    path = tmp_path / "log"
    path.write_text(log.replace("|", "\n"))
    assert fleet_state._log(str(path), None, 5)["first_error"] == first


def test_a_host_without_state_says_nothing(tmp_path: Path) -> None:
    reply = run(fleet_state, root=str(tmp_path / "none"))
    assert reply["deployments"] == []
    (tmp_path / "weights").mkdir()
    assert run(fleet_state, root=str(tmp_path))["deployments"] == []


def test_a_broken_state_file_is_a_problem_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "r1").mkdir()
    (tmp_path / "r1" / "current.json").write_text("{")
    row = run(fleet_state, root=str(tmp_path))["deployments"][0]
    assert row["name"] == "r1"
    assert "current.json" in row["problem"]


# --- stop -------------------------------------------------------------------------------------------


def test_stopping_what_is_not_there_changes_nothing() -> None:
    reply = run(fleet_stop, units=[{"name": "r1fleet-none-0-0", "stop": ["true"], "stop_seconds": 1}])
    assert (reply["changed"], reply["left"], reply["problems"]) == (False, [], [])


def test_a_stop_command_that_keeps_failing_is_a_problem(tmp_path: Path) -> None:
    unit = {"name": "r1fleet-none-0-0", "stop": ["sh", "-c", "echo no daemon >&2; exit 1"], "stop_seconds": 1}
    assert run(fleet_stop, units=[unit])["problems"] == ["r1fleet-none-0-0: no daemon"]
    once = f"[ -e {tmp_path}/tried ] || {{ touch {tmp_path}/tried; exit 1; }}"
    assert run(fleet_stop, units=[{**unit, "stop": ["sh", "-c", once]}])["problems"] == []


# --- the judge and the completion -------------------------------------------------------------------


class Endpoint(BaseHTTPRequestHandler):
    reply: tuple[int, Any] = (200, {})
    seen: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append({"path": self.path, "key": self.headers.get("Authorization"), **body})
        status, value = self.reply
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


ANSWER = {"model": "tiny", "choices": [{"message": {"content": "hi"}}], "usage": {"completion_tokens": 2}}


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setattr(Endpoint, "seen", [])
    monkeypatch.setattr(Endpoint, "reply", (200, ANSWER))
    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_completion_is_asked_without_the_proxy_and_with_the_key(url: str) -> None:
    answer = complete(url + "/v1", "tiny", "hello", key="k", max_tokens=3)
    assert (answer["text"], answer["tokens"]) == ("hi", 2)
    asked = Endpoint.seen[0]
    assert (asked["path"], asked["key"], asked["temperature"]) == ("/v1/chat/completions", "Bearer k", 0)
    assert (asked["model"], asked["max_tokens"]) == ("tiny", 3)


def test_a_reasoning_models_thoughts_count_as_an_answer(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    message = {"content": None, "reasoning_content": "hmm"}
    monkeypatch.setattr(Endpoint, "reply", (200, {"choices": [{"message": message}]}))
    assert complete(url, "r1", "hello")["text"] == "hmm"


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((500, {"error": "dead"}), "HTTP 500.*dead"),
        ((200, {"choices": []}), "no chat completion"),
        ((200, b"<html>"), "no chat completion: <html>"),
    ],
)
def test_anything_but_a_completion_is_no_answer(
    url: str, monkeypatch: pytest.MonkeyPatch, reply: tuple[int, Any], message: str
) -> None:
    monkeypatch.setattr(Endpoint, "reply", reply)
    with pytest.raises(NoAnswer, match=message) as caught:
        complete(url, "tiny", "hello")
    assert caught.value.status == reply[0]


def test_a_closed_port_is_no_answer_without_a_status() -> None:
    with pytest.raises(NoAnswer, match="refused") as caught:
        complete("http://127.0.0.1:1", "tiny", "hello")
    assert caught.value.status == 0


@pytest.mark.parametrize("value", ["plain", "it's $HOME", 'a "b" c=d'])
def test_a_key_is_read_as_the_shell_would(tmp_path: Path, value: str) -> None:
    from r1fleet.runtimes import secrets_text

    path = tmp_path / "secrets"
    path.write_text(secrets_text({"OTHER": "x", "KEY": value}))
    assert key_from(str(path), "KEY") == value
    assert key_from(str(path), "MISSING") == ""
    assert key_from("", "") == ""


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def config(tmp_path: Path, url: str, **more: Any) -> dict[str, Any]:
    plain = {
        "generation": 3,
        "url": url,
        "port": int(url.rpartition(":")[2]),
        "model": "tiny",
        "prompt": "hello",
        "max_tokens": 4,
        "workers": [],
        "own": ["127.0.0.1"],
        "rendezvous_port": 9,
        "exit_record": str(tmp_path / "rank.exit"),
        "out": str(tmp_path),
        "limits": {"rendezvous": 10, "loading": 100, "answering": 20},
    }
    return {**plain, **more}


def verdict(tmp_path: Path, name: str) -> Any:
    path = tmp_path / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def test_a_completion_makes_a_gang_ready(tmp_path: Path, url: str) -> None:
    assert Judge(config(tmp_path, url)).step() is not None
    ready = verdict(tmp_path, "ready")
    assert (ready["text"], ready["generation"], ready["schema"]) == ("hi", 3, 1)
    assert verdict(tmp_path, "failed") is None


def test_a_loading_gang_has_its_own_limit(tmp_path: Path) -> None:
    clock = Clock()
    judge = Judge(config(tmp_path, "http://127.0.0.1:1"), clock)
    assert judge.step() is None
    assert verdict(tmp_path, "progress")["phase"] == "loading"
    clock.now = 99
    assert judge.step() is None
    clock.now = 101
    assert judge.step() is not None
    assert "nothing answers HTTP on port 1 within 100 s" in verdict(tmp_path, "failed")["what"]


def test_http_without_a_completion_has_its_own_limit(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Endpoint, "reply", (503, {"error": "starting"}))
    clock = Clock()
    judge = Judge(config(tmp_path, url), clock)
    clock.now = 90
    assert judge.step() is None
    assert verdict(tmp_path, "progress")["phase"] == "answering"
    clock.now = 109
    assert judge.step() is None
    clock.now = 111
    judge.step()
    assert "no completion within 20 s" in verdict(tmp_path, "failed")["what"]
    assert "HTTP 503" in verdict(tmp_path, "failed")["what"]


def test_workers_that_do_not_come_are_named(tmp_path: Path) -> None:
    clock = Clock()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        more = {"workers": ["127.0.0.2", "127.0.0.3"], "rendezvous_port": port}
        judge = Judge(config(tmp_path, "http://127.0.0.1:1", **more), clock)
        assert judge.step() is None
        assert verdict(tmp_path, "progress")["phase"] == "rendezvous"
        with socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0)):
            clock.now = 11
            judge.step()
            assert "no connection from 127.0.0.3 to port" in verdict(tmp_path, "failed")["what"]


def test_workers_that_came_move_the_phase_on(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        judge = Judge(config(tmp_path, "http://127.0.0.1:1", workers=["127.0.0.2"], rendezvous_port=port))
        assert judge.step() is None
        with socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0)):
            assert judge.step() is None
    assert verdict(tmp_path, "progress")["phase"] == "loading"


def test_the_end_of_rank_0_is_the_end_of_the_wait(tmp_path: Path) -> None:
    (tmp_path / "rank.exit").write_text("exit-code exited 1\n")
    Judge(config(tmp_path, "http://127.0.0.1:1")).step()
    assert verdict(tmp_path, "failed")["what"] == "rank 0 has ended: exit-code exited 1"


def test_the_judge_runs_alone_from_its_staged_files(tmp_path: Path, url: str) -> None:
    package = tmp_path / "judge" / "r1fleet" / "agent"
    package.mkdir(parents=True)
    source = Path(fleet_state.__file__).parents[1] / "agent"
    for name in ("completion", "processes", "readiness"):
        (package / f"{name}.py").write_text((source / f"{name}.py").read_text())
    (package / "__init__.py").touch()
    (package.parent / "__init__.py").touch()
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config(tmp_path, url)))
    argv = [sys.executable, "-B", "-m", "r1fleet.agent.readiness", str(path)]
    environment = {"PYTHONPATH": str(tmp_path / "judge")}
    subprocess.run(argv, env=environment, cwd=tmp_path, check=True, timeout=60)
    assert verdict(tmp_path, "ready")["text"] == "hi"


# --- whether a service's own process lives ----------------------------------------------------------

SERVICE = "r1fleet-r1-0-0"


def proc(monkeypatch: pytest.MonkeyPatch, rows: dict[int, tuple[str, bytes, str]]) -> None:
    """Let /proc hold these processes: group, environment, state."""

    def read(path: str) -> bytes:
        _, _, pid, name = path.split("/")
        if int(pid) not in rows:
            return b""
        group, environ, state = rows[int(pid)]
        told = {
            "cgroup": f"0::/system.slice/{group}.service\n".encode(),
            "environ": environ,
            "stat": f"{pid} (engine) {state} {' '.join(['1'] * 30)}".encode(),
        }
        return told[name]

    monkeypatch.setattr(processes, "_read", read)


ENGINE = b"PATH=/bin\0SYSTEMD_EXEC_PID=70\0"
TITLED = b"VLLM::EngineCore\0\0\0"
ENDING = b"SYSTEMD_EXEC_PID=90\0SERVICE_RESULT=signal\0"


@pytest.mark.parametrize(
    ("rows", "main"),
    [
        ({70: (SERVICE, ENGINE, "S"), 71: (SERVICE, ENGINE, "S")}, 70),
        ({70: (SERVICE, TITLED, "S"), 71: (SERVICE, ENGINE, "S")}, 70),
        ({70: (SERVICE, TITLED, "S"), 71: (SERVICE, TITLED, "S")}, 0),
        ({71: (SERVICE, ENGINE, "S")}, 0),
        ({70: (SERVICE, ENGINE, "Z"), 71: (SERVICE, ENGINE, "S")}, 0),
        ({70: ("r1fleet-r1-0-1", ENGINE, "S")}, 0),
        ({90: (SERVICE, ENDING, "S"), 71: (SERVICE, ENGINE, "S")}, 0),
        ({70: (SERVICE, b"PATH=/bin\0", "S")}, 0),
    ],
    ids=[
        "alive",
        "writes its title",
        "nothing tells",
        "only a child",
        "a zombie",
        "elsewhere",
        "its end",
        "old systemd",
    ],
)
def test_a_services_own_process_is_known_without_asking_systemd(
    monkeypatch: pytest.MonkeyPatch, rows: dict[int, tuple[str, bytes, str]], main: int
) -> None:
    proc(monkeypatch, rows)
    assert processes.main_of(sorted(rows), SERVICE) == main
