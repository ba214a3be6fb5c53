"""Plays on hosts that exist only here: every call is recorded and answered by a function."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r1fleet.errors import HostUnreachable, Where
from r1fleet.events import Event, HostCounts, ItemResult, Note, Recap, TaskResult, TaskStarted
from r1fleet.inventory import Host, Inventory, load
from r1fleet.playbook import Options, Search, load_playbook, run
from r1fleet.transport import Become, Call, Completed, Reply
from r1fleet.transport.wire import Wire

Answer = Callable[[str, Call], Reply]


def shell(host: str, call: Call) -> Reply:
    """Answer as a host would: ``false`` fails, ``echo`` echoes, all other modules are content as things are."""
    if call.module not in {"command", "shell"}:
        return {"changed": False}
    words = str(call.args.get("cmd")).split()
    rc = 1 if words[0] == "false" else 0
    reply: Reply = {"changed": True, "rc": rc, "stdout": " ".join(words[1:]), "stderr": "", "cmd": words, "host": host}
    return {**reply, "failed": True, "msg": "non-zero return code"} if rc else reply


@dataclass
class FakeSession:
    """A host that answers at once."""

    name: str
    answer: Answer
    calls: list[tuple[str, Call]]
    broken: tuple[str, int] = ("", 0)

    def submit(self, call: Call, on_output: Callable[[str], None] | None = None) -> Future[Reply]:
        """Answer a call."""
        future: Future[Reply] = Future()
        if call.window and self.broken[0] == call.window[0] and self.broken[1] < call.window[1]:
            future.set_result({"changed": False, "unrun": True})
            return future
        self.calls.append((self.name, call))
        try:
            reply = self.answer(self.name, call)
            if call.window and reply.get("failed"):
                self.broken = call.window
            future.set_result(reply)
        except HostUnreachable as error:
            future.set_exception(error)
        return future

    def run(self, call: Call) -> Reply:
        """Answer a call."""
        return self.submit(call).result()

    def execute(self, command: str, *, stdin: bytes = b"", timeout: float | None = None) -> Completed:
        """Echo a command."""
        return Completed(0, command.encode(), b"")

    def pipe(self, command: str) -> Wire:
        """Open no stream."""
        raise NotImplementedError

    def fetch(self, path: str, target: Path, *, become: Become | None = None, rate: int = 0) -> Reply:
        """Write a file that holds its own path."""
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path)
        return {"sha256": "0" * 64, "size": len(path)}

    def close(self) -> None:
        """Do nothing."""


@dataclass
class FakeTransport:
    """Opens fake sessions; hosts named in ``down`` cannot be reached."""

    answer: Answer = shell
    down: frozenset[str] = frozenset()
    calls: list[tuple[str, Call]] = field(default_factory=list)
    opened: list[Host] = field(default_factory=list)
    closed: bool = False

    def open(self, host: Host, become: Become | None = None) -> FakeSession:
        """Open a session."""
        if host.name in self.down:
            raise HostUnreachable("no route to host", where=Where(host=host.name))
        self.opened.append(host)
        return FakeSession(host.name, self.answer, self.calls)

    def close(self) -> None:
        """Note that everything was closed."""
        self.closed = True


@dataclass
class Told:
    """What a run told, and what it asked of hosts."""

    events: list[Event]
    recap: Recap
    transport: FakeTransport

    def statuses(self, host: str) -> list[tuple[str, str]]:
        """Return one host's tasks with how they ended, in order."""
        return [
            (event.task, event.status) for event in self.events if isinstance(event, TaskResult) and event.host == host
        ]

    def result(self, task: str, host: str = "h1") -> dict[str, Any]:
        """Return the result of a task, the last one of that name."""
        found = [
            event.result
            for event in self.events
            if isinstance(event, TaskResult) and (event.task, event.host) == (task, host)
        ]
        assert found, f"{task} did not run on {host}"
        return dict(found[-1])

    def messages(self, host: str = "h1") -> list[Any]:
        """Return what debug showed on a host."""
        return [
            event.result.get("msg")
            for event in self.events
            if isinstance(event, (TaskResult, ItemResult))
            and event.host == host
            and "msg" in event.result
            and not _of_loop(event)
        ]

    def titles(self) -> list[str]:
        """Return the titles of tasks in the order in which they began."""
        return [event.name for event in self.events if isinstance(event, TaskStarted)]

    def notes(self) -> list[str]:
        """Return the notes."""
        return [event.text for event in self.events if isinstance(event, Note)]

    def counts(self, host: str = "h1") -> HostCounts:
        """Return a host's line of the recap."""
        return self.recap.hosts[host]


class Project:
    """A folder with an inventory and playbooks."""

    def __init__(self, folder: Path, hosts: int = 3) -> None:
        self.folder = folder
        names = "".join(f"\n    h{number}: {{n: {number}}}" for number in range(1, hosts + 1))
        self.write("inventories/lab.yaml", f"all:\n  vars: {{base: inventory}}\n  hosts:{names}\n")

    def write(self, name: str, text: str) -> Path:
        """Write a file, its indentation taken off."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    @property
    def inventory(self) -> Inventory:
        """The inventory, read."""
        return load(self.folder / "inventories/lab.yaml")

    def load(self, text: str) -> Any:
        """Read a playbook."""
        path = self.write("playbooks/site.yaml", text)
        return load_playbook(path, inventory=self.inventory, search=Search((self.folder,)))

    def play(self, text: str, transport: FakeTransport | None = None, **options: Any) -> Told:
        """Run a playbook."""
        transport = transport or FakeTransport()
        events: list[Event] = []
        recap = run(self.load(text), self.inventory, transport, events.append, Options(**options))
        return Told(events, recap, transport)

    def tasks(self, text: str, transport: FakeTransport | None = None, **options: Any) -> Told:
        """Run tasks on all hosts."""
        body = textwrap.indent(textwrap.dedent(text), "    ")
        return self.play(f"- hosts: all\n  gather_facts: false\n  tasks:\n{body}", transport, **options)


def _of_loop(event: Event) -> bool:
    return isinstance(event, TaskResult) and event.looped
