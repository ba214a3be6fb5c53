"""A launch starts all ranks or none, and says which rank failed first."""

from __future__ import annotations

import json
import os
import signal
import threading
from typing import Any

import pytest

from r1fleet.errors import ExitCode, HostFailed, HostUnreachable, LockHeld, PreflightFailed, UsageError
from r1fleet.events import EndpointReady, Event, Note, RankState, Step
from r1fleet.launch import GangFailed, LaunchOptions, LaunchResult, launch, lock_status, restart, stop
from r1fleet.launch.plan import Plan
from r1fleet.launch.wanted import ports_of
from tests.fleets import READY, FakeHost, Fleet
from tests.gangs import rehearsal
from tests.told import program

NAME = "rehearsal"
LOCK = f"/var/lib/r1fleet/{NAME}/lock"


def plan_for(*names: str, **more: Any) -> Plan:
    return rehearsal([(name, f"10.0.0.{number}") for number, name in enumerate(names, 1)], **more)


def unit(rank: int | str) -> str:
    return f"r1fleet-{NAME}-0-{rank}"


class Run:
    """A launch on two fake hosts, with what it told."""

    def __init__(self, *names: str) -> None:
        self.fleet = Fleet(*(names or ("a", "b")))
        self.events: list[Event] = []

    def launch(self, plan: Plan | None = None, **more: Any) -> LaunchResult:
        options = LaunchOptions(hosts=self.fleet.hosts, interval=0.01, by="ann@here", **more)
        return launch(plan or plan_for(*self.fleet.hosts), self.fleet.access, self.tell, options)

    def tell(self, event: Event) -> None:
        self.events.append(event)

    def told(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def nothing_runs(self) -> bool:
        return all(not host.units for host in self.fleet.fakes.values())


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("r1fleet.launch.watch.SETTLE", 0)
    return Run()


def ready_when_running(host: FakeHost) -> None:
    if unit(0) in host.running():
        host.verdict = dict(READY)


def test_a_gang_is_checked_locked_staged_started_and_ready(run: Run) -> None:
    run.fleet["a"].look = ready_when_running
    result = run.launch()

    assert (result.state, result.generation, result.sample) == ("ready", 1, "hello")
    assert run.fleet.modules() == [
        "fleet_state", "fleet_facts", "fleet_check", "fleet_reach", "fleet_lock", "fleet_stage", "command",
    ]  # fmt: skip
    assert run.fleet["a"].running() == [unit(0), unit("ready")]
    assert run.fleet["b"].running() == [unit(1)]
    assert [event.url for event in run.told(EndpointReady)] == ["http://10.0.0.1:18000"]
    assert run.fleet["a"].locks == {}
    assert [entry["what"] for entry in run.fleet["b"].folders[NAME]["journal"]] == ["launch", "ready"]
    assert sorted(run.fleet.closed) == ["a", "b"]


def test_the_lock_is_held_from_before_the_first_file_until_all_ranks_run(run: Run) -> None:
    run.fleet["a"].look = ready_when_running
    run.launch()
    asked = [(module, args.get("action")) for module, args in run.fleet["a"].calls]
    first, last = asked.index(("fleet_lock", "acquire")), asked.index(("fleet_lock", "release"))
    changing = [index for index, (module, _) in enumerate(asked) if module in ("fleet_stage", "command")]
    assert all(first < index < last for index in changing[:-1])
    assert asked[changing[-1]][0] == "fleet_stage"  # the journal's line, once it was ready


def test_the_same_plan_launched_again_changes_nothing(run: Run) -> None:
    run.fleet["a"].look = ready_when_running
    run.launch()
    run.fleet.order.clear()
    result = run.launch()
    assert (result.state, result.generation, result.exit_code) == ("already ready", 1, ExitCode.OK)
    assert run.fleet.modules() == ["fleet_state"]


def test_the_same_plan_still_starting_is_joined(run: Run) -> None:
    assert run.launch(detach=True).state == "detached"

    def ready_once_joined(host: FakeHost) -> None:
        if any("already starting" in note.text for note in run.told(Note)):
            host.verdict = dict(READY)

    run.fleet["a"].look = ready_once_joined
    result = run.launch()
    assert (result.state, result.generation) == ("ready", 1)


def test_another_plan_needs_replace_and_gets_the_next_generation(run: Run) -> None:
    run.fleet["a"].look = ready_when_running
    run.launch()
    other = plan_for("a", "b", env={"COLOUR": "blue"})
    with pytest.raises(UsageError, match=r"(?s)another plan.*\+    COLOUR=blue") as caught:
        run.launch(other)
    assert "--replace" in str(caught.value)
    assert run.fleet["a"].current()["generation"] == 1

    run.fleet.order.clear()
    assert run.launch(other, replace=True).generation == 2
    order = [module for _, module in run.fleet.order]
    assert order.index("fleet_lock") < order.index("fleet_stop") < order.index("command")


def test_an_old_generation_that_will_not_go_is_not_replaced(run: Run) -> None:
    run.fleet["a"].look = ready_when_running
    run.launch()
    run.fleet["b"].stubborn = True
    with pytest.raises(HostFailed, match="b: pid 7"):
        run.launch(plan_for("a", "b", env={"COLOUR": "blue"}), replace=True)
    assert run.fleet["a"].current()["generation"] == 1
    assert run.fleet["a"].locks == {}


def test_one_host_away_before_the_start_means_no_host_is_touched(run: Run) -> None:
    run.fleet["b"].away = True
    with pytest.raises(HostUnreachable, match="no route"):
        run.launch()
    assert run.fleet.order == []


def test_findings_of_all_hosts_are_told_together(run: Run) -> None:
    run.fleet["a"].told = {"listening": [{"address": "0.0.0.0", "port": 18000, "pid": 9, "command": "thief"}]}
    run.fleet["b"].findings = [{"kind": "model", "ok": False, "detail": "/m is not there", "value": ""}]
    with pytest.raises(
        PreflightFailed, match=r"(?s)b: /m is not there.*a: port 18000 \(endpoint\) is taken by pid 9 \(thief\)"
    ) as caught:
        run.launch()
    assert "r1fleet provision" in str(caught.value)
    assert "fleet_lock" not in run.fleet.modules()


def test_what_many_hosts_lack_is_told_once_and_where_the_ways_are_closed_by_a_few() -> None:
    run = Run(*(f"h{number}" for number in range(1, 21)))
    run.fleet.walls = {(one, other): "timed out" for one in run.fleet.hosts for other in run.fleet.hosts}
    for fake in run.fleet.fakes.values():
        fake.findings = [{"kind": "user", "ok": False, "detail": "there is no user lab", "value": ""}]
    with pytest.raises(PreflightFailed) as caught:
        run.launch()
    rows = caught.value.what.splitlines()
    assert "h1, h2, h3, h4 and 16 more: there is no user lab" in rows[0] + rows[-1]
    assert len(rows) == 6, rows  # four closed ends, the rest of them, and the user
    assert "h5, h6, h7, h8 and 12 more: reach, too" in caught.value.what
    hint = str(caught.value.hint)
    assert "open h1 for TCP from h2 h3 h4 h5 and 15 more, all ports from 1024 up (likewise on h2, h3, h4, h5" in hint
    assert "r1fleet preflight rehearsal tells each host's" in hint
    assert len(hint) < 600


@pytest.mark.parametrize(("engine", "expected"), [("vllm", []), ("sglang", [18000])])
def test_ports_are_looked_at_where_the_engine_opens_them(engine: str, expected: list[int]) -> None:
    plan = plan_for("a", "b", engine=engine)
    ports = {gang.nodes[0].host: gang for gang in plan.gangs}
    assert [port.number for port in ports_of(plan, ports["a"], "a")] == [18000, 18500]
    assert [port.number for port in ports_of(plan, ports["a"], "b")] == expected


def test_unequal_models_are_refused(run: Run) -> None:
    run.fleet["b"].findings = [{"kind": "model", "ok": True, "detail": "", "value": "another"}]
    with pytest.raises(PreflightFailed, match="the model's manifest: another, not same as on a"):
        run.launch()


def test_what_the_images_name_meant_is_kept_and_a_later_launch_tells_that_it_means_another(run: Run) -> None:
    plan = plan_for("a", "b", image="registry/engine:1")
    for fake in run.fleet.fakes.values():
        fake.told = {"programs": {"docker": program('{"ServerVersion": "28.1"}')}}
    run.fleet["a"].look = ready_when_running
    run.fleet["a"].image = run.fleet["b"].image = "0123456789abcdef"
    run.launch(plan)
    path = f"/var/lib/r1fleet/{NAME}/generations/1/plan.json"
    kept = json.loads(run.fleet["b"].folders[NAME][path]["content"])
    assert [rank["digest"] for rank in kept["ranks"]] == ["0123456789abcdef"] * 2

    run.events.clear()
    assert run.launch(plan).state == "already ready"
    assert not [note for note in run.told(Note) if "means" in note.text]

    run.fleet["a"].image = run.fleet["b"].image = "fedcba9876543210"
    assert run.launch(plan).state == "already ready"
    notes = [note for note in run.told(Note) if "means" in note.text]
    assert [note.host for note in notes] == ["a", "b"]
    assert notes[0].text == (
        "registry/engine:1 means fedcba987654 now, generation 1 was launched with 0123456789ab; "
        f"r1fleet restart {NAME} takes what it means now"
    )

    run.events.clear()
    stop(run.fleet.hosts.values(), run.fleet.access, run.tell, NAME)
    run.fleet["a"].verdict = {}
    assert run.launch(plan).state == "ready"
    assert [note.host for note in run.told(Note) if "generation 1 was launched with 0123" in note.text] == ["a", "b"]


def test_a_held_lock_names_owner_and_remedy(run: Run) -> None:
    run.fleet["a"].locks[LOCK] = {"by": "bob@there", "pid": 9, "purpose": "launch", "token": "t", "time": 1.0}
    with pytest.raises(LockHeld, match="bob@there") as caught:
        run.launch()
    assert caught.value.exit_code == 7
    assert f"lock release {NAME}" in str(caught.value)
    assert LOCK in run.fleet["a"].locks
    assert [lock.by for lock in lock_status(run.fleet.hosts.values(), run.fleet.access)] == ["bob@there"]


def test_a_lock_whose_owner_cannot_be_read_is_not_given_one(run: Run) -> None:
    run.fleet["a"].locks[LOCK] = {}
    with pytest.raises(LockHeld) as caught:
        run.launch()
    assert caught.value.what == f"{NAME} is locked by an unknown owner (launch) since an unknown time"
    assert f"r1fleet lock release {NAME}" in str(caught.value)


def test_a_launch_that_came_between_look_and_lock_wins(run: Run) -> None:
    other = Run()
    other.fleet = run.fleet
    plan = plan_for("a", "b", env={"COLOUR": "blue"})

    def between(event: Event) -> None:
        if isinstance(event, Step) and (event.name, event.state) == ("check", "done"):
            other.launch(plan, detach=True)

    options = LaunchOptions(hosts=run.fleet.hosts, interval=0.01)
    with pytest.raises(LockHeld, match="came first"):
        launch(plan_for("a", "b"), run.fleet.access, between, options)
    assert run.fleet["b"].current()["digest"] == plan.digest
    assert run.fleet["b"].running() == [unit(1)]


def test_files_that_cannot_be_written_on_one_host_start_nothing_anywhere(run: Run) -> None:
    run.fleet["b"].refuse = {"fleet_stage": "/var/lib: Read-only file system"}
    with pytest.raises(HostFailed, match="Read-only"):
        run.launch()
    assert "command" not in run.fleet.modules()
    assert run.fleet["a"].current()["state"] == "failed"
    assert run.fleet["a"].locks == {}


def test_a_rank_that_cannot_be_started_stops_the_others(run: Run) -> None:
    run.fleet["b"].refuse = {unit(1): "Failed to execute /opt/engine"}
    with pytest.raises(GangFailed, match=r"rank 1 could not be started: .*Failed to execute") as caught:
        run.launch()
    assert caught.value.failure.host == "b"
    assert caught.value.exit_code is ExitCode.HOST_FAILED
    assert run.nothing_runs()
    assert {host.current()["state"] for host in run.fleet.fakes.values()} == {"failed"}
    assert run.fleet["a"].locks == {}


def test_a_rank_that_dies_while_loading_is_named_with_its_last_lines(run: Run) -> None:
    def die(host: FakeHost) -> None:
        if unit(1) in host.running() and run.told(Step)[-1].name == "start":
            host.end(unit(1), 1, "loading", "ValueError: no such shard")

    run.fleet["b"].look = die
    with pytest.raises(GangFailed) as caught:
        run.launch()
    text = str(caught.value)
    assert "host b: rehearsal: rank 1 ended with status 1" in text
    assert "first error in its log: ValueError: no such shard" in text
    assert "    | loading" in text
    assert "all ranks have been stopped" in text
    assert run.nothing_runs()
    assert run.fleet["a"].current()["detail"].startswith("rank 1 on b ended with status 1")


def test_the_cause_is_blamed_even_where_its_consequence_was_seen_first(run: Run) -> None:
    def both(host: FakeHost) -> None:
        if run.told(Step) and run.told(Step)[-1].name == "start" and unit(0) in host.running():
            host.end(unit(0), 1, "RuntimeError: Connection closed by peer [10.0.0.2]")
            run.fleet["b"].end(unit(1), 1, "OutOfMemoryError: CUDA out of memory")

    run.fleet["a"].look = both
    with pytest.raises(GangFailed) as caught:
        run.launch()
    assert caught.value.failure.rank == 1
    assert caught.value.failure.others == ("rank 0 on a: RuntimeError: Connection closed by peer [10.0.0.2]",)


def test_a_gang_that_is_never_ready_fails_by_its_judges_word(run: Run) -> None:
    run.fleet["a"].verdict = {"failed": {"what": "no connection from 10.0.0.2 to port 18500 within 300 s"}}
    with pytest.raises(GangFailed, match=r"rank 1 never came up: no connection from 10\.0\.0\.2"):
        run.launch()
    assert run.nothing_runs()


def test_a_host_lost_while_loading_is_named_and_the_rest_is_stopped(run: Run) -> None:
    def vanish(host: FakeHost) -> None:
        host.away = host.away or run.told(Step)[-1].name == "start"

    run.fleet["b"].look = vanish
    with pytest.raises(GangFailed) as caught:
        run.launch()
    assert caught.value.exit_code == ExitCode.UNREACHABLE
    assert "host b was lost" in caught.value.what
    assert caught.value.left == {"b": "no route"}
    assert "not confirmed stopped" in caught.value.what
    assert run.fleet["a"].units == {}
    assert run.fleet["a"].locks == {}


def test_a_lost_leader_does_not_keep_the_other_ranks_running(run: Run) -> None:
    def vanish(host: FakeHost) -> None:
        host.away = host.away or run.told(Step)[-1].name == "start"

    run.fleet["a"].look = vanish
    with pytest.raises(GangFailed, match="host a was lost"):
        run.launch()
    assert run.fleet["b"].units == {}
    assert run.fleet["b"].current()["state"] == "failed"


def test_a_failure_while_another_holds_the_lock_is_left_to_the_other(run: Run) -> None:
    def die_locked(host: FakeHost) -> None:
        if run.told(Step) and run.told(Step)[-1].name == "start" and unit(1) in host.running():
            host.end(unit(1), 1, "Error: x")
            run.fleet["a"].locks[LOCK] = {"by": "bob@there", "purpose": "stop", "token": "t", "time": 1.0}

    run.fleet["b"].look = die_locked
    result = run.launch()
    assert result.state == "superseded"
    assert "bob@there" in result.detail
    assert "rank 1 on b" in result.detail
    assert "Error: x" in result.detail
    assert result.exit_code is ExitCode.HOST_FAILED
    assert "fleet_stop" not in run.fleet.modules()


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_before_all_ranks_run_rolls_everything_back(run: Run) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, RankState) and (event.rank, event.state) == (1, "starting"):
            press_ctrl_c()

    options = LaunchOptions(hosts=run.fleet.hosts, interval=0.01)
    result = launch(plan_for("a", "b"), run.fleet.access, interrupt, options)
    assert (result.state, result.exit_code) == ("rolled back", ExitCode.INTERRUPTED)
    assert run.nothing_runs()
    assert {host.current()["state"] for host in run.fleet.fakes.values()} == {"stopped"}
    assert run.fleet["a"].locks == {}


