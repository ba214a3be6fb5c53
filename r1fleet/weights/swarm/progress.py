"""What hosts tell of a transfer, as figures and events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from r1fleet.events import Transfer
from r1fleet.weights.manifest import Manifest
from r1fleet.weights.sync import STEP


@dataclass(frozen=True, slots=True)
class Figures:
    """One host's parts, added up."""

    done: int = 0
    received: int = 0
    sent: int = 0
    rate: float = 0.0
    sending: float = 0.0
    peers: int = 0
    verified: int = 0
    verifying: tuple[str, ...] = ()
    sealed: frozenset[int] = frozenset()
    error: str = ""
    idle: bool = False
    over: bool = False


def figures(parts: Sequence[dict[str, Any]]) -> Figures:
    """Add up what the parts of one host have written; one that has written nothing yet counts nothing."""
    told = [part for part in parts if "state" in part]
    return Figures(
        done=sum(part["done"] for part in told),
        received=sum(part["received"] for part in told),
        sent=sum(part["sent"] for part in told),
        rate=sum(part["rate"] for part in told),
        sending=sum(part["sending"] for part in told),
        peers=len({address for part in told for address in part["peers"]}),
        verified=sum(part["verified"] for part in told),
        verifying=tuple(path for part in told for path in part["verifying"]),
        sealed=frozenset(number for part in told for number in part["sealed"]),
        error=next((part["error"] for part in told if part["error"]), ""),
        idle=any(part["state"] == "idle" for part in told),
        over=bool(parts) and all(part.get("state") == "ended" for part in parts),
    )


def transfer(host: str, place: str, manifest: Manifest, now: Figures, *, is_source: bool) -> Transfer:
    """Return the event that tells how far a host is."""
    left = (manifest.size - now.done) / now.rate if now.rate and not is_source else 0.0
    return Transfer(
        f"{STEP}: source" if is_source else STEP,
        "running",
        place,
        host,
        done=now.done,
        total=manifest.size,
        unit="bytes",
        rate=now.rate,
        sending=now.sending,
        sent=now.sent,
        peers=now.peers,
        left=left,
        verifying=now.verifying,
    )
