"""What hosts keep: what is damaged, what could not be looked at, and what that means for the exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from r1fleet.errors import ExitCode, HostUnreachable, Where
from r1fleet.events import Event, Step
from r1fleet.inventory import Host
from r1fleet.status import Access, Contact
from r1fleet.transport import Call, Reply
from r1fleet.weights import MANIFEST, Entry, Verified
from r1fleet.weights.shelf import SEALED, unseal, verify
from tests.invoking import invoke, well
from tests.plays import FakeTransport

DAMAGED = [{"path": "/w/m", "problems": [{"file": "a", "problem": "is missing"}]}]
ENTRIES = [Entry(name, "/w/m", SEALED, 1) for name in ("away", "damaged", "refusing", "sound")]


def shelf(name: str, call: Call) -> Reply:
    if name == "away":
        raise HostUnreachable("silent for 10 seconds", where=Where(host=name))
    if call.args["action"] == "unseal":
        return {"changed": True}
    if name == "refusing":
        return {"failed": True, "msg": "/w/m: Permission denied"}
    return {"verified": DAMAGED if name == "damaged" else [{"path": "/w/m", "problems": []}]}


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport(shelf)


@pytest.fixture
def contact(transport: FakeTransport) -> Iterator[Contact]:
    hosts = [Host(one.host) for one in ENTRIES]
    with Contact(Access(transport, lambda host: None), hosts) as opened:
        yield opened


def test_only_what_is_damaged_loses_its_seal_and_a_host_that_is_lost_stops_no_other(
    contact: Contact, transport: FakeTransport
) -> None:
    told: list[Event] = []
    looked = {one.host: one for one in verify(contact, ENTRIES, told.append)}
    codes = {host: one.exit_code for host, one in looked.items()}
    assert codes == {
        "away": ExitCode.UNREACHABLE,
        "damaged": ExitCode.HOST_FAILED,
        "refusing": ExitCode.HOST_FAILED,
        "sound": ExitCode.OK,
    }
    assert unseal(contact, looked.values(), told.append) == ExitCode.OK
    assert [name for name, call in transport.calls if call.args["action"] == "unseal"] == ["damaged"]


def test_a_host_that_is_lost_before_its_seal_is_off_is_told(contact: Contact) -> None:
    told: list[Event] = []
    found = [Verified(name, "/w/m", (("a", "is missing"),)) for name in ("away", "damaged")]
    assert unseal(contact, found, told.append) == ExitCode.UNREACHABLE
    assert [(one.host, one.state) for one in told if isinstance(one, Step)] == [("away", "failed")]


def sealed(tmp_path: Path, **sizes: int) -> Path:
    folder = tmp_path / "m"
    folder.mkdir()
    rows = [{"path": path, "size": size, "sha256": "0" * 64} for path, size in sizes.items()]
    (folder / MANIFEST).write_text(json.dumps({"name": "m", "files": rows}))
    return folder


def on_shelf(tmp_path: Path, action: str, folder: Path) -> dict[str, Any]:
    return well("fleet_shelf", action=action, folders=[str(tmp_path)], paths=[str(folder)])


def test_a_file_that_the_disk_does_not_give_is_one_problem_and_the_others_are_looked_at(tmp_path: Path) -> None:
    folder = sealed(tmp_path, **{"/proc/self/mem": 0, "gone": 5})  # the kernel gives none of that file's bytes
    (verified,) = on_shelf(tmp_path, "verify", folder)["verified"]
    problems = {one["file"]: one["problem"] for one in verified["problems"]}
    assert problems == {"/proc/self/mem": "cannot be read: Input/output error", "gone": "is missing"}


def test_a_seal_that_is_off_already_and_a_removal_that_was_cut_off_are_no_obstacle(tmp_path: Path) -> None:
    folder = sealed(tmp_path, a=1)
    on_shelf(tmp_path, "unseal", folder)
    on_shelf(tmp_path, "unseal", folder)
    (tmp_path / ".m.gone.part").mkdir()
    (tmp_path / ".m.gone.part" / "left").touch()
    (folder / "a").touch()
    assert on_shelf(tmp_path, "remove", folder)["removed"] == [str(folder)]
    assert not list(tmp_path.iterdir())
    assert invoke("fleet_shelf", action="remove", folders=["/w"], paths=["/etc"])["failed"]
