"""Bring a model from its source into a sealed folder on one host: ranged, resumed, verified file by file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from queue import SimpleQueue

from r1fleet.errors import Where
from r1fleet.events import Note, Observer, Step, ignore
from r1fleet.transport.protocol import Become, Call, Reply, Session
from r1fleet.weights.manifest import Manifest, SealedFile, parse
from r1fleet.weights.sources import asking
from r1fleet.weights.sources.asking import PATIENT, Pace
from r1fleet.weights.sources.listing import Listing
from r1fleet.weights.sources.source import Source

STEP = "fetch"


@dataclass(frozen=True, slots=True)
class Request:
    """What to fetch and where to put it: ``staging`` is a folder on the file system of the final one.

    Where the listing is of the final folder, that is sealed where it lies, and ``staging`` is that folder.
    """

    source: Source
    listing: Listing
    staging: str
    pace: Pace = PATIENT


@dataclass(frozen=True, slots=True)
class Fetched:
    """A sealed folder: ``moved`` bytes have come over the network or from another disk in this run."""

    folder: str
    manifest: Manifest
    moved: int


OnFile = Callable[[SealedFile], None]


def fetch(
    session: Session,
    request: Request,
    observer: Observer = ignore,
    *,
    on_file: OnFile = lambda file: None,
    become: Become | None = None,
) -> Fetched:
    """Fetch on the session's host; ``on_file`` is called for each file that is complete, verified and in its place.

    The caller's own thread makes the calls. A fetch that ended early for whatever reason goes on where it was.
    Raises MissingFiles where big files have not been dropped in yet, and a FleetError with what to do otherwise.
    """
    told = _Told(session.name, request, observer, on_file)
    lines: SimpleQueue[str | None] = SimpleQueue()
    future = session.submit(replace(_call(request), become=become), lines.put)
    future.add_done_callback(lambda _: lines.put(None))
    state = "failed"
    try:
        for line in iter(lines.get, None):
            told.line(line)
        reply = future.result()
        state = "failed" if reply.get("failed") else "done"
    finally:
        future.cancel()  # does nothing where it has ended
        told.ended(state)
    asking.refuse(session.name, reply)
    return _fetched(session, request, reply)


def _call(request: Request) -> Call:
    listing = request.listing
    given = {
        "model": listing.model,
        "commit": listing.commit,
        "origin": listing.origin,
        "files": [asdict(file) for file in listing.files],
    }
    if listing.in_place:
        return Call("fleet_seal", {**given, "folder": request.staging, "left_out": list(listing.left_out)})
    more = {
        "revision": listing.revision,
        "folder": listing.folder,
        "drop": request.source.drop,
        "hubs": asking.hubs(request.source),
        "staging": request.staging,
    }
    return Call("fleet_fetch", {**given, **more, **asdict(request.pace)})


class _Told:
    """What the host tells while it works, turned into events."""

    def __init__(self, host: str, request: Request, observer: Observer, on_file: OnFile) -> None:
        self._host = host
        self._total = request.listing.size
        self._detail = request.listing.model
        self._observer = observer
        self._on_file = on_file
        self._begun = time.monotonic()
        self._done = 0
        self._step("running")

    def line(self, text: str) -> None:
        """Take one line: a finished file, bytes so far, or a word for the reader."""
        row = json.loads(text)
        if "file" in row:
            self._on_file(SealedFile(row["file"], row["size"], row["sha256"], row["git"]))
        elif "note" in row:
            self._observer(Note(row["note"], "warning", self._host))
        else:
            self._done = row["done"]
            self._step("running")

    def ended(self, state: str) -> None:
        """Tell the end."""
        self._done = self._total if state == "done" else self._done
        self._step(state)

    def _step(self, state: str) -> None:
        seconds = time.monotonic() - self._begun
        step = Step(STEP, state, self._detail, self._host, self._done, self._total, "bytes", seconds)
        self._observer(step)


def _fetched(session: Session, request: Request, reply: Reply) -> Fetched:
    manifest = parse(reply["manifest"], Where(path=request.staging, host=session.name))
    return Fetched(request.staging, manifest, reply["moved"])