def test_ctrl_c_while_rolling_back_says_what_may_still_run_and_gives_the_lock_back(run: Run) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, RankState) and (event.rank, event.state) in ((1, "starting"), (1, "stopping")):
            press_ctrl_c()

    options = LaunchOptions(hosts=run.fleet.hosts, interval=0.01)
    result = launch(plan_for("a", "b"), run.fleet.access, interrupt, options)
    assert (result.state, result.exit_code) == ("interrupted", ExitCode.INTERRUPTED)
    assert f"may still run; r1fleet stop {NAME}" in result.detail
    assert run.fleet["a"].locks == {}


def test_ctrl_c_after_all_ranks_run_leaves_them_alone(run: Run) -> None:
    handler = signal.getsignal(signal.SIGINT)

    def interrupt(event: Event) -> None:
        run.tell(event)
        if isinstance(event, Step) and (event.name, event.state) == ("start", "done"):
            press_ctrl_c()

    options = LaunchOptions(hosts=run.fleet.hosts, interval=0.01)
    result = launch(plan_for("a", "b"), run.fleet.access, interrupt, options)
    assert (result.state, result.exit_code) == ("interrupted", ExitCode.INTERRUPTED)
    assert run.fleet["a"].running() == [unit(0), unit("ready")]
    assert run.fleet["a"].locks == {}
    assert any(f"stop {NAME}" in note.text for note in run.told(Note))
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_launch_from_another_thread_leaves_signals_alone(run: Run) -> None:
    run.fleet["a"].look = ready_when_running
    results: list[LaunchResult] = []
    worker = threading.Thread(target=lambda: results.append(run.launch()))
    worker.start()
    worker.join()
    assert [result.state for result in results] == ["ready"]


