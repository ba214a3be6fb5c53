"""What of roles and playbooks lies outside the subset: file by file, task by task, without running anything."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r1fleet.errors import FleetError, PlaybookError, UsageError, Where
from r1fleet.inventory import vault
from r1fleet.inventory.source import Block as Written
from r1fleet.inventory.source import Text, load_yaml, read_text, where_of
from r1fleet.playbook import keywords, rolefiles
from r1fleet.playbook.catalogue import short_name
from r1fleet.playbook.check import check_task, check_template, check_values
from r1fleet.playbook.compiling import parse_text
from r1fleet.playbook.finding import Found, find
from r1fleet.playbook.finding import role as find_role
from r1fleet.playbook.inherit import as_tuple, handed_down
from r1fleet.playbook.kinds import described
from r1fleet.playbook.lazy import has_template
from r1fleet.playbook.library import FOLDER
from r1fleet.playbook.model import RoleUse, Task
from r1fleet.playbook.nodes import AS_LIST
from r1fleet.playbook.parse import check_play
from r1fleet.playbook.problems import Problems
from r1fleet.playbook.reading import Reader, Search
from r1fleet.playbook.task import is_known, read_task

_KEYWORDS = (keywords.HANDLER | keywords.REFUSED.keys()) - {"action", "local_action"}
_SECTIONS = ("pre_tasks", "tasks", "post_tasks", "handlers")


@dataclass(slots=True)
class Tally:
    """How many tasks there are, whose module is here, and that are inside the subset as a whole."""

    tasks: int = 0
    named: int = 0
    inside: int = 0


@dataclass(slots=True)
class Report:
    """What was found: a tally for each role or playbook, the problems in order, the modules that are missing."""

    parts: dict[str, Tally] = field(default_factory=dict)
    problems: list[FleetError] = field(default_factory=list)
    missing: Counter[str] = field(default_factory=Counter)
    whole: set[str] = field(default_factory=set)  # the parts without any problem
    unread: list[str] = field(default_factory=list)  # what could not be looked at, and why

    @property
    def total(self) -> Tally:
        """All parts together."""
        sums = (sum(getattr(part, name) for part in self.parts.values()) for name in ("tasks", "named", "inside"))
        return Tally(*sums)


def lint(paths: Iterable[Path]) -> Report:
    """Look at roles, playbooks with the roles and files they name, and trees; raise UsageError where there is none."""
    report = Report()
    waiting: deque[Found] = deque()
    for path in paths:
        if not path.exists():
            raise UsageError(f"there is no {path}", hint="give a role, a playbook or a folder of them")
        before = len(waiting)
        waiting.extend(find(path))
        if len(waiting) == before:
            raise UsageError(f"neither a role nor a playbook is in {path}", hint="a role has a folder tasks/")
    seen: set[Path] = set()
    while waiting:
        part = waiting.popleft()
        if part.path.resolve() not in seen:
            seen.add(part.path.resolve())
            waiting.extend(_Linter(report, part).look())
    return report


class _Linter:
    """Looks at one role or playbook."""

    def __init__(self, report: Report, part: Found) -> None:
        self._report = report
        self._part = part
        self._named: list[Found] = []
        self._tally = report.parts.setdefault(str(part.path), Tally())
        self._before = len(report.problems)
        folder = part.path.parent
        problems = Problems()
        role = RoleUse(part.path.name, part.path) if part.path.is_dir() else None
        self._reader = Reader(Search((Path.cwd(),)), problems, folder, role=role, folder=folder)
        for place in (part.path, folder, folder.parent):
            with problems.catch():
                self._reader.library.add(place / FOLDER)
        self._take(problems)

    def look(self) -> list[Found]:
        """Look at every file; return what a playbook names beside itself."""
        for path in self._part.tasks:
            self._nodes(self._reader.inside(in_handlers="handlers" in path.parts), self._load(path), path)
        for path in self._part.plays:
            self._plays(self._load(path), path)
        for path in self._part.variables:
            problems = Problems()
            check_values(self._load(path), problems)
            self._take(problems)
        for path in self._part.templates:
            self._template(path)
        if len(self._report.problems) == self._before:
            self._report.whole.add(str(self._part.path))
        return self._named

    def _load(self, path: Path) -> Any:
        try:
            if vault.is_encrypted(read_text(path, "playbook")):
                self._report.unread.append(f"{path}: encrypted")
                return None
            return load_yaml(path, "playbook")
        except FleetError as error:
            self._report.problems.append(error)
            return None

    def _plays(self, written: Any, path: Path) -> None:
        for item in written if isinstance(written, list) else ():
            problems = Problems()
            if not isinstance(item, Written):
                problems.add("a play is a mapping", where_of(item, Where(str(path), 1)))
            elif "hosts" in item:
                check_play(item, problems)
            else:
                keywords.check_keywords(item, keywords.IMPORT_PLAYBOOK, "import_playbook", problems)
            self._take(problems)
            if isinstance(item, Written):
                self._sections(item, path)

    def _sections(self, item: Written, path: Path) -> None:
        for section in _SECTIONS:
            self._nodes(self._reader.inside(in_handlers=section == "handlers"), item.get(section), path)
        for written in as_tuple(item.get("roles")):
            name = written if isinstance(written, str) else written.get("role") or written.get("name")
            self._name_role(name, where_of(written, item.at("roles")))

    def _nodes(self, reader: Reader, written: Any, path: Path) -> None:
        if written is None:
            return
        if not isinstance(written, list):
            self._report.problems.append(
                UsageError(
                    f"tasks are a list, not {described(written)}",
                    where=where_of(written, Where(str(path), 1)),
                    hint=AS_LIST,
                )
            )
            return
        for item in written:
            if isinstance(item, Written) and "block" in item:
                self._block(reader, item, path)
            else:
                self._task(reader, item, path)

    def _block(self, reader: Reader, item: Written, path: Path) -> None:
        problems = Problems()
        keywords.check_keywords(item, keywords.BLOCK, "block", problems)
        handed_down(reader.settings, item, problems)
        self._take(problems)
        for part in ("block", "rescue", "always"):
            self._nodes(reader, item.get(part), path)

    def _task(self, reader: Reader, item: Any, path: Path) -> None:
        self._tally.tasks += 1
        problems = Problems()
        if not isinstance(item, Written):
            problems.add(f"a task is a mapping, not {described(item)}", where_of(item, Where(str(path), 1)))
        else:
            self._read(reader.inside(problems=problems), item)
        self._tally.inside += not problems
        self._take(problems)

    def _read(self, reader: Reader, item: Written) -> None:
        task = read_task(reader, item)
        if task is not None:
            check_task(task, reader.problems)
            self._follow(reader, task)
        missing = [] if task is not None else list(_unknown_modules(reader, item))
        self._report.missing.update(missing)
        self._tally.named += not missing

    def _follow(self, reader: Reader, task: Task) -> None:
        """Note the files and roles that a playbook's task names."""
        if reader.role is not None:
            return
        if task.action.endswith("_role"):
            self._name_role(task.args.get("name") or task.args.get("role"), task.where)
        if task.action.endswith("_tasks") and not has_template(task.args.get("file")):
            path = reader.folder / str(task.args.get("file"))
            self._named += find(path) if path.is_file() else ()

    def _name_role(self, name: Any, where: Where) -> None:
        try:
            if has_template(name):
                raise PlaybookError(f"role {str(name)!r} is known to the run only", where=where)
            self._named.append(find_role(rolefiles.locate(self._reader, str(name), where)))
        except PlaybookError as error:
            self._report.unread.append(f"{error.where}: {error.what}")

    def _template(self, path: Path) -> None:
        problems = Problems()
        with problems.catch():
            where = Where(str(path), 1)
            text = read_text(path, "playbook")
            if vault.is_encrypted(text):
                self._report.unread.append(f"{path}: encrypted")
                return
            check_template(Text(text, where), parse_text, problems)
        self._take(problems)

    def _take(self, problems: Problems) -> None:
        self._report.problems.extend(problems.found)


def _unknown_modules(reader: Reader, item: Written) -> Iterator[str]:
    """Yield the names in a task that can only be modules and are none of ours."""
    apart = reader.inside(problems=Problems())
    with apart.problems.catch():
        if any(is_known(apart, item, key) for key in item):
            return
    for key in item:
        name = item[key] if key in {"action", "local_action"} else key
        name = name.get("module", "") if isinstance(name, dict) else str(name).split(" ")[0]
        if key not in _KEYWORDS and not str(key).startswith("with_"):
            yield short_name(name)
