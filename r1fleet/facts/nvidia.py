"""Read what NVIDIA's tools print, old and new: pure functions over captured text.

Layouts as of drivers 535 to 610: nvidia-smi's XML (nvsmi_device v12 and v13), its banner (renamed in 610: KMD Version
and CUDA UMD Version), ``topo -m`` (with ANSI codes in its heading), ``nvcc --version``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree

_ANSI: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_VERSION: Final = re.compile(r"\d+(?:\.\d+)+")
_BANNER: Final = {
    "driver": re.compile(r"(?:Driver|KMD) Version\s*:\s*(\d[\d.]*)"),
    "cuda": re.compile(r"CUDA (?:UMD )?Version\s*:\s*(\d[\d.]*)"),
}
_LINKS: Final = re.compile(r"X|SYS|NODE|PHB|PXB|PIX|NV\d+")

FAILURES: Final[tuple[tuple[str, str, str], ...]] = (
    ("couldn't communicate with the NVIDIA driver", "no-driver", "the kernel module is not loaded"),
    ("Driver/library version mismatch", "mismatch", "the library was changed under the loaded kernel module"),
    (
        "Failed to initialize NVML: Unknown Error",
        "lost",
        "access to the devices was lost (a container's, after a reload)",
    ),
    ("No devices were found", "no-devices", "the driver is loaded and finds no device"),
)
"""What nvidia-smi says where it fails: a part of its text, a word for it, what it means."""


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """One process on a device; ``memory_mib`` is None where the driver does not tell."""

    pid: int
    name: str
    memory_mib: int | None = None


@dataclass(frozen=True, slots=True)
class Gpu:
    """One device as the driver tells it; None, and empty text, mean that it does not."""

    index: int
    name: str
    uuid: str = ""
    bus: str = ""
    memory_mib: int | None = None
    used_mib: int | None = None
    mig: bool | None = None
    persistence: bool | None = None
    fabric_state: str = ""
    fabric_status: str = ""
    uncorrected_errors: int | None = None
    processes: tuple[GpuProcess, ...] = ()


@dataclass(frozen=True, slots=True)
class Topology:
    """How devices reach one another: a link (X, NV18, PIX, PXB, PHB, NODE, SYS) per pair of names."""

    links: Mapping[tuple[str, str], str]
    adapters: Mapping[str, str]

    def between(self, one: str, other: str) -> str:
        """Return the link between two names, empty where it is not told."""
        return self.links.get((one, other), "")


@dataclass(frozen=True, slots=True)
class Nvidia:
    """What NVIDIA's tools tell of one host; ``problem`` is a word of FAILURES or "unreadable", empty where all is well.

    ``loaded`` is the version of the kernel module in memory, ``toolkit`` nvcc's.
    """

    present: bool = False
    driver: str = ""
    cuda: str = ""
    loaded: str = ""
    toolkit: str = ""
    problem: str = ""
    said: str = ""
    gpus: tuple[Gpu, ...] = ()
    topology: Topology | None = None


def read_xml(text: str) -> tuple[str, str, tuple[Gpu, ...]] | None:
    """Return driver version, CUDA version and devices from ``nvidia-smi -q -x``; None where it is no such document.

    A warning line may stand before the document; values may carry a note that they are deprecated.
    """
    start = text.find("<?xml")
    start = start if start >= 0 else text.find("<nvidia_smi_log")
    if start < 0:
        return None
    try:
        root = ElementTree.fromstring(text[start:].strip())
    except ElementTree.ParseError:
        return None
    driver = _version(_text(root, "kmd_version")) or _version(_text(root, "driver_version"))
    cuda = _version(_text(root, "cuda_umd_version")) or _version(_text(root, "cuda_version"))
    return driver, cuda, tuple(_gpu(index, node) for index, node in enumerate(root.iter("gpu")))


def read_banner(text: str) -> tuple[str, str]:
    """Return driver and CUDA version from the first lines of plain ``nvidia-smi``, of either naming."""
    found = {name: pattern.search(text) for name, pattern in _BANNER.items()}
    driver, cuda = found["driver"], found["cuda"]
    return (driver.group(1) if driver else "", cuda.group(1) if cuda else "")


def failure_of(text: str) -> tuple[str, str]:
    """Return the word for why nvidia-smi failed, and its first line."""
    word = next((word for part, word, _ in FAILURES if part in text), "unreadable")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return word, lines[0] if lines else ""


def read_topology(text: str) -> Topology | None:
    """Return the matrix that ``nvidia-smi topo -m`` prints; None where there is none."""
    lines = _ANSI.sub("", text).splitlines()
    heading = next(
        (line for line in lines if re.match(r"\s*GPU0\b", line) and "\tX" not in line.replace(" ", "")), None
    )
    if heading is None:
        return None
    columns = [word for word in heading.split("\t") if re.fullmatch(r"\s*(GPU|NIC)\d+\s*", word)]
    names = [word.strip() for word in columns]
    links: dict[tuple[str, str], str] = {}
    for line in lines[lines.index(heading) + 1 :]:
        cells = [cell.strip() for cell in line.split("\t")]
        if not re.fullmatch(r"(GPU|NIC)\d+", cells[0]):
            continue
        for name, cell in zip(names, cells[1:], strict=False):
            if _LINKS.fullmatch(cell):
                links[cells[0], name] = cell
    adapters = dict(re.findall(r"^\s*(NIC\d+)\s*:\s*(\S+)", "\n".join(lines), re.MULTILINE))
    return Topology(links, adapters) if links else None


def read_nvcc(text: str) -> str:
    """Return the toolkit's version from ``nvcc --version``: ``release 12.8, V12.8.93`` gives 12.8.93."""
    found = re.search(r"release\s+(\d+\.\d+)(?:,\s*V(\d+(?:\.\d+)+))?", text)
    return (found.group(2) or found.group(1)) if found else ""


