"""How far ranks are, read from their logs; which was last when a phase ran out; and what a dry run tells."""

from __future__ import annotations

import pytest

from r1fleet.engines import Progress, progress
from r1fleet.errors import ExitCode, HostFailed, HostUnreachable, PreflightFailed, UsageError
from r1fleet.events import Note, RankState, WouldRun
from r1fleet.launch import GangFailed, connected, gather_on, launch_on
from r1fleet.launch.options import LaunchOptions
from r1fleet.status import Contact
from r1fleet.status.survey import lost_hosts
from tests.fleets import READY, FakeHost
from tests.unit.test_launch import LOCK, NAME, Run, plan_for, ready_when_running, unit

# Of a run of vLLM 0.32.0 on two hosts, shortened.
VLLM = [
    ("(APIServer pid=282) INFO 11-24 11:57:31 [model.py:733] Resolved architecture: Qwen2ForCausalLM", "None"),
    (
        "(Worker pid=386) INFO 11-24 11:57:40 [parallel_state.py:1906] world_size=2 rank=0 local_rank=0 "
        "distributed_init_method=tcp://10.77.3.11:29501 backend=gloo",
        "rendezvous",
    ),
    (
        "(Worker pid=386) INFO 11-24 11:57:42 [parallel_state.py:2350] rank 0 in world size 2 is assigned as DP rank 0",
        "loading",
    ),
    ("Loading safetensors checkpoint shards:  50% Completed | 1/2 [00:00<00:00, 876.28it/s]", "loading 1/2"),
    ("(Worker_TP0 pid=386) INFO [default_loader.py:501] Loading weights took 0.00 seconds", "loading 1/2"),
    (
        "(EngineCore pid=360) INFO 11-24 11:57:43 [kv_cache_utils.py:2327] CPU KV cache size: 131,072 tokens",
        "capturing",
    ),
    ("(APIServer pid=282) INFO 11-24 11:57:44 [entry.py:140] Starting vLLM server on http://0.0.0.0:8000", "serving"),
    ("(APIServer pid=282) INFO:     Application startup complete.", "serving"),
]  # fmt: skip
# From public logs; not run here.
SGLANG = [
    ("[2026-07-01 15:18:59 TP0] Init torch distributed begin.", "rendezvous"),
    ("[2026-07-01 15:18:59 TP9] Load weight begin. avail mem=61.12 GB", "loading"),
    ("Loading safetensors checkpoint shards:   7% Completed | 12/163 [00:01<00:02,  1.24it/s]", "loading 12/163"),
    ("Capturing batches (bs=1 avail_mem=9.3 GB):  25%|##5       | 9/36 [00:04<00:12,  2.1it/s]", "capturing 9/36"),
    ("[2026-07-01 15:21:00] The server is fired up and ready to roll!", "serving"),
]
LMDEPLOY = [
    ("Loading weights from safetensors:  40%|####      | 2/5 [00:06<00:09,  3.32s/it]", "loading 2/5"),
    ("INFO:     Uvicorn running on http://0.0.0.0:23333 (Press CTRL+C to quit)", "serving"),
]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("r1fleet.launch.watch.SETTLE", 0)
    return Run()


@pytest.mark.parametrize(("engine", "rows"), [("vllm", VLLM), ("sglang", SGLANG), ("lmdeploy", LMDEPLOY)])
def test_each_engines_lines_tell_how_far_a_rank_is(engine: str, rows: list[tuple[str, str]]) -> None:
    far: Progress | None = None
    for line, expected in rows:
        far = progress(engine, [line], far)
        assert str(far) == expected


def test_a_rank_never_goes_back_and_an_unknown_engine_tells_nothing() -> None:
    loaded = Progress("loading", 3, 4)
    assert progress("vllm", ["Loading safetensors checkpoint shards:  25% Completed | 1/4 [00:00<"], loaded) == loaded
    assert progress("deepseek", [VLLM[3][0]]) is None


def test_progress_is_told_by_tenths(run: Run) -> None:
    log = run.fleet["b"].logs.setdefault(unit(1), [])

    def load(host: FakeHost) -> None:
        count = len(log) * 4
        if count < 163:
            log.append(f"Loading safetensors checkpoint shards: 0% Completed | {min(count + 4, 163)}/163 [00:00<")
        else:
            run.fleet["a"].verdict = dict(READY)

    run.fleet["b"].look = load
    run.fleet["a"].look = lambda host: None
    assert run.launch().state == "ready"
    told = [event.detail for event in run.told(RankState) if (event.rank, event.state) == (1, "running")]
    assert told[-1] == "loading 163/163"
    assert 10 <= len([text for text in told if text]) <= 12


