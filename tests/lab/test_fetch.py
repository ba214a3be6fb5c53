"""Fetching on a lab host that was chosen for it: over SSH, from a hub on the lab's network, into real file systems."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from r1fleet.cli.connect import connector
from r1fleet.errors import FleetError, HostUnreachable
from r1fleet.inventory import load
from r1fleet.lab import Lab
from r1fleet.transport import Become, Session
from r1fleet.weights import MANIFEST
from r1fleet.weights.sources import Hub, Request, Source, fetch, listing
from tests.hubs import MODEL, PACE, shard, tiny
from tests.lab.reach import answer
from tests.standins.hub import StandInHub, serve_hub

pytestmark = pytest.mark.lab

PLACE = "/srv/fetch"
STAGING = f"{PLACE}/model.part"


@pytest.fixture
def hub(lab: Lab) -> Iterator[StandInHub]:
    with serve_hub(lab.gateway) as hub:
        yield hub


@pytest.fixture
def opened(lab: Lab) -> Iterator[Callable[[], Session]]:
    transports = []

    def open_one() -> Session:
        transport = connector()
        transports.append(transport)
        return transport.open(load(lab.inventory).host("h1"), Become())

    yield open_one
    for transport in transports:
        transport.close()
    answer(lab, "h1", f"umount {PLACE} 2>/dev/null; rm -rf {PLACE}", user="root")


def bring(session: Session, hub: StandInHub, **more: Any) -> None:
    source = Source(hubs=(Hub("HF", "huggingface", hub.url),))
    listed = listing(session, source, MODEL, "main", Become(), pace=PACE)
    fetch(session, Request(source, listed, STAGING, PACE), become=Become(), **more)


def test_the_controllers_token_opens_a_model_there_and_shows_nowhere(
    lab: Lab, hub: StandInHub, opened: Callable[[], Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.put(MODEL, {**tiny(), "model-00003.safetensors": shard(3_000_000)}, gated=True, private=True)
    hub.tokens["hf_of_the_controller"] = {MODEL}
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_controller")
    hub.rate = 4e6
    seen: list[str] = []

    def look(_: object) -> None:
        if not seen:
            processes = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'"
            seen.append(answer(lab, "h1", processes, user="root"))

    bring(opened(), hub, on_file=look)
    assert "sshd" in seen[0]
    assert "hf_of_the" not in seen[0]
    found = answer(
        lab, "h1", f"cd {STAGING}; sha256sum *.safetensors; ls {MANIFEST}; grep -rl hf_of_the . || true", user="root"
    )
    assert found.count("safetensors") == 3
    assert found.endswith(MANIFEST)


def test_a_lost_connection_ends_the_fetch_and_the_next_one_goes_on(
    lab: Lab, hub: StandInHub, opened: Callable[[], Session]
) -> None:
    content = shard(6_000_000)
    hub.put(MODEL, {"config.json": b"{}", "model.safetensors": content})
    hub.rate = 4e6
    session = opened()

    def cut(_: object) -> None:
        while hub.served.get("model.safetensors", 0) < 2_000_000:
            time.sleep(0.02)
        session.close()

    with pytest.raises(HostUnreachable):
        bring(session, hub, on_file=cut)
    hub.rate = 0.0
    time.sleep(0.5)
    before = hub.served["model.safetensors"]
    kept = int(answer(lab, "h1", f"cat {STAGING}/.r1fleet-fetch/* | wc -c", user="root"))
    assert kept > 1_000_000
    bring(opened(), hub)
    assert hub.served["model.safetensors"] - before < len(content) - 1_000_000
    assert answer(lab, "h1", f"wc -c < {STAGING}/model.safetensors", user="root") == str(len(content))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("ro", "cannot write to /srv/fetch/model.part: Read-only file system"),
        ("size=70m", "/srv/fetch/model.part has too little room: 100.0 MB are still to come, 73.4 MB are free"),
    ],
)
def test_file_systems_that_cannot_take_it_are_found_before_the_first_byte(
    lab: Lab, hub: StandInHub, opened: Callable[[], Session], options: str, text: str
) -> None:
    hub.put(MODEL, {"config.json": b"{}", "model.safetensors": b"x" * 2000})
    size = 100_000_000
    hub.models[MODEL].told["model.safetensors"] = {"size": size, "lfs": {"oid": "0" * 64, "size": size}}
    answer(lab, "h1", f"mkdir -p {PLACE}; mount -t tmpfs -o {options} tmpfs {PLACE}", user="root")
    with pytest.raises(FleetError) as refused:
        bring(opened(), hub)
    assert text in refused.value.what
    assert refused.value.hint
    assert not [url for url, _ in hub.asked if "/resolve/" in url]
