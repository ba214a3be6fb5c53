"""Reads playbooks: plays in order, everything checked before any host is touched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from r1fleet.errors import PlaybookError, Where
from r1fleet.inventory.source import Block as Written
from r1fleet.inventory.source import Text, where_of
from r1fleet.playbook import keywords
from r1fleet.playbook.check import check_values
from r1fleet.playbook.inherit import as_tuple, handed_down
from r1fleet.playbook.lazy import has_template
from r1fleet.playbook.library import FOLDER
from r1fleet.playbook.model import Node, Play, Playbook, Settings, Task
from r1fleet.playbook.nodes import flat, read_nodes, read_role_item
from r1fleet.playbook.problems import Problems
from r1fleet.playbook.reading import Reader, Search

_STRATEGIES = frozenset({"linear", "free", "ansible.builtin.linear", "ansible.builtin.free"})
_ORDERS = frozenset({"inventory", "sorted", "reverse_sorted", "reverse_inventory", "shuffle"})


def read_playbook(path: Path, search: Search, extra_vars: Mapping[str, Any]) -> Playbook:
    """Read a playbook with all it names; raise one error that holds every problem."""
    if not path.is_file():
        raise PlaybookError(
            f"no such playbook: {path}", hint="give the path of a YAML file, or the name of one in playbooks/"
        )
    problems = Problems()
    path = path.resolve()
    reader = Reader(search, problems, path.parent, extra_vars, folder=path.parent)
    plays = tuple(_plays(reader, path, ()))
    problems.raise_all()
    return Playbook(path, plays, reader.library.seal())


def _plays(reader: Reader, path: Path, stack: tuple[Path, ...]) -> Iterator[Play]:
    with reader.problems.catch():
        reader.library.add(path.parent / FOLDER)
    written = reader.load(path)
    if written is None:
        if not reader.problems:
            reader.problems.add("this playbook is empty", Where(str(path), 1))
        return
    if not isinstance(written, list):
        hint = "begin with `- hosts: ...`"
        reader.problems.add("a playbook is a list of plays", where_of(written, Where(str(path), 1)), hint=hint)
        return
    for item in written:
        if not isinstance(item, Written):
            reader.problems.add(
                "a play is a mapping", where_of(item, Where(str(path), 1)), hint="begin with `- hosts: ...`"
            )
        elif any(str(key).endswith("import_playbook") for key in item):
            yield from _imported(reader, item, (*stack, path))
        else:
            play = _play(reader, item)
            if play is not None:
                yield play


def _imported(reader: Reader, item: Written, stack: tuple[Path, ...]) -> Iterator[Play]:
    keywords.check_keywords(item, keywords.IMPORT_PLAYBOOK, "import_playbook", reader.problems)
    key = next(key for key in item if str(key).endswith("import_playbook"))
    settings = handed_down(
        reader.settings, {name: item[name] for name in ("tags", "when", "vars") if name in item}, reader.problems
    )
    with reader.problems.catch():
        name = str(reader.inside(settings=settings).static(item[key]))
        path = (reader.playbook_dir / name).resolve()
        if path in stack:
            chain = " -> ".join(each.name for each in (*stack, path))
            raise PlaybookError(f"import cycle: {chain}", where=item.at(key))
        if not path.is_file():
            raise PlaybookError(f"no such playbook: {name}", where=item.at(key))
        inside = reader.inside(playbook_dir=path.parent, settings=settings, folder=path.parent, checked=set())
        yield from _plays(inside, path, stack)


def _play(reader: Reader, item: Written) -> Play | None:
    problems = reader.problems
    variables = check_play(item, problems)
    if variables is None:
        return None
    written = {key: value for key, value in item.items() if key != "vars"}
    settings = handed_down(reader.settings, written, problems)
    inside = reader.inside(settings=settings, handlers=[], uses=[], named=[], once=set())
    static = inside.inside(extra_vars={**variables, **reader.extra_vars})
    return _with_sections(static, item, settings, variables)


def check_play(item: Written, problems: Problems) -> Mapping[str, Any] | None:
    """Check a play's own keywords and return its variables; None where it has no hosts."""
    keywords.check_keywords(item, keywords.PLAY, "play", problems)
    if not item.get("hosts"):
        problems.add("a play needs `hosts`", item.where, hint="name a group or host, or `hosts: all`")
        return None
    _check_choices(item, problems)
    return _play_vars(item, problems)


def _with_sections(reader: Reader, item: Written, settings: Settings, variables: Mapping[str, Any]) -> Play:
    pre = read_nodes(reader, item.get("pre_tasks"), item.at("pre_tasks"))
    role_handlers, roles = _roles(reader, item)
    tasks = read_nodes(reader, item.get("tasks"), item.at("tasks"))
    post = read_nodes(reader, item.get("post_tasks"), item.at("post_tasks"))
    handlers = flat(read_nodes(reader.inside(in_handlers=True), item.get("handlers"), item.at("handlers")))
    return Play(
        name=str(item.get("name") or item["hosts"]),
        hosts=item["hosts"],
        where=item.where,
        folder=reader.playbook_dir,
        settings=settings,
        vars=variables,
        vars_files=as_tuple(item.get("vars_files")),
        prompts=tuple(prompt for prompt in as_tuple(item.get("vars_prompt")) if isinstance(prompt, Mapping)),
        keywords=dict(item),
        sections=(pre, (*roles, *tasks), post),
        handlers=(*role_handlers, *handlers, *reader.handlers),
        uses=tuple(reader.uses),
        named=tuple(reader.named),
    )


def _roles(reader: Reader, item: Written) -> tuple[tuple[Task, ...], tuple[Node, ...]]:
    """Read the roles, in their order, with what they depend on."""
    nodes: list[Node] = []
    handlers: list[Task] = []
    for written in as_tuple(item.get("roles")):
        role = read_role_item(reader, written, where_of(written, item.at("roles")))
        if role is None:
            continue
        nodes.extend(role.body)
        handlers.extend(role.handlers)
        reader.uses.extend(role.uses)
    return tuple(handlers), tuple(nodes)


def _play_vars(item: Written, problems: Problems) -> Mapping[str, Any]:
    value = item.get("vars")
    if value is None:
        return {}
    if isinstance(value, Written):
        check_values(value, problems)
        return value
    problems.add("`vars` takes a mapping", item.at("vars"))
    return {}


def _check_choices(item: Written, problems: Problems) -> None:
    for name, allowed in (("strategy", _STRATEGIES), ("order", _ORDERS)):
        value = item.get(name)
        if isinstance(value, Text) and not has_template(value) and value not in allowed:
            hint = f"one of {', '.join(sorted(choice for choice in allowed if '.' not in choice))}"
            problems.add(f"{name} {str(value)!r} is not supported", item.at(name), hint=hint)
