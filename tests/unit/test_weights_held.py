"""One sync at a time: who holds the lock, on hosts that share a disk, too, and what a killed one leaves."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from r1fleet.errors import LockHeld
from r1fleet.launch import lock_release, lock_status
from r1fleet.launch.lock import Lock
from r1fleet.launch.options import who
from r1fleet.spec.resolve import WEIGHTS_DIR
from r1fleet.status import Contact
from r1fleet.status.record import SYNCS, lock_of
from r1fleet.weights.held import held
from tests.fleets import Fleet

LOCK = lock_of(SYNCS)


@pytest.fixture
def fleet() -> Fleet:
    return Fleet("a", "b")


@pytest.fixture
def contact(fleet: Fleet) -> Iterator[Contact]:
    with Contact(fleet.access, fleet.hosts.values()) as opened:
        yield opened


@pytest.fixture
def gone() -> dict[str, Any]:
    """Return the owner that a process of this controller was before it was killed."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    return {"by": who(), "pid": ended.pid, "purpose": "sync", "time": 1.0, "token": "gone"}


def test_the_lock_lies_where_no_models_do_by_default() -> None:
    assert not LOCK.startswith(f"{WEIGHTS_DIR}/")


def test_hosts_that_share_a_disk_are_locked_once_for_all(fleet: Fleet, contact: Contact) -> None:
    fleet["b"].locks = fleet["a"].locks
    with held(contact, ["a", "b"], who()):
        assert list(fleet["a"].locks) == [LOCK]
        with pytest.raises(LockHeld), held(contact, ["b"], who()):
            pass
        assert list(fleet["a"].locks) == [LOCK]
    assert not fleet["a"].locks


def test_a_sync_is_shown_and_released_by_the_name_of_weights(fleet: Fleet, contact: Contact) -> None:
    with held(contact, ["a", "b"], "ann@here"):
        shown = lock_status(fleet.hosts.values(), fleet.access)
        assert [(lock.deployment, lock.host, lock.by) for lock in shown] == [
            ("weights", "a", "ann@here"),
            ("weights", "b", "ann@here"),
        ]
        assert lock_release(fleet.hosts.values(), fleet.access, "weights") == shown
        assert not fleet["a"].locks


def test_what_a_killed_sync_of_this_controller_has_locked_is_taken_over(
    fleet: Fleet, contact: Contact, gone: dict[str, Any]
) -> None:
    fleet["b"].locks[LOCK] = gone
    with held(contact, ["a", "b"], who()):
        assert fleet["b"].locks[LOCK]["token"] == fleet["a"].locks[LOCK]["token"] != "gone"
    assert not fleet["b"].locks


def test_of_two_that_take_over_one_lock_the_later_is_refused(
    fleet: Fleet, contact: Contact, gone: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet["a"].locks[LOCK] = gone
    first = {"by": "bob@there", "pid": 9, "purpose": "sync", "time": 2.0, "token": "first"}
    judged = Lock.owner

    def overtaken(lock: Lock) -> Any:
        owner = dict(judged(lock))
        fleet["a"].locks[LOCK] = first
        return owner

    monkeypatch.setattr(Lock, "owner", overtaken)
    with pytest.raises(LockHeld, match="bob@there"), held(contact, ["a"], who()):
        pass
    assert fleet["a"].locks == {LOCK: first}
