"""`r1fleet sync` and `weights` by their command line on real hosts; a stand-in hub serves what is downloaded."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from r1fleet.cli.connect import connector
from r1fleet.events import Event, Step, Transfer
from r1fleet.inventory import load
from r1fleet.lab import Lab
from r1fleet.launch.options import who
from r1fleet.playbook import resolve
from r1fleet.provision.library import libtorrent_wheel
from r1fleet.status import Access
from r1fleet.transport import Become
from r1fleet.weights import SyncOptions, bring, models_of
from r1fleet.weights.sources import parse_source
from r1fleet.weights.swarm import SwarmSettings
from r1fleet.weights.wanted import wanted
from tests.lab.reach import answer, ask, r1fleet
from tests.lab.sharing import mount_into
from tests.standins.hub import COMMIT, StandInHub, serve_hub

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

SHELF = "/srv/models"
PATH = f"{SHELF}/org--model@main"
MODEL = "org/model"


def shard(size: int) -> bytes:
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + os.urandom(size)


FILES = {"config.json": b'{"model_type": "small"}', "model.safetensors": shard(300_000), "tokenizer.json": b"{}" * 2000}


class Fleet:
    """The lab's two hosts with one deployment, and the command line."""

    def __init__(self, lab: Lab, folder: Path, hub: StandInHub) -> None:
        self.lab = lab
        self.hub = hub
        self.file = folder / "fleet.yaml"
        self.cache = folder / "cache"
        self.write()

    def write(self, **more: Any) -> None:
        """Write the inventory; ``more`` are variables of all hosts."""
        written = yaml.safe_load(self.lab.inventory.read_text())
        spec = {"engine": "vllm", "accelerator": "cpu", "model": MODEL, "hosts": "nodes"}
        written["all"]["vars"].update({"weights_dir": SHELF, "deployments": {"serve": spec}, **more})
        self.file.write_text(yaml.safe_dump(written))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one command on this inventory."""
        argv = (*words, "-i", str(self.file))
        return r1fleet(*argv, HF_ENDPOINT=self.hub.url, HF_TOKEN="", R1FLEET_CACHE=str(self.cache))

    def sync(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Sync from the hub, fetched on the controller."""
        return self.run("sync", "--from", "hf", "--on", "controller", *words)

    def on(self, host: str, command: str) -> str:
        """Run a command as root on a host."""
        return answer(self.lab, host, f"sudo sh -c '{command}'")


@pytest.fixture(scope="module")
def hub() -> Iterator[StandInHub]:
    with serve_hub() as standin:
        standin.put(MODEL, FILES)
        yield standin