def test_when_loading_runs_out_the_last_rank_is_blamed_and_all_places_are_told(run: Run) -> None:
    run.fleet["a"].logs[unit(0)] = ["Loading safetensors checkpoint shards: 100% Completed | 163/163 [00:00<"]
    run.fleet["b"].logs[unit(1)] = ["Loading safetensors checkpoint shards: 7% Completed | 12/163 [00:00<"]

    def late(host: FakeHost) -> None:
        if [event for event in run.told(RankState) if event.detail == "loading 12/163"]:
            run.fleet["a"].verdict = {
                "failed": {"what": "nothing answers HTTP on port 18000 within 60 s", "phase": "loading"}
            }

    run.fleet["b"].look = late
    with pytest.raises(GangFailed, match="rank 1 never came up: nothing answers HTTP on port 18000") as caught:
        run.launch()
    text = str(caught.value)
    assert "also: rank 1 on b came as far as: loading 12/163" in text
    assert "also: rank 0 on a came as far as: loading 163/163" in text
    assert "raise timeouts.load" in text


# --- before the start -------------------------------------------------------------------------------


def test_a_dry_run_tells_files_commands_and_hashes_of_each_host_and_changes_nothing(run: Run) -> None:
    result = run.launch(plan_for("a", "b", api_key=True), api_key="s3cret", dry_run=True)

    assert (result.state, result.exit_code, result.generation) == ("dry run", 0, 1)
    first, second = run.told(WouldRun)
    assert (first.host, second.host) == ("a", "b")
    assert f"/var/lib/r1fleet/{NAME}/generations/1/{unit(1)}.secrets (0400)" in second.writes
    assert [unit(0) in first.commands[0], unit("ready") in first.commands[1]] == [True, True]
    assert second.arguments[0].startswith("rank 1: ")
    assert "s3cret" not in repr(run.events)
    assert run.fleet.modules() == ["fleet_state", "fleet_facts", "fleet_check", "fleet_reach"]
    assert all(not host.folders and not host.locks for host in run.fleet.fakes.values())


def test_a_dry_run_ends_as_the_launch_would(run: Run) -> None:
    run.fleet["b"].findings = [{"kind": "model", "ok": False, "detail": "/m is not there", "value": ""}]
    with pytest.raises(PreflightFailed):
        run.launch(dry_run=True)
    run.fleet["b"].findings = []

    run.fleet["a"].look = ready_when_running
    run.launch()
    assert run.launch(dry_run=True).state == "already ready"
    other = plan_for("a", "b", env={"COLOUR": "blue"})
    with pytest.raises(UsageError, match="another plan"):
        run.launch(other, dry_run=True)
    assert run.launch(other, dry_run=True, replace=True).generation == 2
    assert any(note.text == "generation 1 would be stopped first, on a, b" for note in run.told(Note))
    assert run.fleet["a"].current()["generation"] == 1
    assert run.fleet["a"].running() == [unit(0), unit("ready")]


def test_facts_that_were_told_a_moment_ago_are_not_asked_again(run: Run) -> None:
    run.fleet["a"].look = ready_when_running
    with Contact(run.fleet.access, run.fleet.hosts.values()) as contact:
        connected(contact, run.tell)
        plan = plan_for("a", "b")
        reports = gather_on(contact, plan)
        launch_on(contact, plan, run.tell, LaunchOptions(hosts=run.fleet.hosts, interval=0.01), reports=reports)
    assert [module for _, module in run.fleet.order].count("fleet_facts") == 2  # once a host
    assert sorted(run.fleet.closed) == ["a", "b"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "the endpoint listens on 0.0.0.0 without an api key; set api_key: {env: NAME}, or set bind: 127.0.0.1"),
        ({"engine": "sglang"}, "the endpoint listens on 0.0.0.0 without an api key; set bind: 127.0.0.1"),
        ({"api_key": True}, ""),
    ],
)
def test_an_endpoint_that_anybody_may_use_is_warned_of(run: Run, more: dict[str, object], said: str) -> None:
    run.fleet["a"].look = ready_when_running
    run.launch(plan_for("a", "b", **more), api_key="k" if more.get("api_key") else "")
    told = [note.text for note in run.told(Note) if note.level == "warning" and "endpoint" in note.text]
    assert told == ([said] if said else [])


def test_a_gang_whose_every_rank_has_died_has_failed_and_is_launched_again_without_more(run: Run) -> None:
    run.fleet["a"].look = ready_when_running
    run.launch()
    run.fleet["a"].look = lambda host: None
    run.fleet["a"].end(unit(0), 137)
    with pytest.raises(UsageError, match="is degraded with this very plan"):
        run.launch()
    run.fleet["b"].end(unit(1), 137)
    run.fleet["a"].units.pop(unit("ready"))
    assert run.launch().generation == 2
    assert LOCK not in run.fleet["a"].locks


def test_a_host_that_is_away_outweighs_one_that_failed() -> None:
    error = lost_hosts({"a": HostFailed("no space"), "b": HostUnreachable("no route", hint="is it up?")})
    assert (error.exit_code, error.hint) == (ExitCode.UNREACHABLE, "is it up?")
    assert error.what == "2 hosts did not answer:\n  a: no space\n  b: no route"
