"""The clusters that were provisioned or launched from this controller, remembered in its cache."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from r1fleet.cache import cache_dir, cache_lock, write_atomic
from r1fleet.errors import UsageError
from r1fleet.inventory.model import Inventory
from r1fleet.inventory.refusals import yaml_files

_FOLDER = "clusters"
_HINT = "r1fleet provision INVENTORY, or say which one is meant: -i INVENTORY"


@dataclass(frozen=True, slots=True)
class KnownCluster:
    """One inventory, and when it was last provisioned and launched (seconds since 1970, 0: never)."""

    name: str
    path: str
    provisioned: float = 0.0
    launched: float = 0.0

    @property
    def file(self) -> Path:
        """The inventory file."""
        return Path(self.path)


def remember(inventory: Inventory, what: str, *, clock: Callable[[], float] = time.time) -> None:
    """Note that ``inventory`` was just ``provisioned`` or ``launched``; an inventory without a file is not noted."""
    if what not in ("provisioned", "launched"):
        raise ValueError(what)
    if inventory.path is None:
        return
    path = str(inventory.path.resolve())
    file = _record(path)
    with cache_lock(_FOLDER):
        fields = _read(file) or {"name": inventory.name, "path": path}
        write_atomic(file, json.dumps({**fields, what: clock()}), mode=0o600)


def known() -> tuple[KnownCluster, ...]:
    """Return the remembered clusters whose inventory is still there, by name."""
    records = [_read(file) for file in sorted(cache_dir(_FOLDER).glob("*.json"))]
    clusters = [cluster for record in records if record and (cluster := _cluster(record)) and cluster.file.is_file()]
    return tuple(sorted(clusters, key=lambda cluster: (cluster.name, cluster.path)))


def remembered() -> tuple[Path, ...]:
    """Return the inventories that a command means when it names none; refuse where there is none to mean."""
    clusters = known()
    if not clusters:
        others = ", ".join(str(path) for path in strangers(Path("inventories"))[:8])
        there = f"; there is {others}" if others else ""
        raise UsageError(f"no cluster was provisioned or launched from here yet{there}", hint=_HINT)
    return tuple(cluster.file for cluster in clusters)


def strangers(folder: Path) -> tuple[Path, ...]:
    """Return the inventories in ``folder`` that nothing was provisioned or launched with from here."""
    seen = {cluster.file for cluster in known()}
    return tuple(path for path in yaml_files(folder) if path.resolve() not in seen)


def _record(path: str) -> Path:
    return cache_dir(_FOLDER) / f"{hashlib.sha256(path.encode()).hexdigest()[:16]}.json"


def _read(file: Path) -> dict[str, object] | None:
    """Read one record; one that is damaged counts as absent."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def _cluster(record: Mapping[str, object]) -> KnownCluster | None:
    texts = {name: record.get(name) for name in ("name", "path")}
    times = {name: record.get(name, 0.0) for name in ("provisioned", "launched")}
    if not all(isinstance(text, str) for text in texts.values()):
        return None
    return KnownCluster(
        str(texts["name"]),
        str(texts["path"]),
        *(float(at) if isinstance(at, (int, float)) else 0.0 for at in times.values()),
    )
