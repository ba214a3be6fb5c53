"""What is brought to hosts: a sealed set, and where it lies on its way."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from r1fleet.weights.manifest import MANIFEST, Manifest


@dataclass(frozen=True, slots=True)
class Cargo:
    """A sealed set, the folder where the source has its files, and the ``place`` where targets publish it."""

    manifest: Manifest
    folder: str
    place: str

    @property
    def staging(self) -> str:
        """The folder beside ``place`` where the set lies on a target until it is whole."""
        path = PurePosixPath(self.place)
        return str(path.with_name(f".{path.name}.{self.manifest.digest[:12]}.part"))


def publication(manifest: Manifest, staged: str, place: str) -> dict[str, Any]:
    """Return what fleet_publish is told: the folder with this very manifest gets its name, and no other one."""
    sha256 = hashlib.sha256(manifest.text.encode()).hexdigest()
    return {"staged": staged, "target": place, "manifest": MANIFEST, "sha256": sha256}
