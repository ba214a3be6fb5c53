"""One sync at a time on each host: the lock that a second one finds."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from r1fleet.errors import LockHeld
from r1fleet.launch.lock import Lock
from r1fleet.status.contact import Contact
from r1fleet.status.record import SYNCS


@contextmanager
def held(contact: Contact, hosts: Sequence[str], by: str) -> Iterator[None]:
    """Hold the lock on every host; raise LockHeld that names who holds it on one of them.

    A lock that a process of this controller has left behind when it was killed is taken over; hosts whose disk is the
    same see one lock, which this run holds for all of them.
    """
    token = uuid.uuid4().hex
    locks = [Lock(contact, host, SYNCS, "sync", by, token) for host in hosts]
    try:
        for lock in locks:
            _acquire(lock, by)
        yield
    finally:
        for lock in locks:
            lock.release()


def _acquire(lock: Lock, by: str) -> None:
    try:
        lock.acquire(0)
    except LockHeld:
        owner = lock.owner()
        if not _is_left_behind(owner, by):
            raise
        lock.take_over(owner)
        lock.acquire(0)


def _is_left_behind(owner: Mapping[str, Any], by: str) -> bool:
    """Tell whether the owner was a process of this controller that lives no more."""
    pid = owner.get("pid")
    if owner.get("by") != by or not isinstance(pid, int) or pid <= 1:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