def test_a_watch_that_another_controller_ended_stops_nothing_itself(run: Run) -> None:
    def stopped_elsewhere(event: Event) -> None:
        if isinstance(event, Step) and (event.name, event.state) == ("start", "done"):
            stop(run.fleet.hosts.values(), run.fleet.access, lambda event: None, NAME, by="bob@there")
            run.fleet.order.clear()

    options = LaunchOptions(hosts=run.fleet.hosts, interval=0.01)
    result = launch(plan_for("a", "b"), run.fleet.access, stopped_elsewhere, options)
    assert (result.state, result.detail) == ("superseded", "bob@there has stopped it")
    assert run.fleet.modules() == ["fleet_state"]


@pytest.mark.parametrize(("engine", "groups"), [("sglang", ["a", "b"]), ("vllm", ["a", "b"])])
def test_stop_goes_through_rank_0_first_where_the_engine_needs_it(run: Run, engine: str, groups: list[str]) -> None:
    run.launch(plan_for("a", "b", engine=engine), detach=True)
    seen: list[list[str]] = []
    run.fleet["a"].calls.clear()

    def note(event: Event) -> None:
        if isinstance(event, RankState) and event.state == "stopping":
            stopped = [host for host, module in run.fleet.order if module == "fleet_stop"]
            seen.append([event.host, *stopped])

    report = stop(run.fleet.hosts.values(), run.fleet.access, note)
    assert report.exit_code is ExitCode.OK
    assert [host for host, module in run.fleet.order if module == "fleet_stop"] == groups
    waited = ["b", "a"] in seen  # rank 1 is told only after rank 0 has been stopped
    assert waited is (engine == "sglang")


