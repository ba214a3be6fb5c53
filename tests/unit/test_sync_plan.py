"""What a sync decides before it touches anything, and what prune may take: pure, from told values."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from r1fleet.cli.sync import _refuse_one_folder_for_many, rate_of
from r1fleet.command import cmd
from r1fleet.console.errors import render_error
from r1fleet.console.weights import brought_lines, sync_lines
from r1fleet.errors import ExitCode, HostFailed, HostUnreachable, Interrupted, SpecError, UsageError, Where
from r1fleet.events import Event, Note, ignore
from r1fleet.inventory import Host
from r1fleet.runtimes.once import once
from r1fleet.spec import Deployment, resolve
from r1fleet.status import Access, Contact
from r1fleet.topology import known_shape
from r1fleet.topology.models import as_bf16
from r1fleet.transport import Call, Reply
from r1fleet.weights import (
    Brought,
    HostOutcome,
    HostRow,
    Model,
    ModelPlan,
    Synced,
    SyncPlan,
    bring,
    chosen,
    models_of,
    parse,
    within,
)
from r1fleet.weights.look import look, look_again, relooked
from r1fleet.weights.manifest import Manifest
from r1fleet.weights.options import SyncOptions
from r1fleet.weights.plan import HOLDS, LACKS, SHARES, Origin, Room, problems
from r1fleet.weights.prepare import Derived, each_once, is_prepared, weight_of
from r1fleet.weights.shared import prefetch_note
from r1fleet.weights.shelf import LINK, PARTIAL, SEALED, UNSEALED, Entry, Shelf, _names, unused
from r1fleet.weights.sources import Source
from r1fleet.weights.swarm import SwarmSettings
from r1fleet.weights.wanted import Wanted
from r1fleet.weights.ways import Ways
from tests.plays import FakeTransport

GIB = 1 << 30
A, B, C = (Host(name) for name in "abc")


def wanted(name: str, *hosts: Host, **spec: Any) -> Wanted:
    written = Deployment.model_validate({"engine": "vllm", "accelerator": "cpu", "hosts": "all", **spec})
    return Wanted(name, resolve(name, written), hosts)


def test_deployments_of_one_model_share_its_folder_and_their_hosts_add_up() -> None:
    one, other = wanted("one", A, B, model="org/m"), wanted("two", B, C, model="org/m", port=8001)
    (model,) = models_of([one, other])
    assert [host.name for host in model.hosts] == ["a", "b", "c"]
    assert model.deployments == ("one", "two")
    assert within([model], ["c"])[0].hosts == (C,)


def test_two_models_in_one_folder_are_refused() -> None:
    pair = [wanted(name, A, model=f"org/{name}", model_path="/srv/m") for name in ("one", "two")]
    with pytest.raises(SpecError, match="in one folder"):
        models_of(pair)


def test_a_name_that_means_nothing_is_refused_with_the_nearest() -> None:
    models = models_of([wanted("serve", A, model="org/model")])
    assert chosen(models, model="org/model@main") == models
    with pytest.raises(UsageError, match="did you mean serve"):
        chosen(models, deployment="serv")
    with pytest.raises(UsageError, match="did you mean org/model"):
        chosen(models, model="org/modell")


@pytest.mark.parametrize(("source", "is_refused"), [("/srv/one", True), ("cache:/c", False), ("hf", False)])
def test_one_folder_is_not_taken_for_several_models(source: str, is_refused: bool) -> None:
    models = models_of([wanted("one", A, model="org/one"), wanted("two", A, model="org/two", port=8001)])
    _refuse_one_folder_for_many(source, models[:1])
    if is_refused:
        with pytest.raises(UsageError, match="org/one@main, org/two@main"):
            _refuse_one_folder_for_many(source, models)
    else:
        _refuse_one_folder_for_many(source, models)


def plan_of(*rows: HostRow, size: int = GIB, **more: Any) -> SyncPlan:
    model = Model("org/m", "main", "/srv/m", (A, B), ("serve",), ("sglang",))
    return SyncPlan((ModelPlan(model, size, rows, Origin("a", "hf"), **more),))


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (HostRow("b", LACKS, needs=GIB, room=Room(2 * GIB, "xfs", "/dev/sda")), None),
        (HostRow("b", LACKS, needs=GIB, room=Room(GIB, "xfs", "/dev/sda")), "1.0 GiB free, and 1.1 GiB are needed"),
        (HostRow("b", LACKS, needs=GIB, room=Room(9 * GIB, "nfs", "s:/w", read_only=True)), "read-only"),
        (HostRow("b", LACKS, needs=GIB, problem="/srv: Input/output error"), "Input/output error"),
    ],
)
def test_what_stands_in_the_way_of_a_host_is_found_before_a_byte_moves(row: HostRow, told: str | None) -> None:
    found = dict(problems(plan_of(row)))
    assert (told in found["b"]) if told else not found


def test_two_models_on_one_disk_need_room_for_both() -> None:
    row = HostRow("b", LACKS, needs=GIB, room=Room(GIB + GIB // 2, "xfs", "/dev/sda"))
    single = plan_of(row).models[0]
    other = replace(single, model=replace(single.model, path="/srv/n"))
    assert not list(problems(SyncPlan((single,))))
    assert "2.1 GiB are needed" in dict(problems(SyncPlan((single, other))))["b"]


def test_a_host_that_did_not_answer_outweighs_one_that_failed() -> None:
    plan, lost = plan_of(), HostUnreachable("no route")
    failed = Synced("/srv/m", "", (HostOutcome("b", error=HostFailed("no space")),))
    assert Brought(plan, (failed,)).exit_code == ExitCode.HOST_FAILED
    assert Brought(replace(plan, lost={"a": lost}), (failed,)).exit_code == ExitCode.UNREACHABLE
    stuck = SyncPlan((replace(plan.models[0], stuck=True),))
    assert Brought(stuck).exit_code == ExitCode.HOST_FAILED
    assert Brought(replace(stuck, lost={"a": lost})).exit_code == ExitCode.UNREACHABLE
    assert Brought(plan).exit_code == ExitCode.OK


def test_a_folder_that_is_sealed_where_it_lies_needs_no_room_and_says_what_stays() -> None:
    sealed = json.dumps({"name": "m", "files": [{"path": "a", "size": GIB, "sha256": "0" * 64}]})
    found = {"files": [{"path": "a", "size": GIB}], "left_out": [".git"], "commit": "", "origin": "/srv/m"}

    def answer(name: str, call: Call) -> Reply:
        if call.module == "fleet_weights":
            return {"folders": [{"path": "/srv/m", "content": True, "room": {"free": GIB // 2}}]}
        if call.module == "fleet_listing":
            return {**found, "folder": "/srv/m", "in_place": call.args["target"] == "/srv/m", "shared": GIB}
        return {"manifest": sealed, "moved": 0} if call.module == "fleet_seal" else {"acquired": True}

    transport, told, plans = FakeTransport(answer), list[Event](), list[SyncPlan]()
    model = Model("m", "", "/srv/m", (A,), ("serve",))
    options = SyncOptions(source=Source(folder="/srv/m"), on="a")
    done = bring([model], Access(transport, lambda host: None), told.append, options, plans.append)

    assert [outcome.changed for one in done.models for outcome in one.outcomes] == [True]
    asked = {call.module: call.args for _, call in transport.calls}
    assert (asked["fleet_seal"]["folder"], asked["fleet_seal"]["left_out"]) == ("/srv/m", [".git"])
    assert not asked.keys() & {"fleet_fetch", "fleet_publish"}
    assert any("sealed where it lies on a" in line for line in sync_lines(plans[0], "c"))
    assert [event.text for event in told if isinstance(event, Note)] == [
        f"{model.title}: no part of the model, and left in /srv/m: .git"
    ]


def test_where_no_source_answers_the_hint_comes_before_what_each_place_has_heard() -> None:
    def answer(name: str, call: Call) -> Reply:
        if call.module == "fleet_weights":
            return {"folders": [{"path": "/srv/m", "room": {"free": GIB}}]}
        return {
            "failed": True,
            "reason": "route",
            "msg": f"HF: no answer ({name})",
            "hint": "give a route\nMS: neither",
        }

    access, model = Access(FakeTransport(answer), lambda host: None), Model("org/m", "main", "/srv/m", (A,), ("serve",))
    told: list[Event] = []
    with Contact(access, [A]) as contact, pytest.raises(HostUnreachable) as caught:
        look([model], Ways(contact, access, told.append, SyncOptions()))
    assert [event.host for event in told if isinstance(event, Note)] == ["a", "localhost"]
    assert render_error(caught.value).splitlines() == [
        "error: no source answers for org/m@main, neither a nor this controller has reached one",
        "  hint: give a route",
        "        a: HF: no answer (a)",
        "        a: MS: neither",
        "        this controller: HF: no answer (localhost)",
        "        this controller: MS: neither",
    ]


def test_a_damaged_seal_is_told_in_the_plan_and_replaced() -> None:
    sealed = {"name": "m", "files": [{"path": "a", "size": 1, "sha256": "0" * 64}]}
    damaged = {**sealed, "files": [{**sealed["files"][0], "path": "../a"}]}  # type: ignore[dict-item]

    def answer(name: str, call: Call) -> Reply:
        text = json.dumps(damaged if name == "b" else sealed)
        return {"folders": [{"path": "/srv/m", "manifest": text, "content": True, "room": {"free": GIB}}]}

    access, model = Access(FakeTransport(answer), lambda host: None), Model("org/m", "main", "/srv/m", (A, B), ("s",))
    with Contact(access, [A, B]) as contact:
        plan = look([model], Ways(contact, access, ignore, SyncOptions(check=True)))
    assert [row.host for row in plan.models[0].waiting] == ["b"]
    assert any("'../a' is no path inside the folder" in line for line in sync_lines(plan, "c"))


def test_a_host_that_shares_its_storage_is_through_only_where_it_sees_the_very_content() -> None:
    texts = {
        name: json.dumps({"name": "m", "files": [{"path": "a", "size": size, "sha256": "0" * 64}]})
        for name, size in (("a", 1), ("b", 2))
    }

    def answer(name: str, call: Call) -> Reply:
        return {"folders": [{"path": "/srv/m", "manifest": texts[name]}]}

    rows = [HostRow(name, SHARES, by="c") for name in "ab"]
    wanted_digest = parse(texts["a"], Where()).digest
    with Contact(Access(FakeTransport(answer), lambda host: None), [A, B]) as contact:
        again = relooked(plan_of(*rows).models[0], contact, wanted_digest)
    assert [row.state for row in again.rows] == [HOLDS, SHARES]


@pytest.mark.parametrize(
    ("links", "is_lacking"),
    [
        (("org--m@main", "org--m@main"), False),
        (("org--m@main", ""), True),
        (("org--m@older", "org--m@main"), True),
        (("org--m@other", "org--m@main"), False),
        ((None, None), False),
    ],
)
def test_a_link_that_leads_to_nothing_of_the_plan_is_set_once_all_hold_the_model(
    links: tuple[str | None, ...], is_lacking: bool
) -> None:
    rows = tuple(HostRow(name, HOLDS, link=link) for name, link in zip("ab", links, strict=True))
    model = Model("org/m", "main", "/srv/org--m@main", (A, B), ("serve",))
    other = ModelPlan(replace(model, path="/srv/org--m@other"), 0, ())
    plan = SyncPlan((ModelPlan(model, 0, rows), other))
    assert plan.lacks_link(plan.models[0]) is is_lacking
    waiting = replace(plan.models[0], rows=(*rows, HostRow("c", LACKS, link="")))
    assert not plan.lacks_link(waiting)


def test_ctrl_c_says_what_stays() -> None:
    def answer(name: str, call: Call) -> Reply:
        if call.module == "fleet_fetch":
            raise KeyboardInterrupt
        files = [{"path": "a", "size": 1, "sha256": "0" * 64}]
        listed = {"commit": "", "origin": "hf", "files": files, "left_out": [], "acquired": True}
        return {"folders": [{"path": "/srv/m", "room": {"free": GIB}}], **listed}

    transport, model = FakeTransport(answer), Model("org/m", "main", "/srv/m", (A,), ("serve",))
    with pytest.raises(Interrupted, match="what has come stays"):
        bring([model], Access(transport, lambda host: None), ignore, SyncOptions())
    assert [call.args["action"] for _, call in transport.calls if call.module == "fleet_lock"] == ["acquire", "release"]


class Overtaken:
    """Two hosts without a model, of which some get it by another sync before this one has the lock."""

    def __init__(self, *holders: str, room: int = GIB) -> None:
        self.holders, self.room = holders, room
        self.transport = FakeTransport(self.answer)
        self.told: list[Event] = []

    def answer(self, name: str, call: Call) -> Reply:
        files = [{"path": "a", "size": 1, "sha256": "0" * 64}]
        if call.module == "fleet_listing":
            return {"commit": "", "origin": "hf", "files": files, "left_out": []}
        if call.module == "fleet_lock":
            return {"acquired": True}
        locked = self.asked("fleet_lock")
        found: Reply = {"path": "/srv/m", "room": {"free": self.room if locked else GIB}}
        if locked and name in self.holders:
            found["manifest"] = json.dumps({"name": "m", "files": files})
        return {"folders": [found], "hosts": [name]}

    def asked(self, module: str) -> list[str]:
        return [name for name, call in self.transport.calls if call.module == module]

    def bring(self) -> Brought:
        model = Model("org/m", "main", "/srv/m", (A, B), ("serve",))
        return bring([model], Access(self.transport, lambda host: None), self.told.append, SyncOptions())


def test_what_another_sync_has_brought_before_the_lock_was_free_does_not_move_again() -> None:
    run = Overtaken("a", "b")
    done = run.bring()
    assert [(one.host, one.changed, one.error) for one in done.models[0].outcomes] == [
        ("a", False, None),
        ("b", False, None),
    ]
    assert (run.asked("fleet_listing"), run.asked("fleet_fetch")) == (["a"], [])
    assert Note("org/m@main: another sync has brought it meanwhile") in run.told


def test_what_is_in_the_way_once_the_lock_is_held_is_told_before_a_byte_moves() -> None:
    run = Overtaken(room=1)
    with pytest.raises(HostFailed, match="nothing was moved"):
        run.bring()
    assert run.asked("fleet_listing") == ["a"]
    assert len(run.asked("fleet_lock")) == 4  # given back, too


def test_what_a_source_has_listed_holds_when_hosts_are_looked_at_again() -> None:
    run, model = Overtaken("b"), Model("org/m", "main", "/srv/m", (A, B), ("serve",))
    access = Access(run.transport, lambda host: None)
    with Contact(access, [A, B]) as contact:
        ways = Ways(contact, access, ignore, SyncOptions())
        first = look([model], ways)
        same = look_again(first, ways)
        contact.ask("a", "fleet_lock", {})
        later = look_again(first, ways)
    assert same == first
    assert first.models[0].origin == Origin("a", "hf")
    assert (later.models[0].origin, [row.state for row in later.models[0].rows]) == (Origin("b"), [LACKS, HOLDS])
    assert run.asked("fleet_listing") == ["a"]


def test_storage_that_hosts_share_brings_the_engines_own_option() -> None:
    alone = HostRow("a", LACKS, needs=GIB)
    assert prefetch_note(plan_of(alone).models[0]) == ""
    sharing = plan_of(alone, HostRow("b", "shares", by="a")).models[0]
    assert "weight-loader-prefetch-checkpoints" in prefetch_note(sharing)
    without = replace(sharing, model=replace(sharing.model, engines=("lmdeploy",)))
    assert prefetch_note(without) == ""


@pytest.mark.parametrize(
    ("text", "is_named"),
    [
        ("/w/org--m@main", True),
        ("--model=/w/org--m@main/config.json", True),
        ('model_path: "/w/org--m@main"', True),
        ("/w/org--m@main-mp16/model0.safetensors", False),
        ("/w/org--m@mainline", False),
        ("/other/org--m@main", False),
    ],
)
def test_a_folder_is_used_where_a_text_names_it_or_something_in_it(text: str, is_named: bool) -> None:
    assert _names(text, "/w/org--m@main") is is_named


NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("entry", "goes"),
    [
        (Entry("a", "/w/m", SEALED, 1), True),
        (Entry("a", "/w/m", SEALED, 1, users=("serve",)), False),
        (Entry("a", "/w/m", UNSEALED, 1), False),
        (Entry("a", "/w/.m.part", PARTIAL, 1, touched=NOW - 2 * 86400), True),
        (Entry("a", "/w/.m.part", PARTIAL, 1, touched=NOW - 3600), False),
        (Entry("b", "/w/used", SEALED, 1), False),
        (Entry("a", "/w/l", LINK, 0, leads_to="used"), False),
        (Entry("a", "/w/l", LINK, 0, leads_to="gone"), True),
        (Entry("a", "/w/l", LINK, 0, leads_to="/data/by-hand"), False),
        (Entry("a", "/w/l", LINK, 0, leads_to="unsealed"), False),
    ],
)
def test_prune_takes_only_what_nobody_uses_and_what_it_knows(entry: Entry, goes: bool) -> None:
    used = Entry("a", "/w/used", SEALED, 1, users=("serve",))
    unsealed = Entry("a", "/w/unsealed", UNSEALED, 1)
    assert (entry in unused(Shelf((used, unsealed, entry)), now=NOW)) is goes


def test_an_engine_reads_the_cast_and_the_download_stays_where_it_was() -> None:
    one = wanted("serve", A, model="org/m", prepare={"bf16": True})
    assert one.deployment.model_path == f"{one.path}-bf16"
    assert one.path.endswith("/org--m@main")
    assert (is_prepared(one.deployment), weight_of(one.deployment)) == (True, 2.0)
    assert wanted("serve", A, model="org/m", prepare={"overlay": "/o"}).deployment.model_path == f"{one.path}-overlaid"
    assert not is_prepared(wanted("serve", A, model="org/m").deployment)


def test_a_cast_is_planned_as_bf16_without_blocks() -> None:
    shape = known_shape("deepseek-ai/DeepSeek-R1")
    assert shape is not None
    cast = as_bf16(shape)
    assert cast is not None
    assert (cast.weights, cast.quant_block) == ("bf16", None)
    assert as_bf16(cast) == cast


def test_two_deployments_do_not_prepare_different_things_in_one_folder() -> None:
    one = Derived("one", "/w/m-vacc", "/w/m", "compile", 1.0, ({"argv": ["a"]},), ("a", "b"))
    two = replace(one, deployment="two", hosts=("b", "c"))
    assert each_once([one, two]) == (replace(one, hosts=("a", "b", "c")),)
    with pytest.raises(SpecError, match="one and two prepare different things"):
        each_once([one, replace(two, steps=({"argv": ["b"]},))])


def test_a_step_runs_in_the_image_where_the_engine_does() -> None:
    step = cmd("python", "/opt/ds/convert.py", "--save-path", "/w/m-mp8")
    spec = {"image": "r1:1", "accelerator": "nvidia", "model": "org/m"}
    contained = once(wanted("serve", A, **spec).deployment, step, ["/w/m-mp8", "/w/m", "/opt/ds"])
    text = contained.shell()
    assert text.startswith("docker run --rm --interactive")
    assert "--mount type=bind,source=/w,target=/w --mount type=bind,source=/opt,target=/opt" in text
    assert text.endswith("--entrypoint python r1:1 /opt/ds/convert.py --save-path /w/m-mp8")
    assert once(wanted("serve", A, **spec).deployment, cmd("cp", "-rl", "/a", "/b"), []).argv[0] == "cp"


def test_a_host_that_rebooted_while_others_received_still_publishes() -> None:
    def answer(host: str, call: Call) -> Reply:
        if len(transport.opened) == 1:
            raise HostUnreachable("silent for 10 seconds", where=Where(host=host))
        return {"changed": True}

    transport = FakeTransport(answer)
    access = Access(transport, lambda host: None)
    manifest = Manifest("m", (), "{}")
    with Contact(access, [A]) as contact:
        Ways(contact, access, ignore, SyncOptions()).publish("a", manifest, "/w/.m.part", "/w/m")
    assert [call.module for _, call in transport.calls] == ["fleet_publish", "fleet_publish"]
    wanted = hashlib.sha256(manifest.text.encode()).hexdigest()
    assert {call.args["sha256"] for _, call in transport.calls} == {wanted}


@pytest.mark.parametrize(("text", "rate"), [("", 0), ("500M", 500_000_000), ("1.5g", 1_500_000_000), ("7", 7)])
def test_a_rate_is_bytes_a_second(text: str, rate: int) -> None:
    assert rate_of(text) == rate


@pytest.mark.parametrize("text", ["fast", "0", "0.4", "-1M", "1 GB"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no rate"):
        rate_of(text)


@pytest.mark.parametrize(("rate", "most"), [(0, 64 << 20), (1000, 5000), (10**9, 64 << 20)])
def test_at_a_rate_only_what_it_lets_through_in_a_moment_goes_by_the_controller(rate: int, most: int) -> None:
    options = SyncOptions(swarm=SwarmSettings(rate=rate))
    assert options.is_small(most)
    assert not options.is_small(most + 1)


def test_a_host_that_failed_comes_with_what_to_do() -> None:
    lost = HostUnreachable("lost h2", where=Where(host="h2"), hint="run it again once h2 is back")
    done = Brought(
        SyncPlan(()), (Synced("/w/m", "ab" * 32, (HostOutcome("h1", changed=True), HostOutcome("h2", error=lost))),)
    )
    assert list(brought_lines(done)) == [
        "/w/m: brought to h1; sha256 abababababab",
        "/w/m: h2 does not hold it: lost h2",
        "  hint: run it again once h2 is back",
    ]
