"""How sources are asked on a host: the hubs and their tokens as a module takes them, and refusals as errors."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from r1fleet.errors import FleetError, HostFailed, HostUnreachable, UsageError, Where
from r1fleet.modules import _hub_tokens
from r1fleet.transport.protocol import Call, Reply, Session
from r1fleet.weights.sources.source import Source


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient a fetch is: attempts without a new byte, the first pause between them, seconds of silence."""

    workers: int = 8
    attempts: int = 6
    pause: float = 1.0
    silence: float = 30.0


PATIENT, BRISK = Pace(), Pace(attempts=3, silence=10.0)
"""For a download that nobody watches, and for a question that somebody waits for."""


class MissingFiles(HostFailed):
    """Big files have not been dropped in yet; ``missing`` names each with its size and what is wrong so far."""

    def __init__(self, what: str, missing: list[dict[str, Any]], where: Where, hint: str | None) -> None:
        super().__init__(what, where=where, hint=hint)
        self.missing = tuple((str(row["path"]), int(row["size"]), str(row["problem"])) for row in missing)


_ERRORS: dict[str, type[FleetError]] = {
    "model": UsageError,
    "revision": UsageError,
    "token": UsageError,
    "licence": UsageError,
    "folder": UsageError,
    "route": HostUnreachable,
    "busy": HostUnreachable,
}


def hubs(source: Source) -> list[dict[str, str]]:
    """Return the hubs as modules take them; this machine's token goes along on the agent's own wire."""
    return [
        {
            "name": hub.name,
            "kind": hub.kind,
            "endpoint": hub.endpoint,
            "trusted": "yes" if hub.trusted else "",
            "token": (_hub_tokens.find(hub.kind, os.environ) or "") if hub.trusted else "",
        }
        for hub in source.hubs
    ]


def checked(session: Session, call: Call) -> Reply:
    """Run a call and raise what it refuses."""
    reply = session.run(call)
    refuse(session.name, reply)
    return reply


def refuse(host: str, reply: Reply) -> None:
    """Raise the error that a failed reply stands for."""
    if not reply.get("failed"):
        return
    what, hint, where = str(reply.get("msg") or "it failed without a word"), reply.get("hint"), Where(host=host)
    if "missing" in reply:
        raise MissingFiles(what, reply["missing"], where, hint)
    raise _ERRORS.get(str(reply.get("reason")), HostFailed)(what, where=where, hint=hint)
