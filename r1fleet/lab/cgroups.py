"""Control groups, hybrid and v2: the processes of a host, counted, frozen and ended together."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from r1fleet.errors import LabError
from r1fleet.lab.mounts import mounts

_CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")


@dataclass(frozen=True, slots=True)
class Group:
    """One control group: a folder in each of the machine's hierarchies, or in the only one."""

    folders: tuple[Path, ...]
    unified: bool

    @property
    def loop(self) -> tuple[Path, ...]:
        """Where the loop that powers a host lives: v2 allows no process beside child groups."""
        return tuple(folder / "loop" for folder in self.folders) if self.unified else self.folders

    @property
    def box(self) -> tuple[Path, ...]:
        """Where the host's own processes live."""
        return tuple(folder / "box" for folder in self.folders) if self.unified else self.folders

    def make(self) -> None:
        """Create the group; nothing happens if it is there."""
        for folder in self.folders:
            _make(folder, unified=self.unified)
        if self.unified:
            for leaf in (*self.loop, *self.box):
                leaf.mkdir(exist_ok=True)

    def pids(self) -> set[int]:
        """Return the processes of the group and of all groups below it: they are in the first hierarchy, too."""
        return {pid for group in _below(self.folders[0]) for pid in _procs(group)}

    def kill(self, *, within: float = 10.0) -> None:
        """End every process; LabError if one outlives SIGKILL."""
        deadline = time.monotonic() + within
        while pids := self.pids():
            for pid in pids:
                _kill(pid)
            self.thaw()
            if time.monotonic() > deadline:
                raise LabError(f"processes outlive SIGKILL: {', '.join(map(str, sorted(pids)))}")
            time.sleep(0.01)

    def freeze(self, *, within: float = 5.0) -> None:
        """Stop every process where it stands; sockets stay open."""
        _write_freezer(self.folders[0], "1", "FROZEN")
        deadline = time.monotonic() + within
        while not self._is_frozen():
            if time.monotonic() > deadline:
                raise LabError(f"the processes of {self.folders[0]} do not freeze")
            time.sleep(0.01)

    def thaw(self) -> None:
        """Let frozen processes go on, those of groups below as well."""
        for group in _below(self.folders[0]):
            _write_freezer(group, "0", "THAWED")

    def remove(self, *, within: float = 5.0) -> None:
        """Remove the group with all groups below it, once its processes are gone."""
        deadline = time.monotonic() + within
        while not all(_remove(folder) for folder in self.folders):
            if time.monotonic() > deadline:
                raise LabError(f"cannot remove the control group {self.folders[0]}: it is still in use")
            time.sleep(0.02)

    def _is_frozen(self) -> bool:
        first = self.folders[0]
        if self.unified:
            return "frozen 1" in (first / "cgroup.events").read_text()
        return (first / "freezer.state").read_text() == "FROZEN\n"


@dataclass(frozen=True, slots=True)
class Tree:
    """The machine's control group hierarchies."""

    roots: tuple[Path, ...]
    unified: bool

    def group(self, *names: str) -> Group:
        """Name a group; it need not exist."""
        return Group(tuple(root.joinpath(*names) for root in self.roots), self.unified)


def detect() -> Tree:
    """Read the hierarchies from the mount table; LabError if systemd could not run in them."""
    legacy: dict[Path, str] = {}
    unified: list[Path] = []
    for mount in mounts():
        if mount.kind == "cgroup":
            legacy.setdefault(mount.point, mount.options)
        elif mount.kind == "cgroup2":
            unified.append(mount.point)
    if not legacy and unified:
        return Tree((unified[0],), unified=True)
    offered = {option for options in legacy.values() for option in options.split(",")}
    if {"name=systemd", "freezer"} <= offered:
        # The freezer's hierarchy comes first: it is flat, because no systemd makes groups in it.
        flat_first = sorted(legacy, key=lambda point: "freezer" not in legacy[point].split(","))
        return Tree((*flat_first, *unified), unified=False)
    raise LabError(
        "this machine's control groups cannot carry hosts",
        hint="mount cgroup2, or the name=systemd and freezer hierarchies",
    )


def _make(folder: Path, *, unified: bool) -> None:
    """Make a group and those above it; each step is right even if another thread, or a crash, left it half done."""
    for group in reversed([folder, *folder.parents]):
        if not (group.parent / "cgroup.procs").exists():
            continue  # the hierarchy's root, or above it
        if unified:
            _delegate(group.parent)
        group.mkdir(exist_ok=True)
        _fill_cpuset(group)
    if unified:
        _delegate(folder)


def _delegate(group: Path) -> None:
    """Hand the controllers down (v2)."""
    offered = (group / "cgroup.controllers").read_text().split()
    wanted = " ".join(f"+{name}" for name in _CONTROLLERS if name in offered)
    if wanted:
        (group / "cgroup.subtree_control").write_text(wanted)


def _fill_cpuset(group: Path) -> None:
    """Give a new v1 cpuset its parent's processors: an empty one takes no process."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (group / name).exists() and not (group / name).read_text().strip():
            (group / name).write_text((group.parent / name).read_text())


def _write_freezer(group: Path, unified: str, legacy: str) -> None:
    for name, word in (("cgroup.freeze", unified), ("freezer.state", legacy)):
        if (group / name).exists():
            (group / name).write_text(word)


def _below(folder: Path) -> list[Path]:
    return [Path(path) for path, _, _ in os.walk(folder)]


def _procs(group: Path) -> list[int]:
    try:
        return [int(word) for word in (group / "cgroup.procs").read_text().split()]
    except OSError:  # the group went away between the walk and the read
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _remove(folder: Path) -> bool:
    for path in reversed(_below(folder)):
        try:
            path.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True
