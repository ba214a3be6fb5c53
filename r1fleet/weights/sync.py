"""Bring a sealed folder from one host to others: by sha256, staged beside its place, published by a rename."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from r1fleet.agent import soundness
from r1fleet.cache import cache_dir, cache_lock
from r1fleet.errors import FleetError, HostFailed, Where
from r1fleet.events import Observer, Step, ignore
from r1fleet.transport.protocol import Become, Blob, Call, Reply, Session
from r1fleet.weights.manifest import MANIFEST, Manifest, parse

STEP = "weights"
_CHUNK = 1024 * 1024


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
    with ThreadPoolExecutor(max(1, min(len(targets), 32))) as pool:
        held = list(pool.map(lacking.held, targets))
        missing = [target for target, outcome in zip(targets, held, strict=True) if outcome is None]
        if missing:
            lacking.content = _collect(*source, folder, manifest)
        done = {outcome.host: outcome for outcome in pool.map(lacking.bring, missing)}
    return tuple(outcome or done[target.name] for (target, _), outcome in zip(targets, held, strict=True))


def read_manifest(session: Session, path: str, become: Become | None = None) -> Manifest | None:
    """Return the manifest of a sealed folder on a host; None where there is none."""
    place = str(PurePosixPath(path) / MANIFEST)
    found = _checked(session, Call("stat", {"path": place, "get_checksum": False}, become=become))
    if not found["stat"].get("exists"):
        return None
    text = base64.b64decode(_checked(session, Call("slurp", {"src": place}, become=become))["content"]).decode(
        "utf-8", "replace"
    )
    return parse(text, Where(path=place, host=session.name))


class _Spread:
    """One sealed folder on its way to several hosts."""

    def __init__(self, path: str, manifest: Manifest, observer: Observer) -> None:
        self._path = path
        self._manifest = manifest
        self._observer = observer
        self.content = Path()

    def held(self, reach: Reach) -> HostOutcome | None:
        """Return an outcome where the target holds the content already, or cannot tell."""
        target, become = reach
        try:
            found = read_manifest(target, self._path, become)
        except FleetError as error:
            return self._ended(HostOutcome(target.name, error=error), 0.0)
        if found is None or found.digest != self._manifest.digest:
            return None
        return self._ended(HostOutcome(target.name), 0.0)

    def bring(self, reach: Reach) -> HostOutcome:
        """Stage the content on the target, and publish it there."""
        target, become = reach
        begun = time.monotonic()
        self._observer(Step(STEP, "running", self._path, target.name, total=self._manifest.size, unit="bytes"))
        staged = staging(self._path, self._manifest)
        try:
            _checked(target, self._copy(staged, become))
            given = {"staged": staged, "target": self._path, "manifest": MANIFEST}
            _checked(target, Call("fleet_publish", given, become=become))
        except FleetError as error:
            return self._ended(HostOutcome(target.name, error=error), time.monotonic() - begun)
        return self._ended(HostOutcome(target.name, changed=True), time.monotonic() - begun)

    def _copy(self, staged: str, become: Become | None) -> Call:
        text = self._manifest.text.encode()
        rows = [(file.path, file.sha256, file.size) for file in self._manifest.files]
        rows.append((MANIFEST, hashlib.sha256(text).hexdigest(), len(text)))
        entries = [
            {"path": path, "kind": "file", "sha256": sha256, "size": size, "mode": "0644"}
            for path, sha256, size in rows
        ]
        blobs = tuple(Blob(sha256, size, _Opener(self.content / path)) for path, sha256, size in rows)
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


@dataclass(frozen=True, slots=True)
class _Opener:
    path: Path

    def __call__(self) -> BinaryIO:
        return self.path.open("rb")


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
