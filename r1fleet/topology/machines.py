"""What machines carry: a table of accelerators, and reading a declared type such as ``8xH200``."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Final, Literal

from r1fleet.errors import SpecError

_MIB = 1024 * 1024
_DECLARED = re.compile(r"\s*(\d+)\s*[xX×*]\s*(\S.*?)\s*\Z")


Vendor = Literal["nvidia", "amd", "vastai"]


@dataclass(frozen=True, slots=True)
class Card:
    """A row of the table: a card, its devices (dies) with their memory, and where the numbers come from."""

    names: tuple[str, ...]
    memory_mib: int
    capability: str
    native_fp8: bool | None
    source: str
    devices: int = 1
    certain: bool = True
    vendor: Vendor = "nvidia"


@dataclass(frozen=True, slots=True)
class Machine:
    """The devices of one host; ``memory_bytes`` is per device; None means that it is not known.

    ``fp4`` names the four-bit floats that the devices multiply.
    """

    devices: int
    name: str
    memory_bytes: int | None = None
    native_fp8: bool | None = None
    fp4: str | None = None
    vendor: Vendor | None = None


_BLACKWELL: Final = ("10.", "12.")
_MXFP4: Final = ("gfx950",)


# fmt: off
CARDS: Final[tuple[Card, ...]] = (
    Card(("H100", "H100-80G", "H800", "H800-80G"), 81559, "9.0", native_fp8=True, source="nvidia-smi captures"),
    Card(("H200",), 143771, "9.0", native_fp8=True, source="nvidia-smi captures"),
    Card(("H20", "H20-96G"), 97871, "9.0", native_fp8=True, source="nvidia-smi captures"),
    Card(("H20-3e", "H20-141G"), 143771, "9.0", native_fp8=True, source="nvidia-smi captures"),
    Card(("B200",), 183359, "10.0", native_fp8=True, source="nvidia-smi captures"),
    Card(("A100", "A100-80G", "A800", "A800-80G"), 81920, "8.0", native_fp8=False, source="nvidia-smi captures"),
    Card(("A100-40G",), 40960, "8.0", native_fp8=False, source="nvidia-smi captures"),
    Card(("L40S",), 46068, "8.9", native_fp8=True, source="nvidia-smi captures"),
    Card(("L40",), 49140, "8.9", native_fp8=True, source="nvidia-smi captures, ECC off"),
    Card(("L20X",), 143771, "", native_fp8=None, source="one csv, odd", certain=False),
    Card(("RTX 5090", "5090"), 32607, "12.0", native_fp8=True, source="nvidia-smi captures"),
    Card(("RTX 4090", "4090"), 24564, "8.9", native_fp8=True, source="nvidia-smi captures"),
    Card(("RTX 4080 SUPER", "4080 SUPER"), 16376, "8.9", native_fp8=True, source="nvidia-smi captures"),
    Card(("RTX 4070 Ti SUPER", "4070TiS"), 16376, "8.9", native_fp8=True, source="nvidia-smi captures"),
    Card(("RTX 3090", "3090"), 24576, "8.6", native_fp8=False, source="nvidia-smi captures"),
    Card(("GB10", "DGX Spark"), 131072, "12.1", native_fp8=True, source="unified memory, nvidia-smi tells [N/A]",
         certain=False),
    Card(("MI300X",), 196608, "gfx942", native_fp8=True, source="general knowledge", certain=False, vendor="amd"),
    Card(("MI355X", "MI350X"), 294912, "gfx950", native_fp8=True, source="general knowledge", certain=False,
         vendor="amd"),
    Card(("VA16",), 32768, "", native_fp8=True, devices=4, vendor="vastai",
         source="vendor's requirements: 128 GB, 4 dies; per die derived"),
    Card(("VA10L", "VA12-128G"), 32768, "", native_fp8=None, devices=4, vendor="vastai", certain=False,
         source="vendor's lists: 128 GB; dies as VA16's"),
    Card(("VA1L",), 32768, "", native_fp8=None, devices=2, vendor="vastai", certain=False,
         source="vendor's lists: 64 GB; two dies derived"),
    Card(("VA1-16G",), 8192, "", native_fp8=None, devices=2, vendor="vastai", certain=False,
         source="vendor's lists: 16 GB, two dies; per die derived"),
)
# fmt: on


def declared_machine(text: str) -> Machine:
    """Read ``8xH200`` or ``NxNAME``: a card that is not in the table has unknown memory."""
    matched = _DECLARED.match(text)
    if not matched or int(matched[1]) < 1:
        raise SpecError(f"machine {text!r} is not of the form 8xH200", hint="number of cards, x, name of the card")
    cards, name = int(matched[1]), matched[2]
    card = find_card(name)
    if card is None:
        return Machine(cards, name)
    return machine_with(card, cards * card.devices, card.memory_mib * _MIB)


def machine_with(card: Card, devices: int, memory_bytes: int | None) -> Machine:
    """Return a host with so many devices of a card."""
    blackwell, mxfp4 = card.capability.startswith(_BLACKWELL), card.capability.startswith(_MXFP4)
    fp4 = "nvfp4" if blackwell else "mxfp4" if mxfp4 else "" if card.capability else None
    return Machine(devices, card.names[0], memory_bytes, card.native_fp8, fp4, card.vendor)


def find_card(name: str) -> Card | None:
    """Return the row of a card by any of its names, whatever case and vendor's prefix it is written with."""
    wanted = _plain(name)
    return next((card for card in CARDS for known in card.names if _plain(known) == wanted), None)


def nearest_card(name: str) -> str | None:
    """Return the known name nearest to ``name``."""
    near = difflib.get_close_matches(name, [known for card in CARDS for known in card.names], n=1)
    return near[0] if near else None


def _plain(name: str) -> str:
    text = re.sub(r"[\s_-]+", "", name.lower())
    return re.sub(r"^(nvidia)?(geforce)?(rtx)?", "", text)
