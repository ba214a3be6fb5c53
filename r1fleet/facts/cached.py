"""Facts that hosts told before, kept on the controller so that a plan needs no connection."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

from r1fleet.cache import cache_dir, write_atomic
from r1fleet.facts.model import Accelerator, HostFacts, Interface


def keep(cluster: str, facts: Mapping[str, HostFacts]) -> None:
    """Keep what the hosts of ``cluster`` told; hosts not asked this time stay as they were."""
    known = {**recall(cluster), **facts}
    text = json.dumps({host: asdict(told) for host, told in known.items()}, indent=1)
    write_atomic(cache_dir("facts") / f"{cluster}.json", text, mode=0o600)


def recall(cluster: str) -> dict[str, HostFacts]:
    """Return what is kept of ``cluster``, by host; empty when nothing (readable) is."""
    path = cache_dir("facts") / f"{cluster}.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {host: _facts(told) for host, told in kept.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _facts(told: dict[str, object]) -> HostFacts:
    plain = dict(told)
    devices = plain.pop("accelerators")
    links = plain.pop("interfaces")
    if not isinstance(devices, list) or not isinstance(links, list):
        raise TypeError
    return HostFacts(
        accelerators=tuple(Accelerator(**device) for device in devices),
        interfaces=tuple(Interface(link["name"], tuple(link["addresses"]), link["speed"]) for link in links),
        **plain,  # type: ignore[arg-type]  # checked by the caller's except: a file of another form is no facts
    )
