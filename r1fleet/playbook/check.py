"""Checks a task before any host is touched: its arguments, and the syntax of every template in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from typing import Any

import jinja2
from jinja2 import nodes

from r1fleet.agent.arguments import Row, Spec, validate
from r1fleet.agent.outcome import ModuleFailed
from r1fleet.errors import Where
from r1fleet.inventory.source import Text
from r1fleet.playbook import catalogue
from r1fleet.playbook.compiling import (
    LOOKUP_CALLS,
    environment,
    is_whole,
    parse_expression,
    parse_text,
    shifted,
    syntax_error,
)
from r1fleet.playbook.keywords import nearest
from r1fleet.playbook.lazy import has_template, is_template
from r1fleet.playbook.lookups import LOOKUPS
from r1fleet.playbook.model import Block, Node, Settings, Task
from r1fleet.playbook.problems import Problems
from r1fleet.playbook.scope import where_of

_SAMPLES = {
    "bool": False,
    "int": 1,
    "float": 1.0,
    "list": [],
    "dict": {},
    "mode": "0644",
    "bytes": "1",
    "jsonarg": "{}",
}
REFUSED_FILTERS = {
    "json_query": "it needs jmespath beside r1fleet: pip install 'r1fleet[jmespath]'; or use `selectattr` and `map`",
    "vault": "only ansible-vault encrypts; encrypted values are read as they are",
    "unvault": "encrypted values and files are read as they are",
    **dict.fromkeys(
        ("hwaddr", "macaddr", "slaac"), "of these filters r1fleet has ipaddr, ipv4, ipv6, ipwrap, ipsubnet, nthhost"
    ),
}
_NO_PLUGINS = "docs/playbooks.md lists those that are here; plugins of roles and collections are not loaded"
_EXPRESSIONS = ("until", "changed_when", "failed_when")


def check_nodes(found: Iterable[Node], problems: Problems) -> None:
    """Check every task among the nodes."""
    for node in found:
        if isinstance(node, Block):
            check_nodes((*node.body, *node.rescue, *node.always), problems)
        else:
            check_task(node, problems)


def check_task(task: Task, problems: Problems) -> None:
    """Check one task."""
    _check_templates(task, problems)
    known = task.own or catalogue.find(task.action)
    if known is not None and not known.any_argument and task.given is None:
        _check_arguments(task, known, problems)


def check_values(value: Any, problems: Problems) -> None:
    """Check the syntax of every template in a value."""
    for text in _texts(value):
        check_template(text, parse_text, problems)


def _check_templates(task: Task, problems: Problems) -> None:
    for value in (task.name, task.args, task.given, task.retries, task.delay, task.limit, task.poll, task.listen):
        check_values(value, problems)
    for name in _EXPRESSIONS:
        _check_expressions(getattr(task, name), problems)
    if task.action == "assert":
        that = task.args.get("that")
        _check_expressions(that if isinstance(that, list) else [that], problems)
    _check_settings(task.settings, problems)
    if task.loop is not None:
        for value in (task.loop.value, task.loop.label, task.loop.pause):
            check_values(value, problems)
        _check_expressions(task.loop.break_when, problems)


def _check_settings(settings: Settings, problems: Problems) -> None:
    for column in fields(settings):
        value = getattr(settings, column.name)
        if column.name == "when":
            _check_expressions(value, problems)
        else:
            check_values(list(value) if isinstance(value, tuple) else value, problems)


def _check_expressions(values: Iterable[Any], problems: Problems) -> None:
    for value in values:
        if isinstance(value, Text):
            check_template(value, parse_text if is_template(value) and is_whole(value) else parse_expression, problems)


def _texts(value: Any) -> Iterator[Text]:
    if isinstance(value, Text):
        if is_template(value):
            yield value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _texts(key)
            yield from _texts(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _texts(part)


def check_template(text: Text, parse: Callable[[str], nodes.Template], problems: Problems) -> None:
    """Check one template's syntax and the names of its filters, tests and lookups."""
    try:
        tree = parse(str(text).strip() if parse is parse_expression else str(text))
    except jinja2.TemplateSyntaxError as error:
        wrong = syntax_error(error, text.where)
        braces = parse is parse_expression and "{{" in text
        hint = "a condition is an expression: write the names of variables without braces" if braces else wrong.hint
        problems.add(wrong.what, wrong.where, hint=hint)
        return
    for line, what, hint in unknown_names(tree):
        problems.add(what, shifted(text.where, line), hint=hint)


def unknown_names(tree: nodes.Template) -> Iterator[tuple[int, str, str]]:
    """Find filters, tests and lookups that do not exist: line, what is wrong, hint."""
    known = environment()
    for used in tree.find_all((nodes.Filter, nodes.Test)):
        table, kind = (known.filters, "filter") if isinstance(used, nodes.Filter) else (known.tests, "test")
        name = _stem(used.name) if used.name not in table else used.name
        if name not in table and name in REFUSED_FILTERS:
            yield used.lineno, f"{kind} {used.name!r} is not supported", REFUSED_FILTERS[name]
        elif name not in table:
            yield used.lineno, f"unknown {kind} {used.name!r}", nearest(name, table) or _NO_PLUGINS
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name in LOOKUP_CALLS and call.args:
            first = call.args[0]
            if isinstance(first, nodes.Const) and str(first.value).rpartition(".")[2] not in LOOKUPS:
                hint = nearest(str(first.value), LOOKUPS) or _NO_PLUGINS
                yield call.lineno, f"unknown lookup {first.value!r}", hint


def _stem(name: str) -> str:
    return catalogue.short_name(name)


def _check_arguments(task: Task, known: catalogue.Known, problems: Problems) -> None:
    """Check names always, and values where no template stands in for them."""
    args = {str(key): value for key, value in task.args.items()}
    try:
        for key in task.args:
            if str(key).startswith("_") and key != known.free_form:
                raise ModuleFailed(f"argument {str(key)!r} is not for playbooks")
        open_values = any(has_template(value) for value in args.values())
        spec = Spec(known.spec.arguments) if open_values else known.spec
        validate(known.name, {name: _stand_in(name, value, known) for name, value in args.items()}, spec)
    except ModuleFailed as error:
        where = next((where_of(key) for key in task.args if str(key) in error.msg and where_of(key)), None)
        title = f' (task "{task.title}")' if task.name else ""
        msg = error.msg.replace(f"value of {known.free_form} must", "it must") if known.free_form else error.msg
        problems.add(f"{known.name}: {msg}{title}", where or _where_of_args(task))


def _stand_in(name: str, value: Any, known: catalogue.Known) -> Any:
    """Return a value of the right type for one that only the run will know."""
    if not has_template(value):
        return str(value) if isinstance(value, Text) else value
    return _sample(_row(name, known))


def _row(name: str, known: catalogue.Known) -> Row:
    for true_name, row in known.spec.arguments.items():
        if name == true_name or name in (row.get("aliases") or ()):
            return row
    return {}


def _sample(row: Row) -> Any:
    """Return a value that passes every check of an argument's row."""
    if row.get("choices"):
        return row["choices"][0]
    return _SAMPLES.get(row.get("type") or "str", "x")


def _where_of_args(task: Task) -> Where:
    return next((found for found in (where_of(key) for key in task.args) if found), task.where)
