"""What is made of a download: by whom, for whom, and what is refused before anything is."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from r1fleet.errors import ExitCode, SpecError
from r1fleet.events import Event, Note
from r1fleet.inventory import Host, load
from r1fleet.playbook import resolve as rendered
from r1fleet.spec import Deployment, resolve
from r1fleet.status import Access
from r1fleet.transport import Call, Reply
from r1fleet.weights import Brought, SyncOptions, bring, models_of
from r1fleet.weights.planned import planner
from r1fleet.weights.wanted import Wanted, wanted
from tests.plays import FakeTransport
from tests.told import told

A, B = Host("a"), Host("b")
SHELF = "/var/lib/r1fleet/weights"
SEAL = {"schema": 1, "name": "org/m", "revision": "main", "origin": "hf"}
FILES = [{"path": "a", "size": 1, "sha256": "0" * 64}]


def want(name: str, *hosts: Host, **spec: Any) -> Wanted:
    written = Deployment.model_validate({"engine": "vllm", "accelerator": "cpu", "hosts": "all", **spec})
    return Wanted(name, resolve(name, written), hosts or (A,))


@pytest.mark.parametrize(
    ("one", "two", "text"),
    [
        (
            {"model": "org/m", "prepare": {"bf16": True, "folder": "/w/cast"}},
            {"model": "org/n", "prepare": {"bf16": True, "folder": "/w//cast"}},
            "deployments one and two have different models prepared in one folder, /w/cast",
        ),
        (
            {"model": "org/m", "prepare": {"bf16": True, "folder": f"{SHELF}/org--n@main"}},
            {"model": "org/n"},
            f"one has its model prepared in {SHELF}/org--n@main, where the download of deployment two lies",
        ),
        (
            {"model": "org/m", "revision": "main-bf16"},
            {"model": "org/m", "prepare": {"bf16": True}},
            f"two has its model prepared in {SHELF}/org--m@main-bf16, where the download of deployment one lies",
        ),
        (
            {"model": "/w/m", "prepare": {"bf16": True, "folder": "/w/m"}},
            {"model": "org/n"},
            "one has its model prepared in /w/m, where the download of deployment one lies",
        ),
    ],
)
def test_what_would_replace_another_model_is_refused(one: dict[str, Any], two: dict[str, Any], text: str) -> None:
    with pytest.raises(SpecError, match=text):
        models_of([want("one", **one), want("two", **two)])


def test_deployments_may_read_one_cast_and_name_it_as_their_model() -> None:
    pair = [want(name, model="org/m", prepare={"bf16": True, "folder": "/w/cast"}) for name in ("one", "two")]
    found = models_of([*pair, want("three", model="/w/cast"), want("four", model="org/n", engine="deepseek")])
    assert [one.path for one in found] == [f"{SHELF}/org--m@main", "/w/cast", f"{SHELF}/org--n@main"]


def test_each_host_has_room_for_what_its_own_deployments_read_once() -> None:
    cast = {"model": "org/m", "prepare": {"bf16": True}}
    overlaid = {"model": "org/m", "engine": "deepseek", "accelerator": "nvidia"}
    (model,) = models_of([want("one", A, **cast), want("two", A, **cast), want("three", B, **overlaid)])
    assert (model.extra_on("a"), model.extra_on("b"), model.extra_on("c")) == (2.0, 1.0, 0.0)


class Hosts:
    """Hosts that hold the download, and what they were asked to make."""

    def __init__(self, *down: str) -> None:
        self.transport = FakeTransport(self._answer, frozenset(down))
        self.made: dict[str, list[str]] = {}
        self.sealed: dict[str, str] = {}
        self.asked: set[tuple[str, str]] = set()

    def bring(self, folder: Path, deployments: dict[str, Any], *, check: bool = False) -> tuple[Brought, list[str]]:
        """Sync what deployments of hosts a and b want; ``hosts`` names one of them."""
        common = {"engine": "vllm", "accelerator": "cpu", "model": "org/m", "tensor_parallel": 1}
        given = {name: {**common, **spec} for name, spec in deployments.items()}
        groups = {f"on_{name}": {"hosts": {name: None}} for name in "ab"}
        file = folder / "fleet.yaml"
        file.write_text(yaml.safe_dump({"all": {"vars": {"deployments": given}, "children": groups}}))
        inventory = load(file)
        models = models_of(wanted(inventory, lambda host: rendered(inventory, host)))
        options = SyncOptions(plan_of=planner(inventory, lambda host: rendered(inventory, host)), check=check)
        events: list[Event] = []
        done = bring(models, Access(self.transport, lambda host: None), events.append, options)
        return done, [event.text for event in events if isinstance(event, Note)]

    def _answer(self, host: str, call: Call) -> Reply:
        if call.module == "fleet_facts":
            return told()
        if call.module == "fleet_prepare":
            folder = call.args["folder"]
            self.made.setdefault(host, []).append(folder)
            self.sealed[folder] = json.dumps({**call.args["seal"], "files": FILES})
            return {"manifest": self.sealed[folder]}
        if call.module == "fleet_weights":
            self.asked.update((host, path) for path in call.args["paths"])
            return {"folders": [self._folder(host, path) for path in call.args["paths"]]}
        content = base64.b64encode(json.dumps({**SEAL, "files": FILES}).encode()).decode()
        return {"changed": True, "acquired": True, "config": None, "stat": {"exists": True}, "content": content}

    def _folder(self, host: str, path: str) -> Reply:
        manifest = json.dumps({**SEAL, "files": FILES}) if path.endswith("@main") else None
        if path in self.made.get(host, ()):
            manifest = self.sealed[path]
        return {"path": path, "manifest": manifest, "room": {"free": 1 << 40}, "link": "org--m@main"}


MADE = f"{SHELF}/org--m@main-bf16"
PLAIN, CAST = {"hosts": "on_b"}, {"hosts": "on_a", "port": 8001, "prepare": {"bf16": True}}


def test_the_hosts_of_its_own_deployment_make_it_and_no_others_are_asked(tmp_path: Path) -> None:
    hosts = Hosts()
    done, _ = hosts.bring(tmp_path, {"plain": PLAIN, "cast": CAST})
    assert done.errors == ()
    assert hosts.made == {"a": [MADE]}
    assert {host for host, path in hosts.asked if path == MADE} == {"a"}
    assert [outcome.host for one in done.models if one.path == MADE for outcome in one.outcomes] == ["a"]


def test_another_deployment_whose_host_is_away_or_that_has_no_plan_holds_up_nothing(tmp_path: Path) -> None:
    away = Hosts("b")
    done, _ = away.bring(tmp_path, {"plain": PLAIN, "cast": CAST})
    assert (done.errors, done.exit_code, away.made) == ((), ExitCode.UNREACHABLE, {"a": [MADE]})

    hosts = Hosts()
    wrong = {"hosts": "on_b", "prepare": {"bf16": True, "folder": "/w/other", "experts": 3}}
    done, _ = hosts.bring(tmp_path, {"wrong": wrong, "cast": CAST})
    assert hosts.made == {"a": [MADE]}
    assert ["prepare.experts means nothing" in error.what for error in done.errors] == [True]


def test_a_check_tells_what_would_be_made(tmp_path: Path) -> None:
    hosts = Hosts()
    _, notes = hosts.bring(tmp_path, {"plain": PLAIN, "cast": CAST}, check=True)
    assert [note for note in notes if note.startswith(f"then to be made of it: {MADE}")]
    assert not hosts.made
    assert {host for host, path in hosts.asked if path == MADE} == {"a"}
