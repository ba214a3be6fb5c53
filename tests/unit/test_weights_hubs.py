"""Fetching from hubs: every byte once, verified file by file, from whichever hub has the very same content.

The hub is a stand-in on this machine; tests/differential/test_hub_clients.py shows it to the hubs' own clients.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from r1fleet.errors import FleetError, HostFailed, HostUnreachable
from r1fleet.weights import MANIFEST, SealedFile
from r1fleet.weights.sources import Hub
from tests.hubs import MODEL, Fetching, shard, tiny
from tests.standins.hub import COMMIT, Fault

ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
NOWHERE = Hub("Away", "huggingface", "http://127.0.0.1:9")


@pytest.mark.parametrize("words", ["hugging_face", "modelscope"])
def test_a_model_comes_whole_small_files_first_and_sealed(fetching: Fetching, words: str) -> None:
    fetching.hub.put(MODEL, tiny())
    fetching.pace = replace(fetching.pace, workers=1)
    done = fetching.fetch(getattr(fetching, words))
    assert fetching.held() == tiny()
    assert fetching.files == sorted(tiny(), key=lambda path: len(tiny()[path])) == list(dict.fromkeys(fetching.files))
    assert {file.path for file in done.manifest.files} == set(tiny())
    assert done.moved == done.manifest.size == sum(map(len, tiny().values()))
    assert (fetching.staging / MANIFEST).read_text() == done.manifest.text
    assert done.manifest.revision == (COMMIT if words == "hugging_face" else "")
    assert done.manifest.origin == getattr(fetching, words).endpoint


def test_what_a_sealed_folder_holds_is_known_again(fetching: Fetching) -> None:
    model = fetching.hub.put(MODEL, tiny())
    manifest = fetching.fetch().manifest
    for hub in (fetching.hugging_face, fetching.modelscope):
        assert fetching.look(hub).is_held_by(manifest)
    model.files["config.json"] = model.files["config.json"].replace(b"2", b"3")
    for hub in (fetching.hugging_face, fetching.modelscope):
        assert not fetching.look(hub).is_held_by(manifest)


def test_a_listing_in_pages_is_read_to_its_end(fetching: Fetching) -> None:
    fetching.hub.put(MODEL, tiny())
    fetching.hub.page = 2
    assert {file.path for file in fetching.look().files} == set(tiny())
    assert len(fetching.asked("/tree/")) == 4


def test_a_listing_that_modelscope_cuts_off_is_read_folder_by_folder(fetching: Fetching) -> None:
    files = {f"{folder}/{number:04}": b"" for folder in "abc" for number in range(1400)}
    fetching.hub.put(MODEL, {"config.json": b"{}", **files})
    assert {file.path for file in fetching.look(fetching.modelscope).files} == {"config.json", *files}
    fetching.hub.put(MODEL, {f"{number:04}": b"" for number in range(3100)})
    with pytest.raises(HostFailed, match="cut off after 3000 entries"):
        fetching.look(fetching.modelscope)


def test_the_same_weights_in_other_formats_are_left_out(fetching: Fetching) -> None:
    doubles = {"pytorch_model.bin": b"x", "original/consolidated.00.pth": b"y", "tf_model.h5": b"z"}
    fetching.hub.put(MODEL, {**tiny(), **doubles})
    listed = fetching.look()
    assert ({file.path for file in listed.files}, set(listed.left_out)) == (set(tiny()), set(doubles))
    fetching.hub.put(MODEL, doubles)
    assert {file.path for file in fetching.look().files} == set(doubles)


@pytest.mark.parametrize("words", ["hugging_face", "modelscope"])
def test_a_connection_that_breaks_off_goes_on_at_its_byte(fetching: Fetching, words: str) -> None:
    fetching.hub.put(MODEL, tiny())
    within = f"/cdn/{MODEL}/{ONE}" if words == "hugging_face" else f"FilePath={ONE}"
    fetching.hub.faults = [Fault(within, cut_after=100_000, times=2)]
    fetching.fetch(getattr(fetching, words))
    assert fetching.held() == tiny()
    assert fetching.hub.served[ONE] == len(tiny()[ONE])


def test_a_server_that_knows_no_ranges_starts_again(fetching: Fetching) -> None:
    fetching.hub.put(MODEL, tiny())
    fetching.hub.ranges = False
    fetching.hub.faults = [Fault(f"/cdn/{MODEL}/{ONE}", cut_after=100_000)]
    fetching.fetch()
    assert fetching.held() == tiny()


def test_a_server_without_ranges_that_always_breaks_off_is_given_up(fetching: Fetching) -> None:
    fetching.hub.put(MODEL, tiny())
    fetching.hub.ranges = False
    fetching.hub.faults = [Fault(f"/cdn/{MODEL}/{ONE}", cut_after=100_000, times=999)]
    with pytest.raises(HostUnreachable, match="3 times in a row"):
        fetching.fetch()


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_a_hub_that_is_busy_is_asked_again(fetching: Fetching, status: int) -> None:
    fetching.hub.put(MODEL, tiny())
    fetching.hub.faults = [Fault("/api/", status, times=2), Fault("/resolve/", status, times=2)]
    fetching.fetch()
    assert fetching.held() == tiny()


def test_a_signed_address_that_has_run_out_is_asked_for_again(fetching: Fetching) -> None:
    fetching.hub.put(MODEL, tiny())
    fetching.hub.faults = [Fault(f"/cdn/{MODEL}/{ONE}", 403)]
    fetching.fetch()
    assert fetching.held() == tiny()
    fetching.hub.put(MODEL, {**tiny(), ONE: shard(300_000, 5)})
    fetching.hub.faults = [Fault(f"/cdn/{MODEL}/{ONE}", 403, times=99)]
    with pytest.raises(HostUnreachable, match=r"its storage 127\.0\.0\.1:\d+ answers 403 Forbidden, 3 times in a row"):
        fetching.fetch()


def test_a_hub_is_left_alone_for_as_long_as_it_asks(fetching: Fetching) -> None:
    fetching.hub.put(MODEL, tiny())
    listed = fetching.look()
    fetching.hub.faults = [Fault(TWO, 429, {"Retry-After": "1"})]
    begun = time.monotonic()
    fetching.fetch(listed=listed)
    assert time.monotonic() - begun >= 1.0


def test_a_hub_that_asks_for_an_hour_is_left_for_the_next_one(fetching: Fetching) -> None:
    fetching.hub.put(MODEL, tiny())
    listed = fetching.look()
    fetching.hub.faults = [Fault("/resolve/", 429, {"Retry-After": "3600"}, times=99)]
    fetching.fetch(fetching.hugging_face, fetching.modelscope, listed=listed)
    assert fetching.held() == tiny()
    assert any("asks to wait 3600 s" in note for note in fetching.notes)


def test_a_hub_that_is_away_is_left_for_the_next_one(fetching: Fetching) -> None:
    fetching.hub.put(MODEL, tiny())
    listed = fetching.look(NOWHERE, fetching.modelscope)
    assert listed.origin == fetching.modelscope.endpoint
    fetching.fetch(NOWHERE, fetching.modelscope, listed=listed)
    assert fetching.held() == tiny()
    assert not fetching.notes  # the hub that has answered is asked first
    with pytest.raises(HostUnreachable, match=r"no answer from http://127\.0\.0\.1:9"):
        fetching.look(NOWHERE)


def test_the_next_hub_goes_on_inside_a_file(fetching: Fetching) -> None:
    fetching.hub.put(MODEL, tiny())
    listed = fetching.look()
    fetching.hub.faults = [
        Fault(f"/cdn/{MODEL}/{ONE}", cut_after=200_000),
        Fault(f"/cdn/{MODEL}/{ONE}", 503, times=99),
    ]
    fetching.fetch(fetching.hugging_face, fetching.modelscope, listed=listed)
    assert fetching.held() == tiny()
    assert fetching.hub.served[ONE] == len(tiny()[ONE])


def test_a_mirror_that_tells_another_hash_gives_that_file_to_nobody(fetching: Fetching) -> None:
    model = fetching.hub.put(MODEL, tiny())
    listed = fetching.look()
    model.told[ONE] = {"Sha256": "0" * 64}
    fetching.hub.faults = [Fault("/resolve/", 404, {"X-Error-Code": "EntryNotFound"}, times=99)]
    with pytest.raises(HostFailed, match=f"MS: its {ONE} is another file: it has the sha256 000"):
        fetching.fetch(fetching.hugging_face, fetching.modelscope, listed=listed)
    assert not fetching.asked(f"FilePath={ONE}")
    assert fetching.held() == {path: content for path, content in tiny().items() if path != ONE}


def test_a_mirror_that_serves_other_bytes_is_found_out(fetching: Fetching) -> None:
    model = fetching.hub.put(MODEL, tiny())
    listed = fetching.look()
    model.files[ONE] = shard(300_000, 9)
    with pytest.raises(HostFailed, match=f"its {ONE} is another file: it has the sha256"):
        fetching.fetch(listed=listed)
    assert ONE not in fetching.held()
    model.files[ONE] = tiny()[ONE]
    fetching.fetch(listed=listed)
    assert fetching.held() == tiny()


def test_what_is_complete_is_not_fetched_again(fetching: Fetching) -> None:
    fetching.hub.put(MODEL, tiny())
    fetching.pace = replace(fetching.pace, workers=1)
    listed = fetching.look()

    def interrupt(file: SealedFile) -> None:
        if file.path == TWO:
            raise KeyboardInterrupt

    fetching.on_file = interrupt
    with pytest.raises(KeyboardInterrupt):
        fetching.fetch(listed=listed)
    fetching.on_file = lambda file: None
    done = fetching.fetch(listed=listed)
    assert fetching.held() == tiny()
    assert done.moved <= len(tiny()[ONE])
    assert fetching.hub.served[TWO] == len(tiny()[TWO])
    again = fetching.fetch(listed=listed)
    assert (again.moved, again.manifest.digest) == (0, done.manifest.digest)


def test_a_file_that_was_complete_when_the_fetch_was_killed_is_hashed_and_kept(fetching: Fetching) -> None:
    fetching.hub.put(MODEL, tiny())
    fetching.fetch()
    notes = fetching.staging / ".r1fleet-fetch" / "complete"
    kept = [line for line in notes.read_text().splitlines(keepends=True) if ONE not in line]
    notes.write_text("".join(kept) + '{"path": "mo')
    assert fetching.fetch().moved == 0
    assert fetching.held() == tiny()
    assert fetching.fetch().moved == 0


def test_a_complete_file_that_was_touched_is_fetched_again(fetching: Fetching) -> None:
    fetching.hub.put(MODEL, tiny())
    fetching.fetch()
    (fetching.staging / "config.json").write_bytes(tiny()["config.json"].replace(b"2", b"3"))
    fetching.fetch()
    assert fetching.held() == tiny()


def test_a_fetch_that_was_killed_in_the_middle_of_a_file_goes_on_there(fetching: Fetching, tmp_path: Path) -> None:
    files = {"config.json": b"{}", "model.safetensors": shard(6_000_000)}
    fetching.hub.put(MODEL, files)
    listed = fetching.look()
    fetching.hub.rate = 4e6
    program = _begin(fetching, tmp_path)
    part = fetching.staging / ".r1fleet-fetch"
    _await(lambda: _biggest(part) > 1_000_000)
    os.kill(program.pid, signal.SIGKILL)
    program.wait()
    size = _biggest(part)
    assert 1_000_000 < size < 6_000_000
    fetching.hub.rate = 0.0
    done = fetching.fetch(listed=listed)
    assert fetching.held() == files
    assert done.moved == len(files["model.safetensors"]) - size


def _begin(fetching: Fetching, tmp_path: Path) -> subprocess.Popen[bytes]:
    listed = fetching.look()
    hub = {"name": "HF", "kind": "huggingface", "endpoint": fetching.hub.url}
    args = {
        "model": MODEL,
        "revision": "main",
        "commit": listed.commit,
        "origin": listed.origin,
        "files": [asdict(file) for file in listed.files],
        "hubs": [hub],
        "staging": str(fetching.staging),
    }
    (tmp_path / "args").write_text(json.dumps(args))
    code = (
        "import json, sys; from r1fleet.agent.calls import invoke; invoke('fleet_fetch', json.load(open(sys.argv[1])))"
    )
    return subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "args")])


def _biggest(folder: Path) -> int:
    """Return the size of the biggest file, while small ones may go to their places."""
    sizes = [0]
    for path in folder.glob("*"):
        with suppress(FileNotFoundError):
            sizes.append(path.stat().st_size)
    return max(sizes)


def _await(happened: object) -> None:
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        if callable(happened) and happened():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen in 20 s")


def test_two_fetches_never_write_to_one_folder(fetching: Fetching, tmp_path: Path) -> None:
    fetching.hub.put(MODEL, {"model.safetensors": shard(6_000_000)})
    fetching.hub.rate = 4e6
    program = _begin(fetching, tmp_path)
    try:
        _await(lambda: fetching.hub.served.get("model.safetensors", 0) > 0)
        with pytest.raises(FleetError, match="another fetch is writing"):
            fetching.fetch()
    finally:
        program.kill()
        program.wait()


def test_progress_is_told_in_bytes(fetching: Fetching) -> None:
    fetching.hub.put(MODEL, tiny())
    fetching.pace = replace(fetching.pace, workers=1)
    fetching.fetch()
    done = [
        (event.done, event.total) for event in fetching.events if hasattr(event, "done") and hasattr(event, "total")
    ]
    size = sum(map(len, tiny().values()))
    assert done == sorted(done)
    assert done[-1] == (size, size)
