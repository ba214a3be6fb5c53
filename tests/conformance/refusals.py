"""Takes tasks that r1fleet refuses out of a role, so that the others can be graded; each counts as not the same.

In their place stand tasks that fail with what r1fleet says of them, for later tasks that look at it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from r1fleet.errors import FleetError
from r1fleet.inventory import load
from r1fleet.playbook import Search, load_playbook
from tests.conformance.transcript import REFUSED

_PLACE = re.compile(r"^\s*(/[^:\n]+):(\d+)(?::\d+)?:? ?(.*)", re.MULTILINE)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NESTED = ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks", "handlers")
_ROUNDS = 12


class NothingLeft(Exception):
    """A playbook is refused for more than its tasks."""


def take_out_refused(playbook: Path, inventory: Path) -> list[str]:
    """Put a stand-in, which fails, in the place of each refused task; return what was said of them."""
    told: list[str] = []
    for _ in range(_ROUNDS):
        try:
            load_playbook(playbook, inventory=load(inventory), search=Search((playbook.parent,)))
        except FleetError as error:
            told.append(str(error))
            problems = _PLACE.findall(str(error))
            found = [_take_out(Path(path), int(line), playbook.parent, said) for path, line, said in problems]
            if not any(found):
                raise NothingLeft(str(error)) from error
        else:
            return told
    raise NothingLeft(told[-1])


def _take_out(path: Path, line: int, folder: Path, said: str) -> bool:
    """Replace the task at a line; where that is no file of tasks, those that name the file."""
    tasks = _tasks(path) if path.suffix in (".yml", ".yaml") else []
    if tasks:
        return _replace(path, [task for task in tasks if _covers(task, line)][-1:], said)
    users = [_take_out_users(found, path.name, said) for found in folder.rglob("*.yml") if "tasks" in found.parts]
    return any(users)


def _take_out_users(path: Path, name: str, said: str) -> bool:
    lines = path.read_text(errors="replace").splitlines()
    found = [
        task
        for task in _tasks(path)
        if not any(key.value in _NESTED for key, _ in task.value)
        and any(name in text for text in lines[task.start_mark.line : _end(task)])
    ]
    return _replace(path, found, said)


def _tasks(path: Path) -> list[yaml.MappingNode]:
    """Return the nodes of a file's tasks and blocks, those inside of others after them."""
    try:
        root = yaml.compose(path.read_text(), Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError):
        return []
    return list(_inside(root))


def _inside(node: yaml.Node | None) -> Iterator[yaml.MappingNode]:
    for task in node.value if isinstance(node, yaml.SequenceNode) else ():
        if isinstance(task, yaml.MappingNode):
            yield task
            for key, value in task.value:
                if key.value in _NESTED:
                    yield from _inside(value)


def _covers(task: yaml.MappingNode, line: int) -> bool:
    return bool(task.start_mark.line < line <= _end(task))


def _end(task: yaml.MappingNode) -> int:
    """Return the line behind a task."""
    mark = task.end_mark
    return int(mark.line if mark.column <= task.start_mark.column else mark.line + 1)


def _replace(path: Path, tasks: list[yaml.MappingNode], said: str) -> bool:
    """Put stand-ins in the place of tasks; all other lines, and the name of a result, stay."""
    lines = path.read_text().splitlines()
    for task in tasks:
        start, end = task.start_mark.line, _end(task)
        head = lines[start][: task.start_mark.column]
        words = json.dumps(said.replace("{", "("))  # no templates
        fields = f"fail: {{msg: {words}}}, ignore_errors: true{_register(task)}"
        stand_in = f'{head}{{name: "{REFUSED}", {fields}}}'
        lines[start:end] = [stand_in, *[""] * (end - start - 1)]
    path.unlink()
    path.write_text("\n".join([*lines, ""]))
    return bool(tasks)


def _register(task: yaml.MappingNode) -> str:
    names = [value.value for key, value in task.value if key.value == "register" and value.value.isidentifier()]
    return f", register: {names[0]}" if names else ""
