"""Judge whether a gang is ready: runs on the leader by itself, so that the controller may leave.

``python3 -m r1fleet.agent.readiness CONFIG`` ends when ``ready.json`` or ``failed.json`` has been written into the
configuration's ``out`` folder. Phases: rendezvous (the workers' connections are seen), loading (nothing speaks HTTP
yet), answering (HTTP speaks, no completion yet); each has its own limit. Of a job it judges the rendezvous alone, and
writes ``met.json``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, Callable

from r1fleet.agent.completion import NoAnswer, complete, key_from
from r1fleet.agent.processes import listeners, peers

TICK = 0.5
SOON = 0.1
"""The first pause between two looks; it grows to TICK with what the launch takes: who loads for an hour can wait."""
PATIENCE = 60.0
"""Longest wait for one completion: the first one may compile kernels."""


class Judge:
    """Watch one gang from its leader until a verdict is reached."""

    def __init__(self, config: dict[str, Any], clock: Callable[[], float] = time.monotonic) -> None:
        self.config = config
        self.clock = clock
        self.began = clock()
        self.phase = ""
        self.since = self.began
        self.errors: list[str] = []

    def step(self) -> dict[str, Any] | None:
        """Look once; returns the verdict, or None while there is none."""
        if not self.phase:
            self._enter("rendezvous" if self.config.get("workers") else "loading")
        if os.path.exists(self.config["exit_record"]):
            if self.config.get("kind") == "job":
                return self._verdict("met")
            return self._failed("rank 0 has ended: %s" % _line(self.config["exit_record"]))
        if self.config.get("kind") == "job":
            return self._met()
        speaks = bool(listeners([self.config["port"]]))
        if self.phase == "rendezvous" and (speaks or not self._missing()):
            self._enter("loading")
        if speaks:
            answer = self._ask()
            if answer is not None:
                return self._verdict(
                    "ready", text=answer["text"], tokens=answer["tokens"], answer_seconds=answer["seconds"]
                )
        return self._overdue()

    def pause(self) -> float:
        """Tell how long to wait before the next look."""
        return min(TICK, max(SOON, (self.clock() - self.began) / 10))

    def _met(self) -> dict[str, Any] | None:
        """Look whether the ranks of a job have met; what comes of it, their own ends tell."""
        if self.phase == "rendezvous" and self._missing():
            return self._overdue()
        self._enter("running")
        return self._verdict("met")

    def _ask(self) -> dict[str, Any] | None:
        config = self.config
        try:
            key = key_from(config.get("key_file", ""), config.get("key_name", ""))
            return complete(
                config["url"],
                config["model"],
                config["prompt"],
                key=key,
                max_tokens=config["max_tokens"],
                timeout=PATIENCE,
            )
        except NoAnswer as error:
            self._remember(str(error))
            if error.status and self.phase != "answering":
                self._enter("answering")
        except OSError as error:
            self._remember("the key cannot be read: %s" % error)
        return None

    def _overdue(self) -> dict[str, Any] | None:
        limit = float(self.config["limits"][self.phase])
        if self.clock() - self.since < limit:
            return None
        if self.phase == "rendezvous":
            late = ", ".join(sorted(self._missing()))
            what = "no connection from %s to port %d within %d s" % (late, self.config["rendezvous_port"], limit)
        elif self.phase == "loading":
            what = "nothing answers HTTP on port %d within %d s" % (self.config["port"], limit)
        else:
            what = "no completion within %d s after HTTP came up" % limit
        return self._failed(what + (": " + self.errors[-1] if self.errors else ""))

    def _missing(self) -> set[str]:
        wanted = set(self.config["workers"])
        seen = peers(self.config["rendezvous_port"]) - set(self.config["own"])
        return set() if len(seen) >= len(wanted) else wanted - seen

    def _enter(self, phase: str) -> None:
        self.phase, self.since = phase, self.clock()
        _write(os.path.join(self.config["out"], "progress.json"), {"phase": phase, "at": time.time()})

    def _remember(self, error: str) -> None:
        if not self.errors or self.errors[-1] != error:
            self.errors = (self.errors + [error])[-5:]

    def _failed(self, what: str) -> dict[str, Any]:
        return self._verdict("failed", what=what)

    def _verdict(self, state: str, **more: Any) -> dict[str, Any]:
        common = {
            "schema": 1,
            "generation": self.config["generation"],
            "phase": self.phase,
            "seconds": round(self.clock() - self.began, 1),
            "at": time.time(),
            "errors": self.errors,
        }
        _write(os.path.join(self.config["out"], state + ".json"), dict(common, **more))
        return dict(common, state=state, **more)


def _line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read(200).strip()
    except OSError as error:
        return str(error)


def _write(path: str, value: dict[str, Any]) -> None:
    neighbour = "%s.%d" % (path, os.getpid())
    with open(neighbour, "w", encoding="utf-8") as stream:
        json.dump(value, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(neighbour, path)


def main() -> int:
    """Judge what the configuration file in argv names."""
    with open(sys.argv[1], encoding="utf-8") as stream:
        judge = Judge(json.load(stream))
    while True:
        verdict = judge.step()
        if verdict is not None:
            print(json.dumps(verdict))  # noqa: T201 -- its unit's log
            return 0
        time.sleep(judge.pause())


if __name__ == "__main__":
    sys.exit(main())
