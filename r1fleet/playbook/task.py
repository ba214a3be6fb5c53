"""Reads one task: its action, its arguments in every spelling, its loop."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from keyword import kwlist
from typing import Any

from r1fleet.errors import FleetError, PlaybookError, Where
from r1fleet.inventory.source import Block as Written
from r1fleet.inventory.source import Text, where_of
from r1fleet.playbook import catalogue, keywords
from r1fleet.playbook.compiling import is_lone
from r1fleet.playbook.inherit import as_tuple, handed_down
from r1fleet.playbook.instead import instead_of, is_foreign
from r1fleet.playbook.kinds import check_kinds, described
from r1fleet.playbook.lazy import is_template
from r1fleet.playbook.lookups import LOOKUPS
from r1fleet.playbook.model import Loop, Task
from r1fleet.playbook.pairs import parse_pairs
from r1fleet.playbook.reading import Reader

_BESIDE_BLOCK = frozenset({"rescue", "always"})
_LONE = re.compile(r"^\s*\{\{.*\}\}\s*$", re.DOTALL)
_RESERVED = frozenset(word.lower() for word in kwlist)
_NAME = re.compile(r"^[A-Za-z_]\w*$")


def read_task(reader: Reader, written: Written) -> Task | None:
    """Read a task; None where it is too wrong to go on with."""
    found = None
    with reader.problems.catch():
        found = _action(reader, written)
    if found is None:
        return None
    name, value, where = found
    known = reader.library.find(name)
    if known is None:
        return None
    try:
        args = _arguments(known, value, written, where)
    except FleetError as error:
        reader.problems.take(error)
        return None
    if args.get("_action") == "end_role" and reader.role is None:
        reader.problems.add("`meta: end_role` stands outside of any role", where, hint="end_host ends the play there")
    settings = handed_down(reader.settings, written, reader.problems)
    if "local_action" in written:
        settings = handed_down(settings, {"delegate_to": "localhost"}, reader.problems)
    return Task(
        name=written.get("name") or "",
        action=known.name,
        args=args,
        settings=settings,
        where=written.where,
        folder=reader.folder,
        role=reader.role,
        loop=_loop(reader, written),
        register=_register(reader, written),
        until=as_tuple(written.get("until")),
        retries=written.get("retries"),
        delay=written.get("delay", 5),
        limit=_limit(reader, known, written),
        poll=written.get("poll", 10),
        given=_given(known, value, written),
        changed_when=as_tuple(written.get("changed_when")),
        failed_when=as_tuple(written.get("failed_when")),
        listen=tuple(map(str, as_tuple(written.get("listen")))),
        depth=reader.depth,
        params=reader.params,
        outer=reader.settings,
        written=name,
        own=known if catalogue.find(name) is None else None,
    )


def _action(reader: Reader, written: Written) -> tuple[str, Any, Where] | None:
    """Find which key is the action; report every other key that is no keyword."""
    allowed = keywords.HANDLER if reader.in_handlers else keywords.TASK
    actions = [key for key in written if key in {"action", "local_action"} or is_known(reader, written, key)]
    strange = [key for key in written if key not in allowed and key not in actions and not str(key).startswith("with_")]
    if not actions:
        _no_action(reader, written, strange)
        return None
    for key in strange:
        hint = _of_module(reader, actions, key) if key not in keywords.REFUSED else None
        keywords.report_keyword(str(key), allowed, "task", reader.problems, written.at(key), hint=hint)
    check_kinds(written, allowed, reader.problems)
    if len(actions) > 1:
        both = ", ".join(map(str, actions))
        reader.problems.add(f"a task has one action, this one has {len(actions)}: {both}", written.at(actions[1]))
        return None
    key = actions[0]
    if key in {"action", "local_action"}:
        return _spelled_out(reader, written[key], written.at(key))
    return str(key), written[key], written.at(key)


def _of_module(reader: Reader, actions: list[Any], key: Any) -> str | None:
    """Return a hint where a strange key is an argument of the task's module, at the wrong indentation."""
    for action in actions:
        known = reader.library.find(str(action))
        rows = known.spec.arguments if known is not None else {}
        if key in rows or any(key in (row.get("aliases") or ()) for row in rows.values()):
            return f"{key!r} is an argument of {action}: indent it below `{action}:`"
    return None


def is_known(reader: Reader, written: Written, key: Any) -> bool:
    """Tell whether a key names a module; raise PlaybookError where the user's own of that name cannot be used."""
    try:
        return reader.library.find(str(key)) is not None
    except PlaybookError as error:
        raise PlaybookError(f"{error.where}: {error.what}", where=written.at(key), hint=error.hint) from error


def _no_action(reader: Reader, written: Written, strange: list[Any]) -> None:
    if not strange:
        reader.problems.add(
            f"this task has no action{_of_task(written)}",
            written.where,
            hint="name a module, such as `package:` or `template:`",
        )
        return
    for key in strange:
        name = str(key)
        if name in _BESIDE_BLOCK:
            hint = "write it at the same indentation as the `block` that it belongs to"
            reader.problems.add(f"`{name}` stands without a `block`", written.at(key), hint=hint)
            continue
        if name in keywords.REFUSED:
            keywords.report_keyword(name, (), "task", reader.problems, written.at(key))
            continue
        hint = _hint(reader, name, keywords.TASK)
        reader.problems.add(f"unknown module {name!r}{_of_task(written)}", written.at(key), hint=hint)


