"""Which labs there are: one record per lab under the cache, one number per lab on the machine."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import replace
from pathlib import Path

from r1fleet.cache import cache_dir, cache_lock, write_atomic
from r1fleet.errors import LabError
from r1fleet.lab.layout import NUMBERS, Lab, check_name
from r1fleet.lab.shell import ip

RECORD = "lab.json"
"""The file that makes a folder a lab's."""


def labs() -> tuple[Lab, ...]:
    """Return every lab of this cache, by name."""
    return tuple(_read(path) for path in sorted(cache_dir("lab").glob(f"*/{RECORD}")))


def exists(name: str) -> bool:
    """Whether this cache has a lab called ``name``."""
    return (cache_dir("lab") / name / RECORD).exists()


def find(name: str) -> Lab:
    """Return the lab called ``name``; LabError that names the others."""
    if exists(check_name(name)):
        return _read(cache_dir("lab") / name / RECORD)
    others = ", ".join(lab.name for lab in labs())
    hint = f"there is: {others}" if others else "`r1fleet lab up` makes one"
    raise LabError(f"there is no lab called {name}", hint=hint)


def claim(name: str, size: int, *, docker: bool = False) -> Lab:
    """Return the lab called ``name``, recorded with at least ``size`` hosts and a number of its own.

    Whether its hosts have a docker engine is settled when it is made; LabError if one without is to get one.
    """
    with cache_lock("lab"):
        known = {lab.name: lab for lab in labs()}
        lab = known.get(check_name(name))
        if lab is None:
            number = _free_number({other.number for other in known.values()})
            lab = Lab(name, number, size, cache_dir("lab", name), docker)
        elif docker and not lab.docker:
            hint = f"`r1fleet lab down --name {name}` first, or give another --name"
            raise LabError(f"lab {name} is up without docker, and hosts that run get none", hint=hint)
        lab = replace(lab, size=max(size, lab.size))
        write_atomic(lab.folder / RECORD, json.dumps({"number": lab.number, "size": lab.size, "docker": lab.docker}))
        return lab


def forget(lab: Lab) -> None:
    """Remove the lab's record; its number is free again."""
    (lab.folder / RECORD).unlink(missing_ok=True)


def _read(path: Path) -> Lab:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return Lab(
            path.parent.name, int(record["number"]), int(record["size"]), path.parent, record.get("docker") is True
        )
    except (ValueError, KeyError, TypeError) as error:
        raise LabError(
            f"the lab's record {path} is damaged", hint="remove the file and run `r1fleet lab up`"
        ) from error


def _free_number(recorded: set[int]) -> int:
    routed = _routed_networks()
    for number in sorted(set(range(NUMBERS)) - recorded):
        network = ipaddress.IPv4Network(f"10.77.{number}.0/24")
        if not any(network.overlaps(other) for other in routed):
            return number
    raise LabError(
        "no network in 10.77.0.0/16 is free for another lab", hint="`r1fleet lab down --name NAME` frees one"
    )


def _routed_networks() -> list[ipaddress.IPv4Network]:
    """Return what this machine routes already: real networks, and labs of other caches."""
    rows = json.loads(ip("-4", "-j", "route", "show", "table", "all") or "[]")
    return [
        ipaddress.IPv4Network(row["dst"], strict=False) for row in rows if row["dst"] not in ("default", "0.0.0.0/0")
    ]
