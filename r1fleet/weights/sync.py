"""Bring a sealed folder from one host to others: by sha256, staged beside its place, published by a rename."""

from __future__ import annotations

import base64
import hashlib
import io
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from r1fleet.agent import soundness
from r1fleet.agent.pace import Pace
from r1fleet.cache import cache_dir
from r1fleet.errors import FleetError, HostFailed, Interrupted, Where
from r1fleet.events import Observer, Step, ignore
from r1fleet.transport.protocol import Become, Blob, Call, Reply, Session
from r1fleet.weights import kept
from r1fleet.weights.cargo import Cargo, publication
from r1fleet.weights.manifest import MANIFEST, Manifest, parse

STEP = "weights"
_CHUNK = 1024 * 1024
_TOLD_EVERY = 0.5


@dataclass(frozen=True, slots=True)
class HostOutcome:
    """What became of one target: published, or already there, or why not."""

    host: str
    changed: bool = False
    error: FleetError | None = None


@dataclass(frozen=True, slots=True)
class Synced:
    """The end of one sync: the content's digest, and every target's outcome."""

    path: str
    digest: str
    outcomes: tuple[HostOutcome, ...]

    @property
    def failed(self) -> tuple[HostOutcome, ...]:
        """The targets that do not hold the content."""
        return tuple(outcome for outcome in self.outcomes if outcome.error is not None)


Reach = tuple[Session, Become | None]
"""A host's session, and the identity that the work there needs."""


def stream(
    cargo: Cargo, source: Reach, targets: Sequence[Reach], observer: Observer = ignore, *, rate: int = 0
) -> tuple[HostOutcome, ...]:
    """Copy a set to every target that lacks it, by way of the controller; a failed target stops no other.

    ``rate`` is in bytes a second and host, 0 without limit. Raises HostFailed where the source is unsound.
    """
    copying = _Streaming(cargo, rate, observer)
    workers = max(1, min(len(targets), 32))
    with kept.read(cargo.manifest.digest), ThreadPoolExecutor(workers) as pool, copying.ended_with_this():
        held = list(pool.map(copying.held, targets))
        missing = [target for target, outcome in zip(targets, held, strict=True) if outcome is None]
        if missing:
            copying.content = _collect(*source, cargo, rate)
        done = {outcome.host: outcome for outcome in pool.map(copying.bring, missing)}
    return tuple(outcome or done[target.name] for (target, _), outcome in zip(targets, held, strict=True))


def read_manifest(session: Session, path: str, become: Become | None = None) -> Manifest | None:
    """Return the manifest of a sealed folder on a host; None where there is none."""
    text = _manifest_text(session, path, become)
    return None if text is None else parse(text, Where(path=f"{path}/{MANIFEST}", host=session.name))


class _Streaming:
    """One sealed set on its way to several hosts."""

    def __init__(self, cargo: Cargo, rate: int, observer: Observer) -> None:
        self._cargo = cargo
        self._rate = rate
        self._observer = observer
        self._calls: set[Future[Reply]] = set()
        self.content = Path()

    @contextmanager
    def ended_with_this(self) -> Iterator[None]:
        """End what hosts still do when the block ends, by Ctrl-C for one; what has come stays there."""
        try:
            yield
        finally:
            for call in tuple(self._calls):
                call.cancel()

    def held(self, reach: Reach) -> HostOutcome | None:
        """Return an outcome where the target holds the content already, or cannot tell."""
        target, become = reach
        try:
            text = _manifest_text(target, self._cargo.place, become)
        except FleetError as error:
            return self._ended(HostOutcome(target.name, error=error), 0.0)
        try:
            same = text is not None and parse(text, Where()).digest == self._cargo.manifest.digest
        except FleetError:
            same = False  # a damaged manifest is replaced with its folder
        return self._ended(HostOutcome(target.name), 0.0) if same else None

    def bring(self, reach: Reach) -> HostOutcome:
        """Stage the content on the target, and publish it there."""
        target, become = reach
        begun = time.monotonic()
        self._tell(target.name, 0, 0.0)
        try:
            sent = _Sent(self._rate, lambda done: self._tell(target.name, done, time.monotonic() - begun))
            self._checked(target, self._copy(become, sent))
            given = publication(self._cargo.manifest, self._cargo.staging, self._cargo.place)
            self._checked(target, Call("fleet_publish", given, become=become))
        except FleetError as error:
            return self._ended(HostOutcome(target.name, error=error), time.monotonic() - begun)
        return self._ended(HostOutcome(target.name, changed=True), time.monotonic() - begun)

    def _checked(self, target: Session, call: Call) -> None:
        future = target.submit(call)
        self._calls.add(future)
        try:
            _refuse_failure(target.name, future.result())
        except CancelledError as error:
            raise Interrupted("ended before all had come", where=Where(host=target.name)) from error

    def _tell(self, host: str, done: int, seconds: float) -> None:
        place, total = self._cargo.place, self._cargo.manifest.size
        self._observer(Step(STEP, "running", place, host, done, total, "bytes", seconds))

    def _copy(self, become: Become | None, sent: _Sent) -> Call:
        text = self._cargo.manifest.text.encode()
        rows = [(file.path, file.sha256, file.size) for file in self._cargo.manifest.files]
        rows.append((MANIFEST, hashlib.sha256(text).hexdigest(), len(text)))
        entries = [
            {"path": path, "kind": "file", "sha256": sha256, "size": size, "mode": "0644"}
            for path, sha256, size in rows
        ]
        blobs = tuple(Blob(sha256, size, partial(_Counted, self.content / path, sent)) for path, sha256, size in rows)
        arguments = {"dest": f"{self._cargo.staging}/", "mode": "0644", "directory_mode": "0755", "_entries": entries}
        return Call("copy", arguments, become=become, blobs=blobs)

    def _ended(self, outcome: HostOutcome, seconds: float) -> HostOutcome:
        size, place = self._cargo.manifest.size, self._cargo.place
        if outcome.error:
            state, detail, done = "failed", outcome.error.what, 0
        elif outcome.changed:
            state, detail, done = "done", place, size
        else:
            state, detail, done = "skipped", f"{place} is there already", size
        self._observer(Step(STEP, state, detail, outcome.host, done, size, "bytes", seconds))
        return outcome


