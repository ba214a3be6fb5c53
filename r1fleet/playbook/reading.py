"""What all readers of a playbook share: where to look, what went wrong, and how deep we are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from r1fleet.errors import FleetError, PlaybookError, Where
from r1fleet.inventory.source import load_yaml
from r1fleet.packaged import packaged
from r1fleet.playbook.library import Library
from r1fleet.playbook.model import RoleUse, Settings, Task
from r1fleet.playbook.problems import Problems
from r1fleet.playbook.scope import Scope
from r1fleet.playbook.templating import render, render_lazy


@dataclass(frozen=True, slots=True)
class Search:
    """Where roles and playbooks are looked up besides the playbook's own folder."""

    folders: tuple[Path, ...] = ()

    @classmethod
    def beside(cls, inventory: Path | None) -> Search:
        """Look beside the inventory's parent folder, then in the working directory, then in the package."""
        near = (inventory.resolve().parent.parent,) if inventory is not None else ()
        return cls((*near, Path.cwd()))

    def playbook(self, name: str) -> Path | None:
        """Find a playbook by path or name."""
        places = [
            Path(name),
            *(folder / part / name for folder in self.folders for part in ("", "playbooks")),
            packaged("playbooks") / name,
        ]
        return next((place for place in places if place.is_file()), None)

    def role_folders(self, playbook_dir: Path) -> list[Path]:
        """Return the folders that may hold roles, nearest first."""
        return [playbook_dir / "roles", playbook_dir, *(folder / "roles" for folder in self.folders), packaged("roles")]


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads one play's parts; every part gets what surrounds it handed down."""

    search: Search
    problems: Problems
    playbook_dir: Path
    extra_vars: Mapping[str, Any] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    role: RoleUse | None = None
    folder: Path = field(default_factory=Path)
    stack: tuple[Path, ...] = ()  # files of tasks that import one another, to tell cycles
    chain: tuple[tuple[Path, str], ...] = ()  # roles that name one another, and their files, likewise
    depth: int = 0  # of dynamic includes around, which may well include themselves until a condition ends it
    handlers: list[Task] = field(default_factory=list)  # those of imported roles, found on the way
    uses: list[RoleUse] = field(default_factory=list)
    named: list[str] = field(default_factory=list)  # roles that the play itself names, each time it does
    checked: set[Path] = field(default_factory=set)  # dynamic includes that were read once, for their problems
    in_handlers: bool = False
    params: Mapping[str, Any] = field(default_factory=dict)  # what dynamic includes around passed in
    once: set[str] = field(default_factory=set)  # uses of roles that need not run again
    library: Library = field(default_factory=Library)  # the user's own modules, found on the way

    def inside(self, **changes: Any) -> Reader:
        """Return a reader for what lies inside."""
        return replace(self, **changes)

    def load(self, path: Path) -> Any:
        """Read a YAML file, or note the problem and return None."""
        try:
            return load_yaml(path, "playbook")
        except FleetError as error:
            self.problems.take(error)
            return None

    def static(self, value: Any) -> Any:
        """Render a value that must be known before any host is touched."""
        role = self.role
        layers: list[Mapping[str, Any]] = [self.extra_vars, *reversed(self.settings.vars)]
        layers.append(
            {
                "playbook_dir": str(self.playbook_dir),
                "role_path": str(role.path) if role else "",
                "role_name": role.name if role else "",
            }
        )
        if role is not None:
            layers += [role.params, role.given, role.vars, role.defaults]
        return render(value, Scope(layers, render_lazy))

    def find(self, name: str, kind: str, where: Where) -> Path | None:
        """Find a file that a task names: beside the task's file, in the role, then beside the playbook."""
        bases = [self.folder]
        if self.role is not None:
            bases += [self.role.path / kind, self.role.path]
        bases += [self.playbook_dir / kind, self.playbook_dir]
        found = next((base / name for base in bases if (base / name).is_file()), None)
        if found is None:
            hint = f"looked in {', '.join(dict.fromkeys(map(str, bases)))}"
            self.problems.take(PlaybookError(f"file {name!r} not found", where=where, hint=hint))
        return found.resolve() if found else None
