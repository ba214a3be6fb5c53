"""Wheelhouses: the wheels of a lock file, made once on the controller for the hosts' Python and platform."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import zipfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from r1fleet.cache import cache_dir, cache_lock, write_atomic
from r1fleet.errors import UsageError
from r1fleet.events import Observer, Step, ignore
from r1fleet.provision.lock import Lock, Pin
from r1fleet.provision.target import Target

STEP = "wheelhouse"
INSTALLER = Pin("pip", "26.3")
MANIFEST = "manifest.json"
_BATCH = 12
_AT_ONCE = 3
_CHUNK = 1024 * 1024

Download = Callable[[tuple[Pin, ...], Target, Path], None]
"""Brings the wheels of some pins into a folder; raises UsageError where one cannot be had."""


@dataclass(frozen=True, slots=True)
class WheelFile:
    """One file of a wheelhouse, by its path inside."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Wheelhouse:
    """A sealed folder: ``wheels/``, the installer ``pip.whl``, and ``requirements.txt`` with every wheel's sha256."""

    path: Path
    lock: Lock
    target: Target
    files: tuple[WheelFile, ...]

    @property
    def digest(self) -> str:
        """A short sha256 over all files: two wheelhouses with the same digest install the same environment."""
        text = "\n".join(f"{file.sha256} {file.path}" for file in self.files)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(file.size for file in self.files)


def build(
    lock: Lock, target: Target, download: Download, observer: Observer = ignore, *, check: str = "size"
) -> Wheelhouse:
    """Return the wheelhouse of ``lock`` for ``target``; what the cache lacks is downloaded.

    ``check`` says how a cached one is looked at: ``size``, or ``sha256`` to read every file.
    """
    begun = time.monotonic()
    name = f"{lock.name}-{lock.digest}-{target}"
    path = cache_dir("wheelhouses") / name
    with cache_lock(f"wheelhouse-{name}"):
        found = _cached(path, lock, target)
        if found is not None and not _damaged(found, check):
            observer(Step(STEP, "done", f"{_told(found)} in the cache", seconds=time.monotonic() - begun))
            return found
        part = path.with_name(f".{name}.part")
        _take_over(found, path, part, check)
        _fill(part, lock, target, download, observer)
        made = Wheelhouse(path, lock, target, _seal(part, lock))
        _write_manifest(part, made)
        part.rename(path)
    observer(Step(STEP, "done", _told(made), seconds=time.monotonic() - begun))
    return made


def _told(house: Wheelhouse) -> str:
    return f"{len(house.lock.pins)} wheels, {house.size / 1e6:.0f} MB, for {house.target}"


def _cached(path: Path, lock: Lock, target: Target) -> Wheelhouse | None:
    try:
        listed = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        return Wheelhouse(path, lock, target, tuple(WheelFile(**row) for row in listed["files"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _damaged(house: Wheelhouse, check: str) -> list[Path]:
    return [house.path / file.path for file in house.files if not _intact(house.path / file.path, file, check)]


def _intact(path: Path, file: WheelFile, check: str) -> bool:
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    return check != "sha256" or sha256_of(path) == file.sha256


def _take_over(found: Wheelhouse | None, path: Path, part: Path, check: str) -> None:
    """Go on with what is intact of a damaged wheelhouse."""
    for broken in _damaged(found, check) if found else ():
        broken.unlink(missing_ok=True)
    if path.is_dir():
        shutil.rmtree(part, ignore_errors=True)
        path.rename(part)
        (part / MANIFEST).unlink(missing_ok=True)
    (part / "wheels").mkdir(parents=True, exist_ok=True)


def _fill(part: Path, lock: Lock, target: Target, download: Download, observer: Observer) -> None:
    wheels = part / "wheels"
    wanted = (*lock.pins, INSTALLER)
    missing = [pin for pin in wanted if not wheel_of(pin, wheels)]
    done, total = len(wanted) - len(missing), len(wanted)
    observer(Step(STEP, "running", f"for {target}", done=done, total=total, unit="wheels"))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        pending = {pool.submit(download, batch, target, wheels): batch for batch in _batches(missing)}
        try:
            for future in as_completed(pending):
                future.result()
                done += len(pending[future])
                observer(Step(STEP, "running", f"for {target}", done=done, total=total, unit="wheels"))
        except UsageError as error:
            observer(Step(STEP, "failed", error.what, done=done, total=total, unit="wheels"))
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _batches(missing: list[Pin]) -> Iterable[tuple[Pin, ...]]:
    """Divide the pins; the big ones first and alone, so that they overlap with the many small ones."""
    big = [pin for pin in missing if pin.stem.startswith(("torch", "vllm", "sglang"))]
    small = [pin for pin in missing if pin not in big]
    yield from ((pin,) for pin in big)
    yield from (tuple(small[start : start + _BATCH]) for start in range(0, len(small), _BATCH))


def wheel_of(pin: Pin, folder: Path) -> Path | None:
    """Find the whole wheel of a pin in a folder; half a file is removed."""
    for path in folder.glob("*.whl"):
        name, version, _ = path.name.split("-", 2)
        if Pin(name, version).stem != pin.stem or version.replace("_", "+") != pin.version:
            continue
        if zipfile.is_zipfile(path):
            return path
        path.unlink()
    return None


def _seal(part: Path, lock: Lock) -> tuple[WheelFile, ...]:
    """Keep exactly the locked wheels, write the requirements with their sums, and list every file."""
    wheels = part / "wheels"
    installer = wheel_of(INSTALLER, wheels)
    if installer is not None:
        installer.replace(part / "pip.whl")
    lines = []
    kept = set()
    for pin in lock.pins:
        path = wheel_of(pin, wheels)
        if path is None:
            raise UsageError(
                f"{pin} was downloaded, but under another version", hint="write the version as its wheel does"
            )
        kept.add(path)
        lines.append(f"{pin} --hash=sha256:{sha256_of(path)}")
    for path in set(wheels.iterdir()) - kept:
        path.unlink()
    write_atomic(part / "requirements.txt", "\n".join(lines) + "\n")
    files = sorted(path for path in part.rglob("*") if path.is_file() and path.name != MANIFEST)
    return tuple(WheelFile(str(path.relative_to(part)), path.stat().st_size, sha256_of(path)) for path in files)


def _write_manifest(part: Path, house: Wheelhouse) -> None:
    rows = [{"path": file.path, "size": file.size, "sha256": file.sha256} for file in house.files]
    text = {"schema": 1, "lock": house.lock.name, "target": str(house.target), "files": rows}
    write_atomic(part / MANIFEST, json.dumps(text, indent=1) + "\n")


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