class _Sent:
    """Holds what is read to be sent to one host to the rate, counts it, and tells it now and then."""

    def __init__(self, rate: int, tell: Callable[[int], None]) -> None:
        self.pace = Pace(rate)
        self._tell = tell
        self._done = 0
        self._told_at = time.monotonic()

    def add(self, count: int) -> None:
        """Count some bytes more, and wait until they may go."""
        self.pace.wait(count)
        self._done += count
        if time.monotonic() - self._told_at >= _TOLD_EVERY:
            self._told_at = time.monotonic()
            self._tell(self._done)


class _Counted(io.FileIO):
    """A file on its way to one host."""

    def __init__(self, path: Path, sent: _Sent) -> None:
        super().__init__(path, "rb")
        self._sent = sent

    def read(self, size: int | None = -1) -> bytes:
        """Read a piece, which is never much at once."""
        most = self._sent.pace.chunk
        data = super().read(most if size is None or size < 0 else min(size, most))
        self._sent.add(len(data))
        return data


def _collect(source: Session, become: Become | None, cargo: Cargo, rate: int) -> Path:
    """Return a folder of the cache with the whole content, fetched where it lacks files, and refused where unsound."""
    path, manifest = cargo.folder, cargo.manifest
    folder = cache_dir("weights", manifest.digest)
    with kept.filled(manifest.digest):
        for file in manifest.files:
            here = folder / file.path
            if here.is_file() and here.stat().st_size == file.size and _sha256(here) == file.sha256:
                continue
            there = str(PurePosixPath(path) / file.path)
            reply = source.fetch(there, here, become=become, rate=rate)
            _refuse_failure(source.name, reply)
            if reply.get("sha256") != file.sha256:
                here.unlink(missing_ok=True)
                raise HostFailed(
                    f"{there} is not what its manifest says",
                    where=Where(host=source.name),
                    hint="remove the folder and make it again",
                )
        (folder / MANIFEST).write_text(manifest.text, encoding="utf-8")
        found = tuple(soundness.problems(str(folder)))
    if found:
        raise HostFailed(
            f"{path} is not fit to be copied: {'; '.join(found)}",
            where=Where(host=source.name),
            hint="download it again",
        )
    return folder


def _manifest_text(session: Session, path: str, become: Become | None) -> str | None:
    place = str(PurePosixPath(path) / MANIFEST)
    found = _checked(session, Call("stat", {"path": place, "get_checksum": False}, become=become))
    if not found["stat"].get("exists"):
        return None
    content = _checked(session, Call("slurp", {"src": place}, become=become))["content"]
    return base64.b64decode(content).decode("utf-8", "replace")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _checked(session: Session, call: Call) -> Reply:
    reply = session.run(call)
    _refuse_failure(session.name, reply)
    return reply


def _refuse_failure(host: str, reply: Reply) -> None:
    if reply.get("failed"):
        raise HostFailed(str(reply.get("msg") or "it failed without a word"), where=Where(host=host))
