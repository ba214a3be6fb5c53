"""Hosts in memory: the transport's only fake, with the fleet modules as a host would answer them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r1fleet.errors import HostUnreachable, Where
from r1fleet.inventory import Host
from r1fleet.modules.fleet_state import VERDICTS
from r1fleet.status import Access
from r1fleet.status.record import SYNCS, lock_of
from r1fleet.transport import Become, Call, Completed, Reply, Session
from r1fleet.transport.wire import Wire
from tests.told import told


@dataclass
class Unit:
    """One unit of a fake host."""

    state: str = "active"
    status: int = 0
    ended: float = 0.0


@dataclass
class FakeHost:
    """One host's memory; ``calls`` lists what it was asked, ``look`` runs before each look at it."""

    name: str
    fleet: Fleet
    folders: dict[str, dict[str, Any]] = field(default_factory=dict)
    locks: dict[str, dict[str, Any]] = field(default_factory=dict)
    units: dict[str, Unit] = field(default_factory=dict)
    logs: dict[str, list[str]] = field(default_factory=dict)
    verdict: dict[str, Any] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    refuse: dict[str, str] = field(default_factory=dict)
    findings: list[dict[str, Any]] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] | None = None
    config_problem: str = ""
    said: str = ""
    typed: list[str] = field(default_factory=list)
    stubborn: bool = False
    away: bool = False
    strays: list[dict[str, Any]] = field(default_factory=list)
    gpus: list[dict[str, int]] = field(default_factory=list)
    image: str = "same"
    pieces: list[dict[str, str]] = field(default_factory=lambda: [{"text": "hi"}])
    look: Callable[[FakeHost], None] = lambda host: None

    def submit(self, call: Call, on_output: Callable[[str], None] | None = None) -> Future[Reply]:
        future: Future[Reply] = Future()
        self.calls.append((call.module, dict(call.args)))
        self.fleet.order.append((self.name, call.module))
        if call.module in ("fleet_state", "fleet_logs"):
            self.look(self)
        if self.away:
            future.set_exception(self.lost())
        elif call.module in self.refuse:
            future.set_result({"failed": True, "msg": self.refuse[call.module]})
        else:
            self._tell(call, on_output)
            future.set_result(getattr(self, f"_{call.module}")(dict(call.args)))
        return future

    def _tell(self, call: Call, on_output: Callable[[str], None] | None) -> None:
        """Tell a chat's pieces before its end, as an agent does."""
        if call.module == "fleet_ask" and on_output is not None:
            for piece in self.pieces:
                on_output(json.dumps(piece))

    def run(self, call: Call) -> Reply:
        return self.submit(call).result()

    def execute(self, command: str, *, stdin: bytes = b"", timeout: float | None = None) -> Completed:
        raise NotImplementedError

    def pipe(self, command: str) -> Wire:
        """Open no stream."""
        raise NotImplementedError

    def fetch(self, path: str, target: Path, *, become: Become | None = None, rate: int = 0) -> Reply:
        raise NotImplementedError

    def close(self) -> None:
        self.fleet.closed.append(self.name)

    def lost(self) -> HostUnreachable:
        return HostUnreachable("no route", where=Where(host=self.name))

    def current(self, name: str = "rehearsal") -> dict[str, Any]:
        return dict(self.folders[name]["current"])

    def running(self) -> list[str]:
        return [name for name, unit in self.units.items() if unit.state == "active"]

    def end(self, unit: str, status: int, *log: str) -> None:
        """Let a unit fail now."""
        self.units[unit] = Unit("failed", status, time.monotonic())
        self.logs[unit] = list(log)

    # --- the modules ------------------------------------------------------------------------------

    def _fleet_check(self, args: dict[str, Any]) -> Reply:
        kinds = {row["kind"] for row in self.findings}
        passed = [{"kind": row["kind"], "ok": True, "detail": "", "value": self._value(row)} for row in args["checks"]]
        return {"answers": [row for row in passed if row["kind"] not in kinds] + self.findings}

    def _value(self, row: dict[str, Any]) -> str:
        return self.image if row["kind"] == "image" else "same"

    def _fleet_facts(self, args: dict[str, Any]) -> Reply:
        number = list(self.fleet.fakes).index(self.name) + 1
        return told(**{"address": f"{self.fleet.network}{number}", "now": time.time(), **self.told})

    def _fleet_reach(self, args: dict[str, Any]) -> Reply:
        if args["action"] == "listen":
            return {"ports": [40001, 40002]}
        rows = [{**target, "port": port} for target in args.get("targets", ()) for port in target["ports"]]
        return {"tried": [{**row, "problem": self.fleet.walls.get((self.name, row["host"]), "")} for row in rows]}

    def _fleet_model(self, args: dict[str, Any]) -> Reply:
        return {"config": self.config, "problem": self.config_problem, "weight_bytes": 4096}

    def _fleet_lock(self, args: dict[str, Any]) -> Reply:
        held = self.locks.get(args["path"])
        if args["action"] == "acquire" and (held is None or held.get("token", "") == args["owner"]["token"]):
            self.locks[args["path"]] = {**args["owner"], "time": time.time()}
            return {"acquired": True, "held": args["owner"]}
        if args["action"] == "acquire":
            return {"acquired": False, "held": held}
        if args["action"] == "release" and held and args.get("token", "") in ("", held.get("token")):
            del self.locks[args["path"]]
        return {"held": held}

    def _fleet_stage(self, args: dict[str, Any]) -> Reply:
        folder = self.folders.setdefault(args["folder"].rpartition("/")[2], {"journal": []})
        known = folder.get("current", {}).get("generation")
        if args.get("only_generation") not in (None, known):
            return {"changed": False, "current": known}
        for row in args.get("files", ()):
            folder[row["path"]] = row
        if args.get("current"):
            folder["current"] = {**args["current"], "schema": 1, "time": time.time(), "boot_id": "b"}
        folder["journal"].append(args.get("journal"))
        return {"changed": True}

    def _command(self, args: dict[str, Any]) -> Reply:
        words = args["argv"]
        name = words[words.index("--unit" if "--unit" in words else "--name") + 1].removesuffix(".service")
        if name in self.refuse:
            return {"failed": True, "msg": "non-zero return code", "stderr": self.refuse[name]}
        self.units[name] = Unit()
        return {"rc": 0}

    def _fleet_stop(self, args: dict[str, Any]) -> Reply:
        names = [unit["name"] for unit in args["units"]]
        if not self.stubborn:
            for name in names:
                self.units.pop(name, None)
        return {"left": ["pid 7 (engine)"] if self.stubborn else [], "problems": [], "ports": []}

    def _fleet_attach(self, args: dict[str, Any]) -> Reply:
        said = self.said[args["offset"] :]
        if args["typed"]:
            self.typed.append(args["typed"])
        return {"taken": bool(args["typed"]), "text": said, "offset": len(self.said)}

    def _fleet_ask(self, args: dict[str, Any]) -> Reply:
        more = {"first": 0.1, "finish": "stop"} if "body" in args else {"text": "hi"}
        return {"model": "tiny", "seconds": 0.1, "tokens": 1, **more}

    def _fleet_seen(self, args: dict[str, Any]) -> Reply:
        return {"changed": True}

    def _fleet_logs(self, args: dict[str, Any]) -> Reply:
        """Tell lines by their number: an offset is how many were told."""
        folder = self.folders.get(args["deployment"], {})
        number = args.get("generation") or folder.get("current", {}).get("generation")
        row = folder.get(f"/var/lib/r1fleet/{args['deployment']}/generations/{number}/plan.json")
        plan = json.loads(row["content"]) if row else None
        mine = [rank for rank in (plan or {"ranks": ()})["ranks"] if rank["host"] == self.name]
        wanted = [rank for rank in mine if rank["rank"] in (args["ranks"] or [rank["rank"]])]
        return {"generation": number, "plan": plan, "logs": [self._log(rank, args) for rank in wanted]}

    def _log(self, rank: dict[str, Any], args: dict[str, Any]) -> dict[str, Any]:
        lines = self.logs.get(rank["name"], [])
        known = args.get("offsets", {}).get(rank["log"])
        start = known["offset"] if known else max(0, len(lines) - args.get("lines", len(lines)))
        text = "".join(f"{line}\n" for line in lines[start:])
        end = {"text": text, "offset": len(lines), "id": "1", "more": False, "timeless": False}
        return {"rank": rank["rank"], "replica": rank["replica"], "log": rank["log"], **end}

    def _fleet_state(self, args: dict[str, Any]) -> Reply:
        names = [args["deployment"]] if args.get("deployment") else [*self.folders, *self._locked()]
        rows = [self._deployment(name, args.get("offsets") or {}) for name in names]
        return {
            "now": time.time(),
            "monotonic": time.monotonic(),
            "boot_id": "b",
            "python": "/usr/bin/python3",
            "deployments": [row for row in rows if row["current"] or row["lock"]],
            "strays": self.strays if args.get("glance") else [],
        }

    def _locked(self) -> list[str]:
        names = [SYNCS if path == lock_of(SYNCS) else path.split("/")[-2] for path in self.locks]
        return [name for name in names if name not in self.folders]

    def _deployment(self, name: str, offsets: dict[str, int]) -> dict[str, Any]:
        folder = self.folders.get(name, {})
        current = folder.get("current")
        row: dict[str, Any] = {
            "name": name,
            "problem": "",
            "current": current,
            "plan": None,
            "ranks": [],
            "gangs": [],
            "lock": self.locks.get(lock_of(name)),
            "generations": current["generation"] if current else 0,
        }
        if current:
            path = f"/var/lib/r1fleet/{name}/generations/{current['generation']}/plan.json"
            plan = row["plan"] = json.loads(folder[path]["content"])
            row["ranks"] = [self._rank(rank, offsets) for rank in plan["ranks"] if rank["host"] == self.name]
            row["gangs"] = [self._gang(gang) for gang in plan["gangs"] if gang["leader"] == self.name]
        return row

    def _rank(self, rank: dict[str, Any], offsets: dict[str, int]) -> dict[str, Any]:
        unit = self.units.get(rank["name"])
        lines = self.logs.get(rank["name"], [])
        new = lines[offsets[rank["log"]] :] if rank["log"] in offsets else []
        return {
            "rank": rank["rank"],
            "replica": rank["replica"],
            "name": rank["name"],
            "inspect": _shown(unit, boxed=bool(rank["image"])),
            "means": self.image if rank["image"] else "",
            "exit": None,
            "processes": int(unit is not None and unit.state == "active"),
            "resident": 0,
            "seconds": 1.0,
            "gpus": self.gpus,
            "log": {
                "size": 0,
                "offset": len(lines),
                "text": "".join(f"{line}\n" for line in new),
                "tail": lines,
                "first_error": next((line for line in lines if "Error" in line), ""),
            },
        }

    def _gang(self, gang: dict[str, Any]) -> dict[str, Any]:
        files = {name: self.verdict.get(name) for name in VERDICTS}
        return {**files, "replica": gang["replica"], "judging": gang["judge"]["name"] in self.running()}


