"""Status reads what hosts keep; a host that is away is a row like any other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from r1fleet.console.views import status_lines
from r1fleet.errors import ExitCode
from r1fleet.inventory import Host, Inventory
from r1fleet.launch import GangFailed, LaunchOptions, launch, stop
from r1fleet.status import StatusOptions, StatusReport, root_on, status
from r1fleet.transport import Become
from tests.fleets import READY, Fleet
from tests.gangs import rehearsal

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


def look(fleet: Fleet, *, probe: bool = False) -> StatusReport:
    return status([Inventory("lab", None, fleet.hosts, {})], fleet.access, StatusOptions(probe=probe))


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
    assert report.exit_code is ExitCode.OK
    assert json.loads(json.dumps(report.as_json()))["deployments"][0]["ranks"][1]["host"] == "b"


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
    assert look(fleet).hosts[1].strays == ("r1fleet-old-0-1 (3 processes)",)


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