@pytest.fixture
def fleet(lab: Lab, hub: StandInHub, tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(lab, tmp_path, hub)
    hub.served.clear()
    hub.asked.clear()
    yield made
    for host in ("h1", "h2"):
        ask(
            lab,
            host,
            f"sudo sh -c 'umount {SHELF} 2>/dev/null; rm -rf {SHELF} /var/lib/r1fleet/weights /var/lib/r1fleet/.sync'",
        )


@pytest.fixture
def stocked(fleet: Fleet) -> Fleet:
    """A fleet whose two hosts hold the model."""
    done = fleet.sync()
    assert done.returncode == 0, done.stderr + done.stdout
    return fleet


def held(fleet: Fleet, host: str) -> str:
    return fleet.on(host, f"cd {PATH} && find . -type f | sort | xargs sha256sum")


def test_one_download_reaches_every_host_and_a_second_sync_moves_nothing(fleet: Fleet) -> None:
    planned = fleet.sync("--check")
    assert planned.returncode == 0
    assert "lacks" in planned.stdout
    assert "nothing was changed" in planned.stdout
    assert fleet.on("h1", f"ls {SHELF} 2>/dev/null | wc -l") == "0"

    done = fleet.sync()

    assert done.returncode == 0, done.stderr
    assert fleet.hub.served["model.safetensors"] == len(FILES["model.safetensors"])
    assert held(fleet, "h1") == held(fleet, "h2")
    assert len(held(fleet, "h2").splitlines()) == len(FILES) + 1
    assert {fleet.on(host, f"readlink {SHELF}/org--model") for host in ("h1", "h2")} == {"org--model@main"}
    assert json.loads(fleet.on("h2", f"cat {PATH}/.r1fleet-manifest.json"))["revision"] == COMMIT
    assert fleet.on("h1", f"ls -A {SHELF}").split() == ["org--model", "org--model@main"]

    fleet.hub.asked.clear()
    fleet.on("h2", f"ln -sfn org--model@older {SHELF}/org--model")  # as if the first had been cut off before its end
    assert "leads there now" in fleet.run("sync").stdout
    assert fleet.on("h2", f"readlink {SHELF}/org--model") == "org--model@main"
    again = fleet.run("sync")
    assert again.returncode == 0
    assert "nothing to do" in again.stdout
    assert fleet.hub.asked == []


def test_a_damaged_file_is_named_with_its_host_and_brought_again_from_another(stocked: Fleet) -> None:
    stocked.on("h2", f"printf x | dd of={PATH}/model.safetensors bs=1 seek=200000 conv=notrunc status=none")

    found = stocked.run("weights", "verify", "--unseal")

    assert found.returncode == 2
    assert f"error: h2: {PATH}/model.safetensors is not what the manifest says" in found.stdout
    assert "h1: /" not in found.stdout
    stocked.hub.served.clear()

    done = stocked.run("sync", "--json")

    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    plan, result = rows[0], rows[-1]
    assert plan["event"] == "sync_plan"
    assert plan["models"][0]["origin"]["host"] == "h1"
    assert result["models"][0]["hosts"] == {"h1": "held", "h2": "brought"}
    assert held(stocked, "h1") == held(stocked, "h2")
    assert stocked.hub.served == {}
    assert stocked.run("weights", "verify").returncode == 0


def test_prune_takes_what_no_deployment_uses_and_nothing_else(stocked: Fleet) -> None:
    stocked.on("h1", f"cp -r {PATH} {SHELF}/org--old@main; cp -r {PATH} {SHELF}/org--runs@main")
    stocked.on("h1", f"mkdir {SHELF}/by-hand {SHELF}/.x.part {SHELF}/.y.part; touch -d -2days {SHELF}/.x.part")
    running = f'setsid -f sh -c ": {SHELF}/org--runs@main/config.json; sleep 60; true" >/dev/null 2>&1 </dev/null'
    answer(stocked.lab, "h1", f"sudo {running}")

    listed = stocked.run("weights", "list")
    rows = {row[1]: row for row in map(str.split, listed.stdout.splitlines()) if row[0] == "h1"}
    assert (rows[PATH][2], rows[PATH][-1]) == ("sealed", "serve")
    assert rows[f"{SHELF}/by-hand"][2] == "unsealed"
    assert stocked.run("weights", "prune").returncode == 5  # nobody can be asked
    assert "org--old" in stocked.run("weights", "prune", "--check").stdout

    done = stocked.run("weights", "prune", "-y")

    assert done.returncode == 0, done.stderr
    kept = stocked.on("h1", f"ls -A {SHELF}").split()
    assert kept == [".y.part", "by-hand", "org--model", "org--model@main", "org--runs@main"]
    assert stocked.on("h2", f"ls -A {SHELF}").split() == ["org--model", "org--model@main"]


@pytest.mark.parametrize("option", ["size=32m", "ro"])
def test_a_host_that_cannot_take_it_is_named_before_a_byte_moves(fleet: Fleet, option: str) -> None:
    fleet.on("h2", f"mkdir -p {SHELF} && mount -t tmpfs -o {option} none {SHELF}")

    done = fleet.sync()

    assert done.returncode == 2
    assert "nothing was moved" in done.stderr
    assert re.search(f"h2: .*{'read-only' if option == 'ro' else 'MiB free'}", done.stderr)
    assert "model.safetensors" not in fleet.hub.served
    assert fleet.on("h1", f"ls -A {SHELF} | wc -l") == "0"


def test_hosts_that_share_their_storage_receive_once(fleet: Fleet, tmp_path: Path) -> None:
    for host in ("h1", "h2"):
        mount_into(fleet.lab, host, tmp_path, SHELF)
    spec = {"engine": "sglang", "engine_version": "0.5.23", "model": MODEL, "hosts": "nodes"}
    fleet.write(deployments={"serve": spec})

    done = fleet.sync("--json")

    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    plan = next(row for row in rows if row["event"] == "sync_plan")
    assert [(row["host"], row["state"], row["by"]) for row in plan["models"][0]["hosts"]] == [
        ("h1", "lacks", ""),
        ("h2", "shares", "h1"),
    ]
    assert rows[-1]["models"][0]["hosts"] == {"h1": "brought", "h2": "held"}
    assert {row["host"] for row in rows if row["event"] in ("step", "transfer")} == {"localhost", "h1"}
    assert any("weight-loader-prefetch-checkpoints" in row.get("text", "") for row in rows)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(("org", "."))) == [
        "org--model",
        "org--model@main",
    ]