class Fleet:
    """Fake hosts by name, and the transport to them."""

    def __init__(self, *names: str) -> None:
        self.order: list[tuple[str, str]] = []
        self.closed: list[str] = []
        self.opened: list[str] = []
        self.network = "10.0.0."
        self.walls: dict[tuple[str, str], str] = {}
        self.fakes = {name: FakeHost(name, self) for name in names}
        self.hosts = {name: Host(name, {"ansible_host": name}) for name in names}
        self.access = Access(self, lambda host: Become())

    def __getitem__(self, name: str) -> FakeHost:
        return self.fakes[name]

    def open(self, host: Host, become: Become | None = None) -> Session:
        fake = self.fakes[host.name]
        if fake.away:
            raise fake.lost()
        self.opened.append(host.name)
        return fake

    def close(self) -> None:
        pass

    def modules(self) -> list[str]:
        """Name what was asked of any host, each once, in order."""
        return list(dict.fromkeys(module for _, module in self.order))


READY = {"ready": {"text": "hello", "seconds": 2.0}}


def _shown(unit: Unit | None, *, boxed: bool = False) -> str:
    if boxed:
        state = {"Status": "running" if unit.state == "active" else "exited", "ExitCode": unit.status} if unit else None
        return json.dumps({"Image": "sha256:1", "State": state}) if unit else ""
    if unit is None:
        return "LoadState=not-found\nActiveState=inactive\n"
    ended = int(unit.ended * 1e6)
    return (
        f"LoadState=loaded\nActiveState={unit.state}\nExecMainCode=1\nExecMainStatus={unit.status}\n"
        f"MainPID=7\nExecMainExitTimestampMonotonic={ended}\n"
    )
