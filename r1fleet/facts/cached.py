"""Facts that hosts told before, kept on the controller so that a plan needs no connection."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from r1fleet.cache import cache_dir, write_atomic
from r1fleet.facts.model import Accelerator, HostFacts, Interface
from r1fleet.inventory import Inventory


def keep(inventory: Inventory, facts: Mapping[str, HostFacts]) -> None:
    """Keep what the inventory's hosts told; hosts not asked this time stay as they were."""
    known = {**recall(inventory), **facts}
    text = json.dumps({host: asdict(told) for host, told in known.items()}, indent=1)
    write_atomic(_file(inventory), text, mode=0o600)


def recall(inventory: Inventory) -> dict[str, HostFacts]:
    """Return what is kept of the inventory's hosts, by name; empty when nothing (readable) is."""
    try:
        kept = json.loads(_file(inventory).read_text(encoding="utf-8"))
        return {host: _facts(told) for host, told in kept.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _file(inventory: Inventory) -> Path:
    """Name the file for the inventory's own: two clusters may have the same name."""
    place = str(inventory.path.resolve()) if inventory.path else ""
    return cache_dir("facts") / f"{inventory.name}-{hashlib.sha256(place.encode()).hexdigest()[:8]}.json"


def _facts(told: dict[str, object]) -> HostFacts:
    plain = dict(told)
    devices = plain.pop("accelerators")
    links = plain.pop("interfaces")
    hcas = plain.pop("hcas", [])
    if not isinstance(devices, list) or not isinstance(links, list) or not isinstance(hcas, list):
        raise TypeError
    return HostFacts(
        accelerators=tuple(Accelerator(**device) for device in devices),
        interfaces=tuple(Interface(link["name"], tuple(link["addresses"]), link["speed"]) for link in links),
        hcas=tuple(hcas),
        **plain,  # type: ignore[arg-type]  # checked by the caller's except: a file of another form is no facts
    )
