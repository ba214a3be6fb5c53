"""For which Python on which machine a wheelhouse is made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from r1fleet.errors import HostFailed, Where

_OLDEST_GLIBC = {"x86_64": 5}
_GLIBC = re.compile(r"glibc 2\.(\d+)")
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """A Python minor version, a machine and the oldest glibc 2.x among the hosts."""

    python: str
    machine: str
    glibc: int

    def __str__(self) -> str:
        """Short form for file names."""
        return f"cp{self.python.replace('.', '')}-{self.machine}-glibc2.{self.glibc}"

    @property
    def kind(self) -> str:
        """What hosts that can share a wheelhouse have in common."""
        return f"{self.python}-{self.machine}"

    def platforms(self) -> tuple[str, ...]:
        """Name every wheel platform that such a host can load, newest first."""
        oldest = _OLDEST_GLIBC.get(self.machine, 17)
        names: list[str] = []
        for minor in range(self.glibc, oldest - 1, -1):
            names.append(f"manylinux_2_{minor}_{self.machine}")
            if minor in _LEGACY:
                names.append(f"{_LEGACY[minor]}_{self.machine}")
        return (*names, f"linux_{self.machine}")

    def abis(self) -> tuple[str, ...]:
        """Name the binary interfaces that such a Python can load."""
        return (f"cp{self.python.replace('.', '')}", "abi3", "none")


def target_of(host: str, facts: Mapping[str, Any], library: str) -> Target:
    """Read a host's Python and machine from its facts, and its C library from what ``getconf`` says."""
    major, minor = str(facts["ansible_python_version"]).split(".")[:2]
    found = _GLIBC.search(library)
    if found is None:
        raise HostFailed("wheels need the GNU C library, which this host lacks", where=Where(host=host))
    return Target(f"{major}.{minor}", str(facts["ansible_architecture"]), int(found[1]))
