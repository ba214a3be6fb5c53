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
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from r1fleet.agent import soundness
from r1fleet.cache import cache_dir, cache_lock
from r1fleet.errors import FleetError, HostFailed, Interrupted, Where
from r1fleet.events import Observer, Step, ignore
from r1fleet.transport.protocol import Become, Blob, Call, Reply, Session
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


def sync_directory(
    source: Session, path: str, targets: Sequence[Session], observer: Observer = ignore, *, become: Become | None = None
) -> Synced:
    """Make every target hold the sealed folder ``path`` of the source; a failed target stops no other."""
    manifest = read_manifest(source, path, become)
    if manifest is None:
        raise HostFailed(
            f"{path} has no manifest", where=Where(host=source.name), hint="only sealed folders are copied"
        )
    outcomes = stream((source, become), path, path, manifest, [(target, become) for target in targets], observer)
    return Synced(path, manifest.digest, outcomes)


Reach = tuple[Session, Become | None]
"""A host's session, and the identity that the work there needs."""


def stream(
    source: Reach, folder: str, place: str, manifest: Manifest, targets: Sequence[Reach], observer: Observer = ignore
) -> tuple[HostOutcome, ...]:
    """Copy a sealed set from the source's ``folder`` to ``place`` on every target that lacks it, by the controller."""
    lacking = _Spread(place, manifest, observer)
    with ThreadPoolExecutor(max(1, min(len(targets), 32))) as pool, lacking.ended_with_this():
        held = list(pool.map(lacking.held, targets))
        missing = [target for target, outcome in zip(targets, held, strict=True) if outcome is None]
        if missing:
            lacking.content = _collect(*source, folder, manifest)
        done = {outcome.host: outcome for outcome in pool.map(lacking.bring, missing)}
    return tuple(outcome or done[target.name] for (target, _), outcome in zip(targets, held, strict=True))


def read_manifest(session: Session, path: str, become: Become | None = None) -> Manifest | None:
    """Return the manifest of a sealed folder on a host; None where there is none."""
    text = _manifest_text(session, path, become)
    return None if text is None else parse(text, Where(path=f"{path}/{MANIFEST}", host=session.name))


class _Spread:
    """One sealed folder on its way to several hosts."""

    def __init__(self, path: str, manifest: Manifest, observer: Observer) -> None:
        self._path = path
        self._manifest = manifest
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
            text = _manifest_text(target, self._path, become)
        except FleetError as error:
            return self._ended(HostOutcome(target.name, error=error), 0.0)
        try:
            same = text is not None and parse(text, Where()).digest == self._manifest.digest
        except FleetError:
            same = False  # a damaged manifest is replaced with its folder
        return self._ended(HostOutcome(target.name), 0.0) if same else None

    def bring(self, reach: Reach) -> HostOutcome:
        """Stage the content on the target, and publish it there."""
        target, become = reach
        begun = time.monotonic()
        self._tell(target.name, 0, 0.0)
        staged = staging(self._path, self._manifest)
        try:
            copied = _Sent(lambda done: self._tell(target.name, done, time.monotonic() - begun))
            self._checked(target, self._copy(staged, become, copied))
            given = {"staged": staged, "target": self._path, "manifest": MANIFEST}
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
        self._observer(Step(STEP, "running", self._path, host, done, self._manifest.size, "bytes", seconds))

    def _copy(self, staged: str, become: Become | None, sent: _Sent) -> Call:
        text = self._manifest.text.encode()
        rows = [(file.path, file.sha256, file.size) for file in self._manifest.files]
        rows.append((MANIFEST, hashlib.sha256(text).hexdigest(), len(text)))
        entries = [
            {"path": path, "kind": "file", "sha256": sha256, "size": size, "mode": "0644"}
            for path, sha256, size in rows
        ]
        blobs = tuple(Blob(sha256, size, _Opener(self.content / path, sent)) for path, sha256, size in rows)
        arguments = {"dest": f"{staged}/", "mode": "0644", "directory_mode": "0755", "_entries": entries}
        return Call("copy", arguments, become=become, blobs=blobs)

    def _ended(self, outcome: HostOutcome, seconds: float) -> HostOutcome:
        size = self._manifest.size
        state = "failed" if outcome.error else "done" if outcome.changed else "skipped"
        detail = (
            outcome.error.what if outcome.error else self._path if outcome.changed else f"{self._path} is there already"
        )
        self._observer(
            Step(
                STEP,
                state,
                detail,
                outcome.host,
                done=0 if outcome.error else size,
                total=size,
                unit="bytes",
                seconds=seconds,
            )
        )
        return outcome


class _Sent:
    """Counts what is read to be sent to one host, and tells it now and then."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell
        self._done = 0
        self._told_at = time.monotonic()

    def add(self, count: int) -> None:
        """Count some bytes more."""
        self._done += count
        if time.monotonic() - self._told_at >= _TOLD_EVERY:
            self._told_at = time.monotonic()
            self._tell(self._done)


class _Counted(io.FileIO):
    def __init__(self, path: Path, sent: _Sent) -> None:
        super().__init__(path, "rb")
        self._sent = sent

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(-1 if size is None else size)
        self._sent.add(len(data))
        return data


@dataclass(frozen=True, slots=True)
class _Opener:
    path: Path
    sent: _Sent

    def __call__(self) -> BinaryIO:
        return _Counted(self.path, self.sent)


def staging(place: str, manifest: Manifest) -> str:
    """Return the folder beside ``place`` where a set lies until it is whole."""
    path = PurePosixPath(place)
    return str(path.with_name(f".{path.name}.{manifest.digest[:12]}.part"))


def _collect(source: Session, become: Become | None, path: str, manifest: Manifest) -> Path:
    """Return a folder of the cache with the whole content, fetched where it lacks files, and refused where unsound."""
    folder = cache_dir("weights", manifest.digest)
    with cache_lock(f"weights-{manifest.digest[:16]}"):
        for file in manifest.files:
            here = folder / file.path
            if here.is_file() and here.stat().st_size == file.size and _sha256(here) == file.sha256:
                continue
            there = str(PurePosixPath(path) / file.path)
            reply = source.fetch(there, here, become=become)
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
