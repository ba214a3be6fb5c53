"""Carry a set between hosts: runs on each by itself, so that the controller may leave.

``python3 -m r1fleet.agent.swarm CONFIG PART`` serves the groups of one part (number modulo parts) until every host has
all of them, or until nothing has moved for a long time. What it does stands in ``status-PART.json`` beside the
configuration; ``want-N.json`` asks a source to seal a group, ``group-N.json`` is a sealed one, ``sealed.json`` says how
many there are in all.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import sys
import time
from typing import Any, Dict, List, NoReturn

from r1fleet.agent import swarm_unit
from r1fleet.agent.swarm_files import Group, write_json
from r1fleet.agent.swarm_keeper import Keeper
from r1fleet.agent.swarm_session import Wire
from r1fleet.agent.swarm_task import Task

CALM, BUSY, SOON = 1.0, 0.2, 0.1
"""Seconds between two looks: long while bytes just flow, short while something is about to end or begins."""

TAKEN = 10.0
"""How many seconds a port that is taken is waited for: what was killed may not have let go of it."""

LINGER = 15.0
"""How long a host stays once it has seen all others complete: they must see it, too."""


class Node:
    """One part of a swarm on one host."""

    wire: Wire

    def __init__(self, folder: str, part: int) -> None:
        self.folder, self.part = folder, part
        self.config = _load(os.path.join(folder, "config.json"))
        self.sessions = int(self.config["sessions"])
        self.keeper = Keeper(self.config, os.path.join(folder, "verified-%d.json" % part))
        self.tasks: Dict[int, Task] = {}
        self.began = time.time()
        self.moved = self.stepped = time.monotonic()
        self.mark: Any = None
        self.all_over = 0.0
        self.whole_at = 0.0
        self.notes: List[str] = []
        self.problem = ""

    def serve(self) -> None:
        """Go on until it is over; a TERM ends it at once, as a kill would: all that counts is on disk."""
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        port = int(self.config["first_port"]) + self.part
        self.problem = _await_port(self.config["address"], port, float(self.config["idle"]))
        if self.problem:
            self._tell(self._status(), "failed")
        else:
            self._move(port)
        swarm_unit.remove(self.config["unit"] % self.part)

    def _move(self, port: int) -> None:
        """Take in and give out until it is over."""
        self.wire = Wire(self.config, port)
        self.keeper.start()
        while not self.step():
            self._wait(self._pause())

    def step(self) -> bool:
        """Look once at everything, tell it, and return whether it is over."""
        self._take_groups()
        for task in list(self.tasks.values()):
            task.look(self.wire, self.keeper)
        self.wire.ask_ahead(self._behind())
        status = self._status()
        over = self._over(status)
        self._tell(status, over or ("failed" if status["error"] else "running"))
        return bool(over)

    def _tell(self, status: Dict[str, Any], state: str) -> None:
        """Write down how it goes."""
        told = dict(status, whole_at=self.whole_at, state=state)
        write_json(os.path.join(self.folder, "status-%d.json" % self.part), told)

    def _wait(self, seconds: float) -> None:
        """Let time pass, and pass on what comes from the source meanwhile."""
        end = time.monotonic() + seconds
        while seconds > 0:
            intakes = [task.intake for task in self.tasks.values() if task.intake is not None]
            if intakes:
                self.wire.wait(min(seconds, SOON))
            else:
                time.sleep(seconds)
            notes, pieces, whole = self.wire.news()
            self.notes = (self.notes + sorted(notes))[-20:]
            for handle, piece, data in pieces:
                for intake in intakes:
                    if intake.source == handle:
                        intake.put(piece, data)
            now = time.monotonic()
            late = now - self.stepped > SOON
            self.stepped = now if late else self.stepped
            for intake in intakes:
                if late or intake.source in whole:
                    intake.step()
            seconds = end - now

    def _pause(self) -> float:
        tasks = list(self.tasks.values())
        ending = any(0 < task.group.size - task.done < 3 * task.rate for task in tasks)
        begins = not tasks or not all(task.ready for task in tasks)
        return SOON if begins else BUSY if ending or self.keeper.doing else CALM

    def _behind(self) -> float:
        """Return for how many seconds this host would take in what others have by now, if nothing were added."""
        tasks = self.tasks.values()
        return sum(task.backlog for task in tasks) / max(sum(task.rate for task in tasks), 1.0)

    def _take_groups(self) -> None:
        """Begin with groups that are new here: seal what is wanted, check what is there, then move the rest."""
        for name in os.listdir(self.folder):
            kind, _, rest = name.partition("-")
            if kind not in ("group", "want") or not rest.endswith(".json"):
                continue
            number = int(rest[: -len(".json")])
            if number % self.sessions != self.part or number in self.tasks:
                continue
            sealed = os.path.join(self.folder, "group-%d.json" % number)
            told = _load(sealed if os.path.exists(sealed) else os.path.join(self.folder, name))
            self.tasks[number] = Task(Group(told), self.config, sealed)
            self.keeper.put(self.tasks[number])

    def _status(self) -> Dict[str, Any]:
        tasks = list(self.tasks.values())
        usage = os.times()
        return {
            "part": self.part,
            "pid": os.getpid(),
            "at": time.time(),
            "began": self.began,
            "error": self.problem or next((task.error for task in tasks if task.error), ""),
            "done": sum(task.done for task in tasks),
            "received": sum(task.received for task in tasks),
            "sent": sum(task.sent for task in tasks),
            "rejected": sum(task.rejected for task in tasks),
            "rate": sum(task.rate for task in tasks),
            "sending": sum(task.sending for task in tasks),
            "peers": sorted({address for task in tasks for address in task.peers}),
            "verified": sum(len(task.verified) for task in tasks),
            "verifying": self.keeper.doing,
            "sealed": sorted(number for number, task in self.tasks.items() if task.sealed),
            "whole": sorted(number for number, task in self.tasks.items() if task.whole),
            "passed": sorted(number for number, task in self.tasks.items() if task.passed),
            "cpu": usage.user + usage.system,
            "notes": self.notes,
        }

    def _over(self, status: Dict[str, Any]) -> str:
        """Say why it is over; nothing where it is not."""
        now = time.monotonic()
        tasks = self.tasks.values()
        counts = [status[name] for name in ("done", "received", "sent", "verified")]
        mark = [*counts, sum(task.others for task in tasks), len(tasks), self._followed()]
        if mark != self.mark or self.keeper.doing:
            self.mark, self.moved = mark, now
        if now - self.moved > float(self.config["idle"]):
            return "idle"
        mine = self._expected()
        if mine is None or any(number not in self.tasks or not self.tasks[number].whole for number in mine):
            self.all_over = self.whole_at = 0.0
            return ""
        self.whole_at = self.whole_at or time.time()
        if not all(self.tasks[number].passed for number in mine):
            self.all_over = 0.0
            return ""
        self.all_over = self.all_over or now
        return "ended" if now - self.all_over > LINGER else ""

    def _followed(self) -> float:
        """Return when a controller has asked last: it may have more to give, and knows itself when to end."""
        try:
            return os.stat(os.path.join(self.folder, "followed")).st_mtime
        except OSError:
            return 0.0

    def _expected(self) -> Any:
        try:
            count = int(_load(os.path.join(self.folder, "sealed.json"))["groups"])
        except (OSError, ValueError):
            return None
        return range(self.part, count, self.sessions)


def _load(path: str) -> Any:
    with open(path, encoding="utf-8") as stream:
        return json.load(stream)


def _await_port(address: str, port: int, idle: float) -> str:
    """Wait for the network after a boot, and for a port to be let go of; return why it cannot be had, or nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    began = time.monotonic()
    while True:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
                return ""
            except OSError as error:
                longest = TAKEN if error.errno == errno.EADDRINUSE else idle
                if time.monotonic() - began > longest:
                    return "cannot listen on port %d of %s: %s" % (port, address, error.strerror)
        time.sleep(BUSY)


def main() -> NoReturn:
    """Serve the part that argv names."""
    folder = os.path.dirname(os.path.abspath(sys.argv[1]))
    Node(folder, int(sys.argv[2])).serve()
    os._exit(0)  # without waiting for libtorrent to say goodbye to every peer


if __name__ == "__main__":
    main()