@pytest.mark.slow
def test_hosts_hand_on_what_is_complete_while_the_rest_is_still_being_fetched(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = {f"model-{number}.safetensors": shard(number * 4_000_000) for number in range(1, 9)}
    fleet.hub.put("org/large", {"config.json": b"{}", **shards})
    fleet.write(deployments={"serve": {"engine": "vllm", "accelerator": "cpu", "model": "org/large", "hosts": "nodes"}})
    monkeypatch.setenv("HF_ENDPOINT", fleet.hub.url)
    cluster = load(fleet.file)
    swarm = SwarmSettings(wheel_for=libtorrent_wheel, group_bytes=1 << 20)
    options = SyncOptions(parse_source("hf"), on="h1", swarm=swarm)
    models = models_of(wanted(cluster, lambda host: resolve(cluster, host, {})))
    access, events = Access(connector(), lambda host: Become()), list[Event]()
    fleet.hub.rate = 1.5e6
    try:
        with reachable(fleet, "h1"):
            done = bring(models, access, events.append, options)
    finally:
        fleet.hub.rate = 0.0
        access.transport.close()

    assert done.exit_code == 0
    fetched = next(
        at for at, one in enumerate(events) if isinstance(one, Step) and (one.name, one.state) == ("fetch", "done")
    )
    assert any(isinstance(one, Transfer) and one.host == "h2" and one.done for one in events[:fetched])
    seal = f"sha256sum {SHELF}/org--large@main/.r1fleet-manifest.json"
    assert fleet.on("h1", seal) == fleet.on("h2", seal)
    assert fleet.run("weights", "verify").returncode == 0


@contextmanager
def reachable(fleet: Fleet, host: str) -> Iterator[None]:
    """Let a host reach this machine's hub at the address that the hub has here."""
    ports = [url.rpartition(":")[2] for url in (fleet.hub.url, fleet.hub.cdn)]
    options = ("BatchMode=yes", "ExitOnForwardFailure=yes", *(f"RemoteForward={one} 127.0.0.1:{one}" for one in ports))
    argv = fleet.lab.ssh(host, "echo ready; sleep 300", options=options).argv
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as tunnel:
        assert tunnel.stdout is not None
        assert tunnel.stdout.readline() == "ready\n"
        try:
            yield
        finally:
            tunnel.terminate()


@contextmanager
def locked(fleet: Fleet, **owner: Any) -> Iterator[None]:
    lock = "/var/lib/r1fleet/.sync/lock"
    text = json.dumps({"by": "ann@elsewhere", "pid": 1, "purpose": "sync", "time": 1.0, "token": "t", **owner})
    command = f"sudo sh -c 'mkdir -p {lock} && cat > {lock}/owner.json'"
    assert ask(fleet.lab, "h1", command, stdin=text).returncode == 0
    yield
    fleet.on("h1", f"rm -rf {lock}")


def test_a_second_sync_is_refused_with_the_name_of_the_first(fleet: Fleet) -> None:
    with locked(fleet):
        refused = fleet.sync()
        shown = fleet.run("lock", "status")
        released = fleet.run("lock", "release", "weights")
    assert refused.returncode == 7
    assert "ann@elsewhere" in refused.stderr
    assert "r1fleet lock release weights" in refused.stderr
    assert "ann@elsewhere" in shown.stdout
    assert "released weights on h1" in released.stdout


def test_what_a_killed_sync_of_this_controller_has_locked_is_taken_over(fleet: Fleet) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    with locked(fleet, by=who(), pid=ended.pid):
        assert fleet.run("sync", "--stop").returncode == 0
        assert "no lock is held" in fleet.run("lock", "status").stdout


def test_a_host_that_is_away_does_not_hold_up_the_others_and_outweighs_what_is_damaged(fleet: Fleet) -> None:
    written = yaml.safe_load(fleet.file.read_text())
    hosts = written["all"]["children"]["lab"]["children"]["nodes"]["hosts"]
    hosts["h0"] = {"ansible_host": "127.0.0.1", "ansible_port": 1}
    fleet.file.write_text(yaml.safe_dump(written))

    done = fleet.sync()

    assert done.returncode == 4
    assert "h0" in done.stdout
    assert held(fleet, "h1") == held(fleet, "h2")

    fleet.on("h2", f"rm {PATH}/config.json")
    found = fleet.run("weights", "verify")
    assert found.returncode == 4
    assert "error: h0: h0 (127.0.0.1:1) refuses connections" in found.stdout
    assert f"error: h2: {PATH}/config.json is missing" in found.stdout
    listed = fleet.run("weights", "list", "--json")
    assert listed.returncode == 4
    assert {row["host"] for row in json.loads(listed.stdout)} == {"h1", "h2"}
    assert listed.stderr == "error: h0: h0 (127.0.0.1:1) refuses connections\n"


def test_a_model_that_nobody_has_is_told_with_what_to_do(fleet: Fleet) -> None:
    spec = {"engine": "vllm", "accelerator": "cpu", "model": "org/typo", "hosts": "nodes"}
    fleet.write(deployments={"serve": spec})
    done = fleet.sync()
    assert done.returncode != 0
    assert "org/typo" in done.stderr
    assert "hint" in done.stderr
    fleet.write(deployments={"serve": spec, "other": {**spec, "model": MODEL, "port": 8001}})
    mixed = fleet.sync()
    assert (mixed.returncode, "org/typo" in mixed.stdout) == (done.returncode, True)
    assert held(fleet, "h1") == held(fleet, "h2")
