"""What is brought to hosts: a sealed set, and where it lies on its way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from r1fleet.weights.manifest import Manifest


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
