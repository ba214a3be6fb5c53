"""Break a host the way hosts break, and heal it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from r1fleet.cache import cache_lock
from r1fleet.errors import LabError
from r1fleet.events import Observer, Step, ignore
from r1fleet.lab.cgroups import Tree, detect
from r1fleet.lab.disk import mount_disk
from r1fleet.lab.ground import check_root
from r1fleet.lab.layout import Lab, LabHost
from r1fleet.lab.network import (
    check_owner,
    cut_cable,
    ensure_host,
    ensure_switch,
    slow_down,
    slow_down_no_more,
    swallow,
    swallow_no_more,
)
from r1fleet.lab.power import await_greeting, host_group, is_powered, power_off, power_on, press_reset
from r1fleet.lab.registry import find


def _crash(tree: Tree, lab: Lab, host: LabHost) -> None:
    power_off(tree, lab, host)


def _kill(tree: Tree, lab: Lab, host: LabHost) -> None:
    cut_cable(lab, host)
    power_off(tree, lab, host)


def _hang(tree: Tree, lab: Lab, host: LabHost) -> None:
    host_group(tree, lab, host).freeze()


def _blackhole(tree: Tree, lab: Lab, host: LabHost) -> None:
    swallow(host)


FAULTS: dict[str, str] = {
    "crash": "every process dies; the link stays up: connection refused",
    "kill": "power cut: every process dies and the link goes down",
    "hang": "every process freezes: TCP connects, nothing answers",
    "blackhole": "every packet is dropped; the host itself lives on",
    "slow": "the link carries only RATE (20mbit, 1gbit) each way",
    "reboot": "an orderly reboot",
}

_CAUSE: dict[str, Callable[[Tree, Lab, LabHost], None]] = {
    "crash": _crash,
    "kill": _kill,
    "hang": _hang,
    "blackhole": _blackhole,
    "reboot": press_reset,
}


_RATE = re.compile(r"(\d+(?:\.\d+)?)([kmg])bit", re.IGNORECASE)
_UNITS = {"k": 10**3, "m": 10**6, "g": 10**9}
_LEAST_BITS = 64_000


def fault_of(host: LabHost) -> str:
    """Return the fault that the host was given and not yet healed of, or nothing."""
    path = _record(host)
    return path.read_text(encoding="utf-8") if path.exists() else ""


def break_host(name: str, host_name: str, fault: str, observer: Observer = ignore, *, rate: str = "") -> None:
    """Give one host a fault; it lasts until ``heal_host`` (a reboot ends by itself). ``rate`` is for ``slow``."""
    check_root()
    if fault not in FAULTS:
        raise LabError(f"there is no fault called {fault}", hint=f"choose one of {', '.join(FAULTS)}")
    bits = _bits(fault, rate)
    with cache_lock(f"lab-{name}"):
        lab = find(name)
        host = lab.host(host_name)
        check_owner(lab)
        if not host.folder.is_dir():
            raise LabError(f"host {host_name} of lab {name} was never booted", hint="r1fleet lab up")
        if fault != "reboot":
            _record(host).write_text(f"{fault} {rate}".strip(), encoding="utf-8")
        if bits:
            slow_down(lab, host, bits)
        else:
            _CAUSE[fault](detect(), lab, host)
        observer(Step(fault, "done", FAULTS[fault].replace("RATE (20mbit, 1gbit)", rate), host=host.name))


def heal_host(name: str, host_name: str, observer: Observer = ignore) -> None:
    """Undo any fault and wait until the host answers again; its disk is what it was."""
    check_root()
    with cache_lock(f"lab-{name}"):
        lab = find(name)
        host = lab.host(host_name)
        tree = detect()
        observer(Step("heal", host=host.name))
        ensure_switch(lab)
        revive(tree, lab, host)
        await_greeting(tree, lab, host)
        observer(Step("heal", "done", host=host.name))


def revive(tree: Tree, lab: Lab, host: LabHost, layers: Sequence[Path] = ()) -> None:
    """Bring a host back from whatever state it is in, up to its boot; a healthy one is left alone."""
    group = host_group(tree, lab, host)
    group.thaw()
    swallow_no_more(host)
    slow_down_no_more(lab, host)
    if fault_of(host) in ("crash", "kill"):
        group.kill()
    ensure_host(lab, host)
    if not is_powered(tree, lab, host):
        mount_disk(lab, host, layers)
        power_on(tree, lab, host)
    _record(host).unlink(missing_ok=True)


def _bits(fault: str, rate: str) -> int:
    """Read the rate that ``slow`` needs, in bits a second; 0 for all other faults, which have none."""
    if fault != "slow":
        if rate:
            raise LabError(f"{fault} has no rate", hint="only slow has one: r1fleet lab break HOST slow 20mbit")
        return 0
    found = _RATE.fullmatch(rate)
    bits = round(float(found[1]) * _UNITS[found[2].lower()]) if found else 0
    if bits < _LEAST_BITS:
        raise LabError(f"{rate!r} is no rate for a link", hint="write 64kbit or more: 500kbit, 20mbit, 1gbit")
    return bits


def _record(host: LabHost) -> Path:
    return host.folder / "fault"