def test_stop_lists_what_is_not_confirmed_and_is_not_ok(run: Run) -> None:
    run.launch(detach=True)
    run.fleet["b"].stubborn = True
    report = stop(run.fleet.hosts.values(), run.fleet.access, run.tell)
    assert report.left == {"b": "pid 7 (engine)"}
    assert report.exit_code is ExitCode.HOST_FAILED
    assert run.fleet["a"].current()["state"] == "stopped"
    assert run.fleet["b"].current()["state"] == "starting"

    run.fleet["b"].away = True
    report = stop(run.fleet.hosts.values(), run.fleet.access, run.tell)
    assert report.left == {"b": "no route"}
    assert report.exit_code is ExitCode.UNREACHABLE


def test_a_leader_that_is_full_neither_locks_nor_writes_and_is_stopped_all_the_same(run: Run) -> None:
    run.launch(detach=True)
    full = "the lock: [Errno 28] No space left on device"
    run.fleet["a"].refuse = {"fleet_lock": full, "fleet_stage": "current.json: No space left on device"}
    report = stop(run.fleet.hosts.values(), run.fleet.access, run.tell)
    assert (report.exit_code, report.stopped) == (ExitCode.OK, ("a", "b"))
    assert run.nothing_runs()
    warnings = [(note.host, note.text) for note in run.told(Note) if note.level == "warning"]
    assert ("a", f"not locked: {full}") in warnings
    assert any(host == "a" and "its state cannot be written: current.json" in text for host, text in warnings)


