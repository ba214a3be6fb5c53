"""What prune leaves: all that a deployment names, however it spells it, and what a host that is away may use."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from r1fleet.cli import main as cli
from r1fleet.errors import ExitCode
from r1fleet.status import Access
from r1fleet.transport import Call, Reply
from tests.invoking import well
from tests.plays import FakeTransport

FILES = [{"path": "a", "size": 1, "sha256": "0" * 64}]
MANIFEST = json.dumps({"schema": 1, "name": "org/m", "revision": "main", "origin": "hf", "files": FILES})
QUIET = {"python": "3.12.0", "now": 0.0, "monotonic": 0.0, "boot_id": "", "strays": [], "deployments": []}


@dataclass
class Hosts:
    """What every host keeps on its shelf; ``busy`` are words of running processes."""

    kept: tuple[str, ...]
    storage: str = "xfs"
    busy: dict[str, list[str]] = field(default_factory=dict)
    launched: dict[str, dict[str, Any]] = field(default_factory=dict)
    leads: dict[str, str] = field(default_factory=dict)
    broken: frozenset[str] = frozenset()
    shelves: set[str] = field(default_factory=set)
    removed: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, host: str, call: Call) -> Reply:
        """Answer as the host would."""
        if call.module == "fleet_state":
            return {"failed": True, "msg": "no room for a thought"} if host in self.broken else self._state(host)
        if call.module != "fleet_shelf":
            return {"changed": True, "acquired": True}
        if call.args["action"] == "remove":
            self.removed += [(host, path) for path in call.args["paths"]]
            return {"changed": True, "removed": call.args["paths"]}
        self.shelves.update(call.args["folders"])
        common = {"kind": "sealed", "bytes": 1, "touched": 0.0, "manifest": MANIFEST, "storage": self.storage}
        leads = {path: to for path, to in self.leads.items() if path in call.args["named"]}
        rows = [{"path": path, **common} for path in self.kept]
        return {"entries": rows, "busy": self.busy.get(host, []), "leads": leads}

    def _state(self, host: str) -> Reply:
        rest: dict[str, Any] = {
            "problem": "",
            "current": None,
            "lock": None,
            "generations": 1,
            "ranks": [],
            "gangs": [],
        }
        plans = [self.launched[host]] if host in self.launched else []
        return {**QUIET, "deployments": [{"name": plan["name"], "plan": plan, **rest} for plan in plans]}


def launched(name: str, path: str) -> dict[str, Any]:
    """A record of a launch by a controller that calls the host by another name."""
    row = dict.fromkeys(("cluster", "digest", "engine", "model", "key_file", "key_name", "by"), "")
    sizes = {"generation": 1, "leader_first": False, "endpoints": [], "ranks": [], "gangs": []}
    return {**row, **sizes, "name": name, "runtime": "systemd", "schema": 1, "settings": [f'model_path: "{path}"']}


Prune = Callable[..., tuple[int, str]]


@pytest.fixture
def prune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Prune:
    """Prune hosts a and b by the command line; return the exit code and what was told."""
    monkeypatch.setenv("R1FLEET_CACHE", str(tmp_path / "cache"))

    def run(hosts: Hosts, *words: str, down: str = "", weights_dir: str = "/w", **spec: Any) -> tuple[int, str]:
        written = {"engine": "vllm", "accelerator": "cpu", "model": "org/m", "hosts": "gpu", **spec}
        given = {"base": "/data/", "weights_dir": weights_dir, "deployments": {"serve": written}}
        groups = {"gpu": {"hosts": {"a": None, "b": None}}}
        inventory = tmp_path / "fleet.yaml"
        inventory.write_text(yaml.safe_dump({"all": {"vars": given, "children": groups}}))
        transport = FakeTransport(hosts.answer, frozenset(down.split()))
        monkeypatch.setattr("r1fleet.cli.weights.access", lambda reach: Access(transport, lambda host: None))
        code = cli.run(["weights", "prune", "-y", "-i", str(inventory), *words])
        told = capsys.readouterr()
        return code, told.out + told.err

    return run


@pytest.mark.parametrize(
    ("spec", "used"),
    [
        ({"prepare": {"bf16": True, "folder": "/w/cast"}}, "/w/cast"),
        ({"engine": "deepseek", "prepare": {"folder": "/w/split"}}, "/w/split"),
        ({"model_path": "/w/elsewhere"}, "/w/elsewhere"),
        ({"prepare": {"bf16": True}}, "/w/org--m@main-bf16"),
        ({"args": {"speculative-config": {"model": "/w/draft"}}}, "/w/draft"),
    ],
)
def test_every_folder_that_a_deployment_names_stays(prune: Prune, spec: dict[str, Any], used: str) -> None:
    hosts = Hosts((used, "/w/old"))
    assert prune(hosts, **spec)[0] == ExitCode.OK
    assert hosts.removed == [("a", "/w/old"), ("b", "/w/old")]


@pytest.mark.parametrize(
    "weights_dir", ["/data//weights", "//data/weights/", "/data/./weights", "/data/x/../weights", "{{ base }}/weights"]
)
def test_however_the_shelf_is_spelled_its_folders_are_known(prune: Prune, weights_dir: str) -> None:
    hosts = Hosts(("/data/weights/org--m@main", "/data/weights/old"))
    prune(hosts, weights_dir=weights_dir)
    assert hosts.shelves == {"/data/weights"}
    assert {path for _, path in hosts.removed} == {"/data/weights/old"}


def test_a_shelf_that_hosts_would_have_to_find_out_is_refused_with_its_place(prune: Prune) -> None:
    for weights_dir in ("~/weights", "/home/$USER/weights", "weights"):
        hosts = Hosts(("/w/old",))
        code, told = prune(hosts, weights_dir=weights_dir)
        assert code == ExitCode.USAGE
        assert f"weights_dir is '{weights_dir}'; it must be an absolute path" in told
        assert "fleet.yaml:" in told
        assert not hosts.removed


def test_what_a_process_spells_otherwise_or_reaches_over_a_link_stays(prune: Prune) -> None:
    hosts = Hosts(("/w/runs", "/w/linked", "/w/old"), busy={"a": ["/w//x/../runs/config.json"]})
    hosts.leads["/models/m"] = "/w/linked"
    prune(hosts, model_path="/models/m")
    assert {path for _, path in hosts.removed} == {"/w/old"}


def test_what_was_launched_stays_beside_what_is_declared_since(prune: Prune) -> None:
    hosts = Hosts(("/w/org--m@main", "/w/runs", "/w/other", "/w/old"))
    hosts.launched = {"a": launched("serve", "/w//runs"), "b": launched("stranger", "/w/other")}
    prune(hosts)
    assert {path for _, path in hosts.removed} == {"/w/old"}


def test_a_limit_says_where_to_remove_and_all_hosts_what_they_use(prune: Prune) -> None:
    hosts = Hosts(("/w/runs", "/w/old"), busy={"b": ["/w/runs/config.json"]})
    assert prune(hosts, "--limit", "a")[0] == ExitCode.OK
    assert hosts.removed == [("a", "/w/old")]


@pytest.mark.parametrize(("storage", "removed"), [("nfs4", []), ("xfs", [("a", "/w/old")])])
def test_what_a_host_that_is_away_may_share_stays(prune: Prune, storage: str, removed: list[tuple[str, str]]) -> None:
    hosts = Hosts(("/w/old",), storage)
    code, told = prune(hosts, down="b")
    assert (code, hosts.removed) == (ExitCode.UNREACHABLE, removed)
    assert ("1 folders on storage that hosts can share (nfs4) stay: b may use them" in told) is (storage == "nfs4")
    assert prune(hosts, "--limit", "a", down="b")[0] == ExitCode.OK


def test_a_host_that_does_not_tell_what_runs_there_keeps_everything(prune: Prune) -> None:
    hosts = Hosts(("/w/old",), broken=frozenset("b"))
    code, told = prune(hosts)
    assert (code, hosts.removed) == (ExitCode.UNREACHABLE, [("a", "/w/old")])
    assert "no room for a thought" in told


def test_a_host_tells_where_links_lead_on_its_shelf(tmp_path: Path) -> None:
    (tmp_path / "disk" / "m").mkdir(parents=True)
    (tmp_path / "shelf").symlink_to("disk")
    (tmp_path / "models").symlink_to("shelf/m")
    named = [str(tmp_path / name) for name in ("models", "disk/m", "shelf/m", "gone")]
    told = well("fleet_shelf", action="list", folders=[str(tmp_path / "shelf")], named=named)
    assert told["leads"] == dict.fromkeys(named[:2], named[2])
    assert [row["storage"] for row in told["entries"]] != [""]