def _hint(reader: Reader, name: str, others: Iterable[str] = ()) -> str:
    """Return the nearest name of a module, or of something else that may stand there, else what to use instead."""
    if is_foreign(name):
        return instead_of(name)
    near = keywords.nearest(catalogue.short_name(name), reader.library.names()) or keywords.nearest(name, others)
    return near or instead_of(name)


def _of_task(written: Written) -> str:
    return f' in task "{written["name"]}"' if written.get("name") else ""


def _spelled_out(reader: Reader, value: Any, where: Where) -> tuple[str, Any, Where] | None:
    """Read ``action: name arguments`` or ``action: {module: name, ...}``."""
    if isinstance(value, Mapping) and "module" in value:
        rest = Written(where, {key: part for key, part in value.items() if key != "module"})
        name, args = str(value["module"]), rest
    elif isinstance(value, Text) and value.strip():
        name, _, line = value.strip().partition(" ")
        args = Text(line.strip(), value.where)  # type: ignore[assignment]
    else:
        reader.problems.add("an action is `name arguments` or a mapping with `module`", where)
        return None
    if not is_known(reader, Written(where), name):
        reader.problems.add(f"unknown module {name!r}", where, hint=_hint(reader, name))
        return None
    return name, args, where


def _arguments(known: catalogue.Known, value: Any, written: Written, where: Where) -> dict[str, Any]:
    extra = written.get("args")
    if extra is not None and not isinstance(extra, Mapping) and not is_template(extra):
        raise PlaybookError("`args` takes a mapping", where=written.at("args"), hint="write the arguments out")
    args: dict[str, Any] = dict(extra if isinstance(extra, Mapping) else {})
    if value is None or _is_given(known, value):
        return args
    if isinstance(value, Mapping):
        return {**args, **value}
    if isinstance(value, str) and not isinstance(value, Text):
        value = Text(value, where)
    if isinstance(value, (int, float)) and known.free_form:
        value = Text(str(value), where)
    if isinstance(value, list) and known.name in {"command"}:
        return {**args, "argv": value}
    if not isinstance(value, Text):
        raise PlaybookError(
            f"the arguments of {known.name} are a mapping or a line of text, not {described(value)}", where=where
        )
    return {**args, **_from_line(known, value)}


def _given(known: catalogue.Known, value: Any, written: Written) -> Any:
    """Return the template that stands for all arguments, in ``args`` or in the action's place."""
    extra = written.get("args")
    if is_template(extra):
        return extra
    return value if _is_given(known, value) else None


def _is_given(known: catalogue.Known, value: Any) -> bool:
    return known.free_form is None and is_template(value) and bool(_LONE.match(value)) and is_lone(value)


def _limit(reader: Reader, known: catalogue.Known, written: Written) -> Any:
    """Return the value of ``async``; what the controller does itself cannot go on without it."""
    limit = written.get("async")
    if limit and not known.on_host:
        reader.problems.add(f"{known.name} does not support async", written.at("async"), hint="modules of hosts do")
    return limit


def _from_line(known: catalogue.Known, line: Text) -> dict[str, Any]:
    pairs, free = parse_pairs(line, catalogue.free_options(known))
    if not free:
        return dict(pairs)
    if known.free_form is None:
        raise PlaybookError(
            f"{known.name} takes `name=value` arguments, not {str(free)!r}", where=line.where, hint="write a mapping"
        )
    # A shell is given its text with the new line at its end, as Ansible does.
    end = line[len(line.rstrip("\n")) :] if known.name == "shell" else ""
    return {**pairs, known.free_form: Text(free + end, line.where)}


def _register(reader: Reader, written: Written) -> str | None:
    name = written.get("register")
    if name is None:
        return None
    if not isinstance(name, str) or not _NAME.match(name) or name.lower() in _RESERVED:
        reader.problems.add(f"`register` takes the name of a variable, not {name!r}", written.at("register"))
        return None
    return str(name)


def _loop(reader: Reader, written: Written) -> Loop | None:
    kinds = [key for key in written if key == "loop" or str(key).startswith("with_")]
    control = _loop_control(reader, written)
    if not kinds:
        return None
    if len(kinds) > 1:
        reader.problems.add(f"a task has one loop, this one has {' and '.join(map(str, kinds))}", written.at(kinds[1]))
    key = str(kinds[0])
    kind = key.removeprefix("with_").rpartition(".")[2]
    if key in keywords.REFUSED or (key != "loop" and kind not in LOOKUPS):
        reader.problems.add(
            f"loop {key!r} is not supported", written.at(key), hint=keywords.REFUSED.get(key) or _nearest_loop(kind)
        )
        return None
    return Loop(
        kind=kind,
        value=written[key],
        where=where_of(written[key], written.at(key)),
        var=control.get("loop_var", "item"),
        index_var=control.get("index_var"),
        label=control.get("label"),
        pause=control.get("pause", 0),
        extended=control.get("extended", False),
        extended_allitems=control.get("extended_allitems", True),
        break_when=as_tuple(control.get("break_when")),
    )


def _nearest_loop(kind: str) -> str | None:
    return keywords.nearest(f"with_{kind}", [f"with_{name}" for name in LOOKUPS])


def _loop_control(reader: Reader, written: Written) -> Mapping[Any, Any]:
    control = written.get("loop_control")
    if control is None:
        return {}
    if not isinstance(control, Written):
        reader.problems.add("`loop_control` takes a mapping", written.at("loop_control"))
        return {}
    keywords.check_keywords(control, keywords.LOOP_CONTROL, "loop_control", reader.problems)
    return control