def test_a_leader_that_left_the_inventory_does_not_keep_the_others_running(run: Run) -> None:
    run.launch(detach=True)
    report = stop([run.fleet.hosts["b"]], run.fleet.access, run.tell, NAME)
    assert report.left == {"a": "it is not in this inventory"}
    assert run.fleet["b"].units == {}


# --- restart ------------------------------------------------------------------------------------------


def restarted(run: Run, plan: Plan) -> LaunchResult:
    options = LaunchOptions(hosts=run.fleet.hosts, interval=0.01)
    return restart(plan, run.fleet.access, run.tell, options)


def test_a_restart_meets_every_host_once_and_ends_what_runs_outside_its_plan(run: Run) -> None:
    run.fleet["a"].look = ready_when_running
    run.launch()
    run.fleet.opened.clear()
    result = restarted(run, plan_for("a"))
    assert (result.state, result.generation) == ("ready", 2)
    assert run.fleet.opened == ["a", "b"]
    assert run.fleet["b"].units == {}
    assert run.fleet["b"].current()["state"] == "stopped"
    assert "b" in run.fleet.closed


def test_a_restart_that_could_not_start_stops_nothing(run: Run) -> None:
    run.fleet["a"].look = ready_when_running
    run.launch()
    run.fleet["b"].findings = [{"kind": "model", "ok": False, "detail": "/m is not there", "value": ""}]
    with pytest.raises(PreflightFailed, match="/m is not there"):
        restarted(run, plan_for("a", "b"))
    assert run.fleet["b"].running() == [unit(1)]
    assert run.fleet["b"].current()["state"] == "starting"


