"""Status reads what hosts keep; a host that is away is a row like any other."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from r1fleet.agent.context import Context
from r1fleet.console.pages import pages
from r1fleet.console.snippets import snippet_lines
from r1fleet.console.status import status_lines
from r1fleet.errors import ExitCode
from r1fleet.inventory import Host, Inventory
from r1fleet.launch import GangFailed, LaunchOptions, launch, stop
from r1fleet.modules import _gpus
from r1fleet.status import Access, GangRow, StatusOptions, StatusReport, root_on, status, watch
from r1fleet.transport import Become, Session
from tests.fleets import READY, Fleet
from tests.gangs import rehearsal
from tests.told import program

NAME = "rehearsal"


def unit(rank: int | str) -> str:
    return f"r1fleet-{NAME}-0-{rank}"


@pytest.fixture
def fleet() -> Fleet:
    return Fleet("a", "b")


def started(fleet: Fleet, *, ready: bool = True, **more: Any) -> Fleet:
    fleet.network = "127.0.0."
    plan = rehearsal([(name, f"127.0.0.{number}") for number, name in enumerate(fleet.hosts, 1)], **more)
    launch(plan, fleet.access, lambda event: None, LaunchOptions(hosts=fleet.hosts, interval=0.01, detach=True))
    fleet["a"].verdict = dict(READY) if ready else {"progress": {"phase": "loading"}}
    fleet.order.clear()
    return fleet


def look(fleet: Fleet, **options: Any) -> StatusReport:
    return status([Inventory("lab", None, fleet.hosts, {})], fleet.access, StatusOptions(**options))


def test_a_ready_gang_is_shown_in_one_round_trip_a_host(fleet: Fleet) -> None:
    report = look(started(fleet))
    row = report.deployments[0]
    assert (row.cluster, row.name, row.state, row.generation, row.sample) == ("lab", NAME, "ready", 1, "hello")
    assert [(rank.rank, rank.host, rank.state, rank.pid) for rank in row.ranks] == [
        (0, "a", "ready", 7),
        (1, "b", "ready", 7),
    ]
    assert row.endpoints == ("http://127.0.0.1:18000",)
    assert fleet.order == [("a", "fleet_state"), ("b", "fleet_state")]
    (gang,) = row.gangs
    assert (gang.leader, gang.endpoint, gang.ready, gang.via) == ("a", "http://127.0.0.1:18000", True, "a")
    assert report.exit_code is ExitCode.OK
    assert json.loads(json.dumps(report.as_json()))["deployments"][0]["ranks"][1]["host"] == "b"


def test_an_image_whose_name_means_another_one_since_the_launch_is_told(fleet: Fleet) -> None:
    fleet["a"].image = fleet["b"].image = "0123456789abcdef"
    fleet["a"].told = fleet["b"].told = {"programs": {"docker": program('{"ServerVersion": "28.1"}')}}
    started(fleet, image="registry/engine:1")
    assert "now" not in "\n".join(status_lines(look(fleet)))
    fleet["b"].image = "fedcba9876543210"
    report = look(fleet)
    assert report.deployments[0].state == "ready"
    assert [(rank.digest[:6], rank.means[:6]) for rank in report.deployments[0].ranks] == [
        ("012345", "012345"),
        ("012345", "fedcba"),
    ]
    (line,) = (line for line in status_lines(report) if " now" in line)
    assert "registry/engine:1 means fedcba987654 now, launched with 0123456789ab" in line


def test_a_gang_on_its_way_shows_its_phase(fleet: Fleet) -> None:
    row = look(started(fleet, ready=False)).deployments[0]
    assert (row.state, row.phase, row.sample) == ("starting", "loading", "")
    assert [rank.state for rank in row.ranks] == ["running", "running"]


def test_a_dead_rank_makes_a_ready_gang_degraded_and_a_loading_one_failed(fleet: Fleet) -> None:
    started(fleet)["b"].end(unit(1), 137, "CUDA Error: lost")
    report = look(fleet)
    row = report.deployments[0]
    assert (row.state, row.ranks[1].state) == ("degraded", "failed")
    assert "rank 1 on b: ended with status 137" in row.detail
    assert row.ranks[1].first_error == "CUDA Error: lost"
    assert report.exit_code is ExitCode.HOST_FAILED
    fleet["a"].verdict = {}
    assert look(fleet).deployments[0].state == "failed"


def test_an_unreachable_host_is_a_row_and_the_rest_is_shown(fleet: Fleet) -> None:
    started(fleet)["b"].away = True
    report = look(fleet)
    assert [(host.host, host.state, host.detail) for host in report.hosts] == [
        ("a", "ok", ""),
        ("b", "unreachable", "no route"),
    ]
    row = report.deployments[0]
    assert (row.ranks[0].state, row.ranks[1].state) == ("ready", "unknown")
    assert row.state == "degraded"
    assert report.exit_code is ExitCode.UNREACHABLE


def test_a_gang_without_its_leader_is_unknown_not_failed(fleet: Fleet) -> None:
    started(fleet)["a"].away = True
    assert look(fleet).deployments[0].state == "unknown"


def test_nothing_launched_is_one_sentence_and_no_failure(fleet: Fleet) -> None:
    report = look(fleet)
    assert (report.message, report.exit_code) == ("Nothing has been launched on lab.", ExitCode.OK)
    named = status([Inventory("lab", None, fleet.hosts, {})], fleet.access, StatusOptions(("tinny",)))
    assert named.message == "Nothing called tinny has been launched on lab."
    assert status([], fleet.access, StatusOptions()).message.startswith("No cluster is known here")
    fleet["a"].away = fleet["b"].away = True
    report = look(fleet)
    assert (report.message, report.exit_code) == ("No host of lab answered.", ExitCode.UNREACHABLE)


def test_what_no_plan_names_is_shown_with_its_host(fleet: Fleet) -> None:
    fleet["b"].strays = [{"name": "r1fleet-old-0-1", "processes": 3}]
    report = look(fleet)
    assert report.hosts[1].strays == ("r1fleet-old-0-1 (3 processes)",)
    end = "which no deployment names; r1fleet stop --orphans ends it"
    assert f"lab: host b runs r1fleet-old-0-1 (3 processes), {end}" in text_of(report)


def test_ranks_that_nothing_supervises_are_shown_as_such(fleet: Fleet) -> None:
    report = look(started(fleet))
    assert "unsupervised" not in text_of(report)
    row = dataclasses.replace(report.deployments[0], runtime="unsupervised")
    assert "serves tiny, unsupervised, generation 1" in text_of(dataclasses.replace(report, deployments=(row,)))


def test_a_stopped_gang_says_so(fleet: Fleet) -> None:
    started(fleet)
    stop(fleet.hosts.values(), fleet.access, lambda event: None, NAME)
    report = look(fleet)
    row = report.deployments[0]
    assert (row.state, [rank.state for rank in row.ranks], row.sample) == ("stopped", ["stopped", "stopped"], "")
    assert report.exit_code is ExitCode.OK


def test_a_rank_that_was_stopped_because_another_failed_is_no_failure(fleet: Fleet) -> None:
    fleet["b"].look = lambda host: host.end(unit(1), 9) if host.units else None
    fleet.network = "127.0.0."
    plan = rehearsal([("a", "127.0.0.1"), ("b", "127.0.0.2")])
    with pytest.raises(GangFailed):
        launch(plan, fleet.access, lambda event: None, LaunchOptions(hosts=fleet.hosts, interval=0.01))

    row = look(fleet).deployments[0]

    assert (row.state, "rank 1 on b" in row.detail) == ("failed", True)
    assert [(rank.state, rank.detail) for rank in row.ranks] == [
        ("stopped", "with the others"),
        ("failed", "is not running"),
    ]


def test_a_rebooted_host_is_told_as_the_reason(fleet: Fleet) -> None:
    started(fleet)["b"].units.clear()
    fleet["b"].folders[NAME]["current"]["boot_id"] = "before"
    assert "its host has rebooted" in look(fleet).deployments[0].ranks[1].detail


def test_another_schema_on_a_host_is_told_and_not_read(fleet: Fleet) -> None:
    started(fleet)
    for host in fleet.fakes.values():
        host.folders[NAME]["current"]["schema"] = 9
    row = look(fleet).deployments[0]
    assert row.state == "failed"
    assert "schema 9" in row.detail
    report = stop(fleet.hosts.values(), fleet.access, lambda event: None, NAME)
    assert set(report.left) == {"a", "b"}
    assert report.exit_code is ExitCode.HOST_FAILED


def test_a_probe_asks_the_leader_and_a_refusal_fails(fleet: Fleet) -> None:
    report = look(started(fleet), probe=True)
    assert [(probe.ok, probe.text) for probe in report.deployments[0].probes] == [(True, "hi")]
    fleet["a"].refuse = {"fleet_ask": "HTTP 500: dead"}
    report = look(fleet, probe=True)
    assert [(probe.ok, probe.text) for probe in report.deployments[0].probes] == [(False, "HTTP 500: dead")]
    assert report.exit_code is ExitCode.HOST_FAILED


@pytest.mark.parametrize(
    ("variables", "given", "expected"),
    [
        ({"ansible_user": "ops"}, None, Become()),
        ({"ansible_user": "ops"}, "asked", Become(password="asked")),
        ({"ansible_become_password": "written"}, "asked", Become(password="asked")),
        ({"ansible_become_pass": "written"}, None, Become(password="written")),
        ({"ansible_user": "root"}, "asked", None),
        ({"ansible_ssh_user": "root"}, None, None),
    ],
)
def test_who_is_root_already_does_not_become_root(
    variables: dict[str, Any], given: str | None, expected: Become | None
) -> None:
    assert root_on(Host("a", variables), given) == expected


def test_a_host_that_is_not_in_the_inventory_is_not_called_silent(fleet: Fleet) -> None:
    started(fleet)
    only = Inventory("lab", None, {"a": fleet.hosts["a"]}, {})
    row = status([only], fleet.access, StatusOptions()).deployments[0]
    assert row.ranks[1].detail == "its host is not in this inventory"
    assert row.detail == "rank 1 on b: its host is not in this inventory"


def test_a_broken_gang_s_status_names_the_rank_to_look_at_and_the_way_on(fleet: Fleet) -> None:
    started(fleet)["b"].end(unit(1), 137, "CUDA Error: lost")
    fleet["a"].end(unit(0), 1, "RuntimeError: a peer has gone")
    text = "\n".join(status_lines(look(fleet)))
    assert f"  hint: r1fleet logs {NAME} --rank 1; then r1fleet restart {NAME}, or r1fleet stop {NAME}\n" in text
    assert "ended with status 137: CUDA Error: lost" in text


def test_the_last_completion_that_was_seen_is_told_by_the_hosts_clock(fleet: Fleet) -> None:
    began = time.time()
    started(fleet)["a"].verdict["ready"]["at"] = began - 600
    assert look(fleet).deployments[0].gangs[0].completion_age == pytest.approx(600, abs=30)
    fleet["a"].verdict["completion"] = {"at": began - 60}
    report = look(fleet)
    assert report.deployments[0].gangs[0].completion_age == pytest.approx(60, abs=30)
    assert re.search(r"endpoint http://127.0.0.1:18000/v1, last completion seen (1 min|5\d s)", text_of(report))
    assert look(fleet, probe=True).deployments[0].gangs[0].completion_age == 0


def text_of(report: StatusReport) -> str:
    return "\n".join(status_lines(report))


def test_the_memory_of_the_gpus_that_a_rank_holds_is_summed_and_absent_elsewhere(fleet: Fleet) -> None:
    started(fleet)
    assert "GPU MEMORY" not in text_of(look(fleet))
    fleet["b"].gpus = [{"index": number, "used": 60 << 30, "total": 80 << 30} for number in range(8)]
    report = look(fleet)
    assert [len(rank.gpus) for rank in report.deployments[0].ranks] == [0, 8]
    assert "480.0/640.0 GiB on 8" in text_of(report)


def test_a_rank_on_its_way_tells_how_far_its_engine_is(fleet: Fleet) -> None:
    started(fleet, ready=False)
    shards = "Loading safetensors checkpoint shards:  25% Completed | 41/163 [00:12<00:35, 3.4it/s]"
    fleet["b"].logs[unit(1)] = [shards]
    assert [rank.phase for rank in look(fleet).deployments[0].ranks] == ["", "loading 41/163"]
    assert re.search(r"running .* loading 41/163", text_of(look(fleet)))
    fleet["a"].verdict = dict(READY)
    assert [rank.phase for rank in look(fleet).deployments[0].ranks] == ["", ""]


def test_what_the_inventory_names_and_what_it_does_not_is_told(fleet: Fleet) -> None:
    started(fleet)
    assert look(fleet, declared={"lab": (NAME,)}).deployments[0].declared
    report = look(fleet, declared={"lab": ("r1",)})
    assert (report.deployments[0].declared, report.unlaunched) == (False, (("lab", "r1"),))
    assert f"  the inventory names no such deployment; r1fleet stop {NAME} ends it\n" in text_of(report)
    assert text_of(report).endswith("lab / r1: not launched")
    assert look(fleet, declared={"lab": ("r1", NAME)}, deployments=(NAME,)).unlaunched == ()


def test_watching_keeps_its_sessions_and_meets_a_lost_host_again(fleet: Fleet) -> None:
    started(fleet)
    opened: list[str] = []
    inventory = Inventory("lab", None, fleet.hosts, {})
    access = Access(Counting(fleet, opened), fleet.access.become_of)
    reports = watch([inventory], access, StatusOptions(), interval=0.01)
    assert [next(reports).deployments[0].state for _ in range(3)] == ["ready"] * 3
    assert sorted(opened) == ["a", "b"]
    fleet["b"].away = True
    assert next(reports).hosts[1].state == "unreachable"
    fleet["b"].away = False
    deadline = time.monotonic() + 20
    while next(reports).hosts[1].state != "ok":
        assert time.monotonic() < deadline
    assert sorted(opened) == ["a", "b", "b"]
    reports.close()  # type: ignore[attr-defined]
    assert {"a", "b"} <= set(fleet.closed)


class Counting:
    """A transport that notes whom it has opened."""

    def __init__(self, fleet: Fleet, opened: list[str]) -> None:
        self._fleet = fleet
        self._opened = opened

    def open(self, host: Host, become: Become | None = None) -> Session:
        session = self._fleet.open(host, become)
        self._opened.append(host.name)
        return session

    def close(self) -> None:
        pass


# --- how clients reach it --------------------------------------------------------------------------


def snippets(fleet: Fleet, **changes: Any) -> str:
    report = look(fleet)
    row = dataclasses.replace(report.deployments[0], **changes)
    return "\n".join(snippet_lines(dataclasses.replace(report, deployments=(row,))))


@pytest.mark.parametrize(
    ("key", "shell", "python"),
    [
        ({"env": "R1_KEY"}, "Bearer ${R1_KEY}", 'api_key=os.environ["R1_KEY"]'),
        ({"prompt": True}, "Bearer ${API_KEY}", 'api_key=os.environ["API_KEY"]'),
        (
            {"file": "~/my key"},
            "Bearer $(cat ~/'my key')",
            'api_key=open(os.path.expanduser("~/my key")).read().strip()',
        ),
    ],
)
def test_snippets_name_the_key_by_its_reference(fleet: Fleet, key: dict[str, Any], shell: str, python: str) -> None:
    text = snippets(started(fleet), api_key=key)
    assert shell in text
    assert python in text
    assert "import os" in text


def test_snippets_of_a_key_that_was_launched_with_never_hold_it(fleet: Fleet) -> None:
    fleet.network = "127.0.0."
    options = LaunchOptions(hosts=fleet.hosts, interval=0.01, detach=True, api_key="s3cret")
    launch(rehearsal([("a", "127.0.0.1")], api_key=True), fleet.access, lambda event: None, options)
    report = look(fleet)
    assert report.deployments[0].api_key == {"env": "KEY"}
    assert "s3cret" not in "\n".join(snippet_lines(report)) + json.dumps(report.as_json())


def test_snippets_are_shell_and_python_that_ask_the_endpoint(fleet: Fleet, tmp_path: Path) -> None:
    text = snippets(started(fleet), model="it's a model", gangs=(GangRow(0, "a", "http://10.0.0.1:80", True),))
    curl, python = text.split("\n\n", 2)[1:]
    (tmp_path / "curl").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "curl").chmod(0o755)
    words = subprocess.run(
        ["sh", "-c", curl], env={"PATH": f"{tmp_path}:/bin:/usr/bin"}, capture_output=True, check=True
    )
    url, *_, body = words.stdout.decode().splitlines()
    assert url == "http://10.0.0.1:80/v1/chat/completions"
    assert json.loads(body)["model"] == "it's a model"
    compile(python, "snippet", "exec")
    assert 'base_url="http://10.0.0.1:80/v1", api_key="none"' in python


def test_sglang_gets_generate_and_a_loopback_gets_a_tunnel(fleet: Fleet) -> None:
    gang = GangRow(0, "a", "http://127.0.0.1:8000", True, via="ops@10.0.0.1")
    text = snippets(started(fleet), engine="sglang", gangs=(gang,))
    assert "ssh -N -L 8000:127.0.0.1:8000 ops@10.0.0.1\n" in text
    assert "curl http://127.0.0.1:8000/generate " in text


def test_without_an_endpoint_there_are_no_snippets(fleet: Fleet) -> None:
    assert list(snippet_lines(look(fleet))) == ["Nothing has been launched on lab."]


# --- pages -----------------------------------------------------------------------------------------


def test_in_a_pipe_pages_follow_each_other_with_their_time() -> None:
    stream = io.StringIO()
    with pages(stream, 2) as show:
        show(["one"])
        show(["two"])
    assert re.fullmatch(r"(--- \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n(one|two)\n){2}", stream.getvalue())


# --- GPUs on a host --------------------------------------------------------------------------------

CARDS = "0, GPU-a, 70000, 81559\n1, GPU-b, 12, 81559\n2, GPU-c, [N/A], 81559\n"


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def install(cards: str, users: str, then: str = "") -> None:
        script = f"#!/bin/sh\ncase $1 in *query-gpu*) printf '{cards}' ;; *) printf '{users}' ;; esac\n{then}"
        (tmp_path / "nvidia-smi").write_text(script)
        (tmp_path / "nvidia-smi").chmod(0o755)

    return install


def held(pids: dict[str, list[int]]) -> dict[str, list[tuple[int, int]]]:
    ranks: list[dict[str, Any]] = [{"name": name} for name in pids]
    _gpus.give(_gpus.asked(Context({})), ranks, pids)
    return {rank["name"]: [(gpu["index"], gpu["used"] >> 20) for gpu in rank.get("gpus", ())] for rank in ranks}


def test_a_rank_holds_the_gpus_on_which_its_processes_compute(smi: Callable[..., None]) -> None:
    smi(CARDS, "GPU-a, 7\nGPU-b, 7\nGPU-c, 7\nGPU-b, 8\n")
    assert held({"one": [7], "two": [8, 9], "gone": []}) == {"one": [(0, 70000), (1, 12)], "two": [(1, 12)], "gone": []}


def test_where_nothing_tells_who_computes_a_rank_alone_holds_all(smi: Callable[..., None]) -> None:
    smi(CARDS, "")
    assert held({"one": [7]}) == {"one": [(0, 70000), (1, 12)]}
    assert held({"one": [7], "two": [8]}) == {"one": [], "two": []}


def test_a_query_that_hangs_is_left_alone(smi: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gpus, "PATIENCE", 0.1)
    smi(CARDS, "", "exec sleep 60")
    assert held({"one": [7]}) == {"one": []}
