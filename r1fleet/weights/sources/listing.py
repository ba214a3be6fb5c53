"""What a source holds of a model: every file with its size and hash, at one commit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from r1fleet.transport.protocol import Become, Call, Session
from r1fleet.weights.manifest import Manifest
from r1fleet.weights.sources import asking
from r1fleet.weights.sources.asking import BRISK, Pace
from r1fleet.weights.sources.source import Source


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file; hubs tell a sha256, or the git blob's sha1 of a small file, and a plain folder may tell neither."""

    path: str
    size: int
    sha256: str = ""
    git: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """All files of a model at one commit; ``left_out`` are copies of the same weights in other formats.

    ``revision`` is what was asked for, ``commit`` what it stood for (empty where the source does not tell);
    ``folder`` is the folder that holds the files, where the source is one. Where that is the very place of the model,
    it is sealed ``in_place``, and ``left_out`` names what tools have left there, too. ``shared`` bytes of the folder
    take no room in that place.
    """

    model: str
    revision: str
    commit: str
    origin: str
    files: tuple[ListedFile, ...]
    left_out: tuple[str, ...] = ()
    folder: str = ""
    in_place: bool = False
    shared: int = 0

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(file.size for file in self.files)

    def is_held_by(self, manifest: Manifest) -> bool:
        """Tell whether a sealed folder is this very content; False where the hashes at hand do not tell."""
        held = {file.path: file for file in manifest.files}
        return {file.path for file in self.files} == set(held) and all(
            file.size == held[file.path].size
            and bool(file.sha256 or file.git)
            and file.sha256 in ("", held[file.path].sha256)
            and file.git in ("", held[file.path].git)
            for file in self.files
        )


def listing(
    session: Session,
    source: Source,
    model: str,
    revision: str = "main",
    become: Become | None = None,
    *,
    target: str = "",
    pace: Pace = BRISK,
) -> Listing:
    """Ask a source, from the session's host, what it holds; the first hub of a chain that answers counts.

    ``target`` is where that host is to have the model.

    Raises a FleetError with what to do: no such model or revision, token or licence wanted, no route, a web page in
    place of an answer, a listing cut short, paths that lead out of the folder, a folder with unsound files.
    """
    wanted = {"model": model, "revision": revision, "folder": source.folder, "target": target}
    patience = {"attempts": pace.attempts, "pause": pace.pause, "silence": pace.silence}
    reply = asking.checked(
        session, Call("fleet_listing", {**wanted, "hubs": asking.hubs(source), **patience}, become=become)
    )
    return Listing(
        model,
        revision,
        reply["commit"],
        reply["origin"],
        tuple(_file(row) for row in reply["files"]),
        tuple(reply["left_out"]),
        reply.get("folder", ""),
        bool(reply.get("in_place")),
        int(reply.get("shared", 0)),
    )


def _file(row: dict[str, Any]) -> ListedFile:
    return ListedFile(row["path"], row["size"], row.get("sha256", ""), row.get("git", ""))
