"""Read what a host tells of Vastai's accelerators; formats that no source shows whole are read leniently."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

DEVICE: Final = "0100"
CARDS: Final[Mapping[str, tuple[str, int]]] = {
    "0014": ("VA1L", 2),
    "0012": ("VA1-16G", 2),
    "0022": ("VA16", 4),
    "0024": ("VA10L", 4),
    "0026": ("VA12-128G", 4),
}
"""PCI subsystem ids of the cards that serve models: name, dies of a card (pci.ids; dies of VA1L and VA10L derived)."""


@dataclass(frozen=True, slots=True)
class Vastai:
    """One host's dies, which the bus shows one by one; ``driver`` is its version, as the driver itself writes it."""

    dies: int = 0
    card: str = ""
    cards: int | None = None
    nodes: int = 0
    loaded: bool = False
    driver: str = ""
    memory_mib: tuple[int, ...] = ()


def read_vastai(told: Mapping[str, Any], modules: str) -> Vastai:
    """Read the bus, the modules in memory, the device nodes and, where they are there, vasmi and the driver's file."""
    dies = [row for row in told.get("pci", ()) if row["vendor"] == "vastai" and row["device"] == DEVICE]
    names = {CARDS[row["subsystem"]] for row in dies if row["subsystem"] in CARDS}
    name, of_a_card = names.pop() if len(names) == 1 else ("", 0)
    programs = told.get("programs", {})
    return Vastai(
        dies=len(dies),
        card=name,
        cards=len(dies) // of_a_card if of_a_card else None,
        nodes=int(told.get("vacc_nodes") or 0),
        loaded=bool(re.search(r"^vastai_pci\b", modules, re.MULTILINE)),
        driver=read_driver(_out(programs.get("vastai_version"))),
        memory_mib=tuple(read_memory(_out(programs.get("vasmi")))),
    )


def read_driver(text: str) -> str:
    """Return the version from /dev/vastai0_version: the line with ``Driver``, whatever stands around it."""
    line = next((line for line in text.splitlines() if "driver" in line.lower()), "")
    found = re.search(r"\d+(?:\.\d+){3}(?:\s+\S+)?", line)
    return " ".join(found.group(0).split()) if found else ""


def read_memory(text: str) -> Sequence[int]:
    """Return each die's memory in MiB from ``vasmi getmem --display-format=json``."""
    try:
        rows = json.loads(text)["elem"]
        cells = [(row["vals"].get("Physical") or row["vals"]["Physical memory"])["value"] for row in rows]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()
    found = [re.match(r"(\d+)\s*MiB", str(cell)) for cell in cells]
    return tuple(int(match.group(1)) for match in found if match)


def _out(program: Mapping[str, Any] | None) -> str:
    return str(program["out"]) if program and program["rc"] == 0 else ""