def read_module(text: str) -> str:
    """Return the version of the loaded kernel module from ``/proc/driver/nvidia/version``."""
    found = re.search(r"Kernel Module\b.*?(\d+\.\d+(?:\.\d+)?)", text)
    return found.group(1) if found else ""


def _gpu(index: int, node: ElementTree.Element) -> Gpu:
    return Gpu(
        index=index,
        name=_text(node, "product_name"),
        uuid=_text(node, "uuid"),
        bus=node.get("id", "").lower(),
        memory_mib=_mib(_text(node, "fb_memory_usage/total")),
        used_mib=_mib(_text(node, "fb_memory_usage/used")),
        mig=_switch(_text(node, "mig_mode/current_mig")),
        persistence=_switch(_text(node, "persistence_mode")),
        fabric_state=_told(_text(node, "fabric/state")),
        fabric_status=_told(_text(node, "fabric/status")),
        uncorrected_errors=_errors(node),
        processes=tuple(_processes(node)),
    )


def _processes(node: ElementTree.Element) -> Iterator[GpuProcess]:
    for row in node.iterfind("processes/process_info"):
        pid = _text(row, "pid")
        if pid.isdigit():
            yield GpuProcess(int(pid), _text(row, "process_name"), _mib(_text(row, "used_memory")))


def _errors(node: ElementTree.Element) -> int | None:
    values = [
        int(found.text)
        for found in node.iterfind("ecc_errors/volatile/*")
        if "uncorrectable" in found.tag and found.text and found.text.strip().isdigit()
    ]
    return sum(values) if values else None


def _text(node: ElementTree.Element, path: str) -> str:
    return (node.findtext(path) or "").strip()


def _told(text: str) -> str:
    return "" if text.strip("[]").upper() in ("N/A", "NOT SUPPORTED", "UNKNOWN ERROR") else text


def _version(text: str) -> str:
    found = _VERSION.match(text)
    return found.group(0) if found else ""


def _mib(text: str) -> int | None:
    found = re.match(r"(\d+)\s*MiB", text)
    return int(found.group(1)) if found else None


def _switch(text: str) -> bool | None:
    return {"enabled": True, "disabled": False}.get(text.lower())
