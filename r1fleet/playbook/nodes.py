"""Reads lists of tasks: blocks, imported files, roles with their dependencies."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from r1fleet.errors import FleetError, Where
from r1fleet.inventory import vault
from r1fleet.inventory.source import Block as Written
from r1fleet.inventory.source import Text, read_text, where_of
from r1fleet.playbook import keywords, rolefiles
from r1fleet.playbook.check import check_nodes, check_template
from r1fleet.playbook.compiling import parse_text
from r1fleet.playbook.inherit import handed_down
from r1fleet.playbook.kinds import check_kinds, described
from r1fleet.playbook.lazy import has_template
from r1fleet.playbook.library import FOLDER
from r1fleet.playbook.model import Block, Node, RoleTasks, RoleUse, Task
from r1fleet.playbook.reading import Reader
from r1fleet.playbook.task import read_task

AS_LIST = "begin each task with `- `"
_DEEPEST = 60
_turns = itertools.count()


def read_nodes(reader: Reader, written: Any, where: Where) -> tuple[Node, ...]:
    """Read a list of tasks and blocks."""
    if written is None:
        return ()
    if not isinstance(written, list):
        reader.problems.add(f"tasks are a list, not {described(written)}", where_of(written, where), hint=AS_LIST)
        return ()
    nodes: list[Node] = []
    for item in written:
        nodes.extend(_read_node(reader, item, where_of(item, where)))
    return tuple(nodes)


def read_file(reader: Reader, path: Path, where: Where) -> tuple[Node, ...]:
    """Read a file of tasks."""
    if path in reader.stack or len(reader.stack) > _DEEPEST:
        chain = " -> ".join(each.name for each in (*reader.stack, path))
        reader.problems.add(f"import cycle: {chain}", where, hint="use include_tasks with a condition that ends it")
        return ()
    inside = reader.inside(folder=path.parent, stack=(*reader.stack, path))
    return read_nodes(inside, reader.load(path), Where(str(path), 1))


def flat(nodes: tuple[Node, ...]) -> tuple[Task, ...]:
    """Return the tasks of handlers, blocks opened."""
    return tuple(task for node in nodes for task in (flat(node.body) if isinstance(node, Block) else (node,)))


def _read_node(reader: Reader, item: Any, where: Where) -> tuple[Node, ...]:
    if not isinstance(item, Written):
        reader.problems.add(f"a task is a mapping, not {described(item)}", where)
        return ()
    if "block" in item:
        return (_read_block(reader, item),)
    task = read_task(reader, item)
    if task is None:
        return ()
    if task.action == "import_tasks":
        return _import_tasks(reader, task)
    if task.action == "import_role":
        return _import_role(reader, task)
    check_nodes((task,), reader.problems)
    if task.action in {"include_tasks", "include_role"}:
        _look_ahead(reader, task)
    if task.action == "template":
        _check_template(reader, task)
    return (task,)


def _read_block(reader: Reader, item: Written) -> Block:
    keywords.check_keywords(item, keywords.BLOCK, "block", reader.problems)
    inside = reader.inside(settings=handed_down(reader.settings, item, reader.problems))
    body, rescue, always = (read_nodes(inside, item.get(part), item.at(part)) for part in ("block", "rescue", "always"))
    return Block(body, rescue, always, inside.settings, item.where)


def _import_tasks(reader: Reader, task: Task) -> tuple[Node, ...]:
    if task.loop is not None:
        reader.problems.add("import_tasks cannot loop", task.where, hint="use include_tasks")
        return ()
    path = _named_file(reader, task)
    if path is None:
        return ()
    body = read_file(reader.inside(settings=task.settings), path, task.where)
    return (Block(body, settings=task.settings, where=task.where),)


def _named_file(reader: Reader, task: Task) -> Path | None:
    try:
        name = str(reader.inside(settings=task.settings).static(task.args.get("file", "")))
    except FleetError as error:
        reader.problems.take(error)
        return None
    return reader.find(name, "tasks", task.where) if name else None


def _import_role(reader: Reader, task: Task) -> tuple[Node, ...]:
    if task.loop is not None:
        reader.problems.add("import_role cannot loop", task.where, hint="use include_role")
        return ()
    with reader.problems.catch():
        args = reader.static(dict(task.args))
        role = read_role(reader.inside(settings=task.settings), args, task.where)
        reader.handlers.extend(role.handlers)
        if args.get("public", True):
            reader.uses.extend(role.uses)
            reader.named.append(role.use.name)
        return (Block(role.body, settings=task.settings, where=task.where),)
    return ()


def read_role(reader: Reader, args: Mapping[str, Any], where: Where, given: RoleUse | None = None) -> RoleTasks:
    """Read a role by ``name``, from the files that ``tasks_from`` and its likes choose, with its dependencies."""
    name = str(args.get("name") or args.get("role") or "")
    path = rolefiles.locate(reader, name, where)
    parents = (*reader.role.parents, reader.role) if reader.role else ()
    given = given or RoleUse(path.name, path)
    reader.library.add(path / FOLDER)
    use = _use(reader, path, args, where, replace(given, name=path.name, path=path, parents=parents))
    about = rolefiles.meta(reader, path)
    entry = (path, str(args.get("tasks_from") or "main"))
    inside = reader.inside(role=use, folder=path / "tasks", stack=(), chain=(*reader.chain, entry))
    if entry in reader.chain:
        chain = " -> ".join(each.name for each, _ in inside.chain)
        reader.problems.add(f"role cycle: {chain}", where, hint="use include_role with a condition that ends it")
        return RoleTasks(use, (), (), ())
    earlier = [read_role_item(inside, item, where_of(item, where)) for item in about.dependencies]
    done = [role for role in earlier if role is not None]
    dependencies = tuple(each for role in done for each in role.uses)
    use = replace(use, dependencies=dependencies)
    inside = inside.inside(role=use)
    stem = str(args.get("tasks_from") or "main")
    body = (
        *_validation(inside, about, stem, args),
        *_entry(inside, "tasks", stem, where, required="tasks_from" in args),
    )
    stem = str(args.get("handlers_from") or "main")
    handlers = _entry(inside.inside(in_handlers=True), "handlers", stem, where, required="handlers_from" in args)
    return RoleTasks(
        use,
        (*(node for role in done for node in role.body), *body),
        (*(handler for role in done for handler in role.handlers), *flat(handlers)),
        (*dependencies, use),
    )


def _use(reader: Reader, path: Path, args: Mapping[str, Any], where: Where, use: RoleUse) -> RoleUse:
    defaults = rolefiles.variables(
        reader, path / "defaults", str(args.get("defaults_from") or "main"), where, required="defaults_from" in args
    )
    found = rolefiles.variables(
        reader, path / "vars", str(args.get("vars_from") or "main"), where, required="vars_from" in args
    )
    return replace(use, defaults=defaults, vars=found)


def _entry(reader: Reader, kind: str, stem: str, where: Where, *, required: bool) -> tuple[Node, ...]:
    assert reader.role is not None
    folder = reader.role.path / kind
    path = rolefiles.entry(folder, stem)
    if path is None:
        if required:
            there = ", ".join(sorted(each.stem for each in folder.glob("*") if each.is_file()))
            hint = f"in {folder}: {there}" if there else f"{folder} holds no files"
            reader.problems.add(f"role {reader.role.name!r} has no {kind}/{stem}", where, hint=hint)
        return ()
    return read_file(reader.inside(folder=folder), path.resolve(), where)


def read_role_item(reader: Reader, item: Any, where: Where) -> RoleTasks | None:
    """Read one entry of ``roles`` or of a role's dependencies; None where it is wrong.

    The same entry may come again; a host runs it once in a play, unless the role allows duplicates.
    """
    if isinstance(item, str):
        item = Written(where, {"role": item})
    if not isinstance(item, Written) or not (item.get("role") or item.get("name")):
        reader.problems.add("a role is a name or a mapping with `role`", where)
        return None
    check_kinds(item, keywords.ROLE, reader.problems)
    for key in item:
        if key not in keywords.ROLE and key in (keywords.REFUSED | dict.fromkeys(keywords.HANDLER | keywords.PLAY)):
            keywords.report_keyword(str(key), keywords.ROLE, "role", reader.problems, item.at(key))
    params = {str(key): value for key, value in item.items() if key not in keywords.ROLE}
    written = {key: value for key, value in item.items() if key != "vars"}
    settings = handed_down(reader.settings, written, reader.problems)
    with reader.problems.catch():
        name = reader.static(item.get("role") or item.get("name"))
        given = item.get("vars") or {}
        path = rolefiles.locate(reader, str(name), where)
        own = {key: value for key, value in item.items() if key in keywords.ROLE - {"role", "name", "vars"}}
        use = "" if rolefiles.meta(reader, path).allow_duplicates else repr((path, given, params, own))
        turn = (use, next(_turns)) if use else None
        role = read_role(
            reader.inside(settings=settings),
            {"name": name},
            where,
            RoleUse("", Path(), given=given, params=params, turn=turn),
        )
        if reader.role is None:
            reader.named.append(role.use.name)
        again = use in reader.once
        reader.once.add(use)
        return replace(role, handlers=()) if use and again else role
    return None


def _validation(reader: Reader, about: rolefiles.Meta, stem: str, args: Mapping[str, Any]) -> tuple[Node, ...]:
    spec = (about.argument_specs or {}).get(stem)
    if not isinstance(spec, Mapping) or args.get("rolespec_validate") is False or reader.role is None:
        return ()
    about_it = f" - {spec['short_description']}" if spec.get("short_description") else ""
    where = where_of(spec, Where(str(reader.role.path)))
    role = reader.role
    context = {"type": "role", "name": role.name, "argument_spec_name": stem, "path": str(role.path)}
    options = {"argument_spec": spec.get("options") or {}, "validate_args_context": context}
    settings = replace(reader.settings, tags=(*reader.settings.tags, "always"))
    title = f"Validating arguments against arg spec '{stem}'{about_it}"
    return (
        Task(
            title,
            "validate_argument_spec",
            options,
            settings,
            where,
            reader.role.path,
            reader.role,
            params=reader.params,
        ),
    )


def _check_template(reader: Reader, task: Task) -> None:
    """Check the syntax of a template file whose name is known already and whose marks are the usual ones."""
    source = task.args.get("src")
    if not isinstance(source, Text) or has_template(source) or any(str(name).endswith("_string") for name in task.args):
        return
    bases = [reader.folder, reader.playbook_dir / "templates", reader.playbook_dir]
    if reader.role is not None:
        bases = [reader.role.path / "templates", reader.role.path, *bases]
    path = next((base / source for base in bases if (base / source).is_file()), None)
    if path is None:
        hint = f"looked in {', '.join(dict.fromkeys(map(str, bases)))}"
        reader.problems.add(f"template {str(source)!r} not found", source.where, hint=hint)
        return
    with reader.problems.catch():
        where = Where(str(path), 1)
        text = vault.plain_text(read_text(path, "playbook"), where)
        if not text.startswith("#jinja2:"):  # which may choose other marks
            check_template(Text(text, where), parse_text, reader.problems)


def _look_ahead(reader: Reader, task: Task) -> None:
    """Read what a dynamic include will read, where its name is known already, so that problems show before the run."""
    if any(has_template(task.args.get(name)) for name in ("file", "name", "role", "tasks_from")):
        return
    apart = reader.inside(handlers=[], uses=[], named=[], once=set(), stack=(), chain=())
    if task.action == "include_tasks":
        path = _named_file(apart, task)
        if path is not None and path not in reader.checked:
            reader.checked.add(path)
            read_file(apart, path, task.where)
        return
    name = task.args.get("name") or task.args.get("role")
    if isinstance(name, Text):
        with reader.problems.catch():
            path = rolefiles.locate(reader, str(name), task.where) / "tasks" / str(task.args.get("tasks_from", "main"))
            if path not in reader.checked:
                reader.checked.add(path)
                read_role(apart, task.args, task.where)