def test_a_restart_goes_on_without_a_host_that_has_nothing_to_do_with_it() -> None:
    run = Run("a", "b", "c")
    run.fleet["a"].look = ready_when_running
    run.launch(plan_for("a", "b"))
    run.fleet["c"].away = True
    assert restarted(run, plan_for("a", "b")).state == "ready"
    run.fleet["b"].stubborn = True
    with pytest.raises(HostFailed, match="not confirmed stopped"):
        restarted(run, plan_for("a", "b"))


def test_stop_with_nothing_launched_is_ok(run: Run) -> None:
    report = stop(run.fleet.hosts.values(), run.fleet.access, run.tell)
    assert (report.message, report.exit_code) == ("nothing is running here", ExitCode.OK)
    assert stop(run.fleet.hosts.values(), run.fleet.access, run.tell, "r9").message == "nothing of r9 is running"


def test_stop_asks_which_deployment_is_meant(run: Run) -> None:
    run.launch(detach=True)
    run.launch(plan_for("a", "b", name="second"), detach=True)
    with pytest.raises(UsageError, match="rehearsal, second"):
        stop(run.fleet.hosts.values(), run.fleet.access, run.tell)


def test_files_of_a_generation_hold_the_secret_only_where_it_belongs(run: Run) -> None:
    run.launch(plan_for("a", "b", api_key=True), api_key="s3cret", detach=True)
    files = [row for row in run.fleet["b"].folders[NAME].values() if isinstance(row, dict) and "path" in row]
    holding = [row for row in files if "s3cret" in row["content"]]
    assert [(row["mode"], row["owner"]) for row in holding] == [(0o400, "lab")]
    assert all(f"/var/lib/r1fleet/{NAME}/generations/1/" in row["path"] for row in files)
    assert not any("s3cret" in str(args) for module, args in run.fleet["b"].calls if module != "fleet_stage")
    assert "s3cret" not in repr(LaunchOptions(hosts={}, api_key="s3cret"))
