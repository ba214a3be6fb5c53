"""The launch lock: one per deployment, on its leader, with owner, time and generation."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1fleet.errors import HostFailed, HostUnreachable, LockHeld, Where
from r1fleet.events import Note, Observer
from r1fleet.inventory import Host
from r1fleet.launch.options import who
from r1fleet.status.contact import Access, Contact
from r1fleet.status.record import lock_of
from r1fleet.status.survey import lost_hosts, survey


@dataclass(frozen=True, slots=True)
class HeldLock:
    """A lock as a host shows it."""

    deployment: str
    host: str
    by: str
    pid: int
    time: float
    purpose: str
    generation: int = 0

    @property
    def owner(self) -> str:
        """What this controller knows of the owner's process: ``gone``, ``running``, or ``unknown`` of another's."""
        if not self.pid or self.by.rpartition("@")[2] != socket.gethostname():
            return "unknown"
        return "running" if Path(f"/proc/{self.pid}").exists() else "gone"


class Lock:
    """Hold a deployment's lock while it is changed."""

    def __init__(
        self, contact: Contact, host: str, deployment: str, purpose: str, by: str | None = None, token: str = ""
    ) -> None:
        """Locks of one ``token`` are one owner's: none of them is in another's way."""
        self._contact = contact
        self._host = host
        self._deployment = deployment
        self._owner = {"by": by or who(), "pid": os.getpid(), "purpose": purpose, "token": token or uuid.uuid4().hex}
        self._held = False

    def acquire(self, generation: int) -> None:
        """Take the lock for what makes or ends ``generation``, or raise LockHeld that names its owner."""
        reply = self._ask("acquire", owner={**self._owner, "generation": generation})
        if not reply["acquired"]:
            raise held_error(self._deployment, self._host, reply["held"])
        self._held = True

    def acquire_if_possible(self, generation: int, observer: Observer) -> None:
        """Take it for what ends ``generation``: a host that is gone, or full, cannot lock, nor may it keep ranks alive.

        Raises LockHeld where another has it.
        """
        if self._host not in self._contact.hosts:
            return
        try:
            self.acquire(generation)
        except (HostUnreachable, HostFailed) as error:
            observer(Note(f"not locked: {error.what}", "warning", self._host))

    def owner(self) -> Mapping[str, Any]:
        """Tell who holds it; empty where nobody does."""
        return self._ask("status")["held"] or {}

    def take_over(self, owner: Mapping[str, Any]) -> None:
        """Release it from an owner that is gone; nothing happens where another has it by now."""
        self._ask("release", token=str(owner.get("token") or ""))

    def release(self) -> None:
        """Give the lock back if it is still ours; nothing happens when the host is gone."""
        if self._held and self._host in self._contact.sessions:
            self._held = False
            self._contact.ask_all("fleet_lock", {self._host: self._args("release", token=str(self._owner["token"]))})

    def _ask(self, action: str, **more: Any) -> Mapping[str, Any]:
        return self._contact.ask(self._host, "fleet_lock", self._args(action, **more))

    def _args(self, action: str, **more: Any) -> dict[str, Any]:
        return {"path": lock_of(self._deployment), "action": action, **more}


def held_error(deployment: str, host: str, held: Mapping[str, Any]) -> LockHeld:
    """Say who holds a lock, since when, and how to release it."""
    lock = _held(deployment, host, held)
    age = max(0, round(time.time() - lock.time)) if lock.time else None
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(lock.time)) if lock.time else "an unknown time"
    ago = f" ({age} s ago)" if age is not None else ""
    of = f" of generation {lock.generation}" if lock.generation else ""
    what = (f"process {lock.pid}, " if lock.pid else "") + f"{lock.purpose}{of}"
    gone = ", and that process is gone" if lock.owner == "gone" else ""
    release = f"r1fleet lock release {deployment}"
    return LockHeld(
        f"{deployment} is locked by {lock.by} ({what}) since {since}{ago}{gone}",
        where=Where(host=host),
        hint=release if gone else f"wait for it; if that controller is gone: {release}",
    )


def lock_status(hosts: Iterable[Host], access: Access, deployment: str | None = None) -> tuple[HeldLock, ...]:
    """List the locks that hosts hold."""
    with Contact(access, hosts) as contact:
        return _locks(contact, deployment)


def lock_release(hosts: Iterable[Host], access: Access, deployment: str | None = None) -> tuple[HeldLock, ...]:
    """Release the locks that hosts hold, whoever owns them; returns what was released."""
    with Contact(access, hosts) as contact:
        found = _locks(contact, deployment)
        for lock in found:
            contact.ask(lock.host, "fleet_lock", {"path": lock_of(lock.deployment), "action": "release"})
        return found


def _locks(contact: Contact, deployment: str | None) -> tuple[HeldLock, ...]:
    seen = survey(contact, deployment)
    if seen.lost and not seen.hosts:
        raise lost_hosts(seen.lost)
    return tuple(
        _held(view.name, host, view.lock)
        for host, answer in seen.hosts.items()
        for view in answer.deployments
        if view.lock is not None
    )


def _held(deployment: str, host: str, held: Mapping[str, Any]) -> HeldLock:
    return HeldLock(
        deployment=deployment,
        host=host,
        by=str(held.get("by", "an unknown owner")),
        pid=int(held.get("pid", 0)),
        time=float(held.get("time", 0.0)),
        purpose=str(held.get("purpose", "launch")),
        generation=int(held.get("generation", 0)),
    )
