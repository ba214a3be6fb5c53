"""Templates over scopes: only text that a user's file wrote is ever a template."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import jinja2
from jinja2.runtime import Context

from r1fleet.errors import FleetError, PlaybookError, Where
from r1fleet.inventory.source import Block, Encrypted, Items, Text
from r1fleet.playbook.compiling import (
    Compiled,
    compile_condition,
    compile_expression,
    compile_text,
    compiled,
    is_whole,
    shifted,
)
from r1fleet.playbook.environment import Missing, text_of
from r1fleet.playbook.filters_text import FilterError
from r1fleet.playbook.keywords import nearest
from r1fleet.playbook.lazy import OMIT, LazyList, LazyMap, has_template, is_template, plain
from r1fleet.playbook.lookups_files import newlines_kept
from r1fleet.playbook.scope import Scope, where_of

_UNDEFINED = re.compile(r"'(\w+)' is undefined$")
COMPUTED = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, OSError, RecursionError)
"""What a template's own operations raise on wrong data."""


class TemplateFailed(PlaybookError):
    """A template could not be rendered with these variables."""


class UndefinedVariable(TemplateFailed):
    """A template needs a variable that is not defined."""


def render(value: Any, scope: Scope) -> Any:
    """Return the plain value of anything that a file wrote; an undefined variable is an error with its position."""
    if isinstance(value, Text):
        if not is_template(value):
            return str(value)
        return _settled(_filled(value, scope), value)
    if isinstance(value, Encrypted):
        return str(value)
    if isinstance(value, (LazyMap, LazyList)):
        return _plain_or_fail(value)
    if isinstance(value, dict):
        pairs = ((render(key, scope), render(part, scope)) for key, part in value.items())
        return {key: part for key, part in pairs if part is not OMIT}
    if isinstance(value, list):
        return [part for part in (render(item, scope) for item in value) if part is not OMIT]
    return _settled(value, value)


def render_lazy(value: Any, scope: Scope) -> Any:
    """Return what a variable is: text rendered, containers rendered where looked at, undefined values as such."""
    if isinstance(value, Text):
        if not is_template(value):
            return value
        try:
            return _filled(value, scope)
        except UndefinedVariable as error:
            missing = Missing(hint=error.what)
            missing.where = error.where
            return missing
    if isinstance(value, Encrypted):
        return str(value)
    if isinstance(value, Block):
        return LazyMap(value, scope, render_lazy) if has_template(value) else value
    if isinstance(value, Items):
        return LazyList(value, scope, render_lazy) if has_template(value) else value
    return value


def render_text(value: Any, scope: Scope) -> str:
    """Return the text of a value."""
    return text_of(render(value, scope))


def render_number(value: Any, scope: Scope, name: str, default: float = 0.0) -> float:
    """Return the number that a keyword takes; nothing is its default."""
    return as_number(render(value, scope), name, default, where=where_of(value))


def as_number(value: Any, name: str, default: float = 0.0, *, where: Where | None = None) -> float:
    """Return the number that a user's value is; nothing is the default."""
    if value is None or value == "":
        return default
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise TemplateFailed(f"`{name}` takes a number, not {value!r}", where=where) from error


def explained(error: FleetError, scope: Scope) -> FleetError:
    """Return an error of a template; where a variable is undefined, with a hint at the name that is nearest."""
    match = _UNDEFINED.match(error.what)
    if isinstance(error, UndefinedVariable) and match and not error.hint:
        error.hint = nearest(match.group(1), scope)
    return error


def evaluate(expression: Any, scope: Scope) -> Any:
    """Return the value of an expression such as ``when`` holds, bare or in braces."""
    if not isinstance(expression, str):
        return render(expression, scope)
    if is_template(expression):
        return render(expression, scope)
    made = compiled(compile_expression, expression)
    return _settled(_run(made, scope, expression), expression)


def truth(expression: Any, scope: Scope) -> bool:
    """Return whether a condition holds; anything but a boolean is an error, as in Ansible."""
    value = _condition(expression, scope)
    if value is True or value is False:
        return bool(value)
    if isinstance(value, str) and is_template(expression):
        what = f"Encountered untrusted template or expression: the condition gives the text {value!r}"
        raise TemplateFailed(what, where=where_of(expression), hint="write the condition without braces around it")
    what = f"Conditional result ({bool(value)}) was derived from value of type '{type(value).__name__}'. "
    raise TemplateFailed(
        f"{what}Conditionals must have a boolean result.",
        where=where_of(expression),
        hint="add `| bool`, `| length > 0` or a test such as `is defined`",
    )


def _condition(expression: Any, scope: Scope) -> Any:
    """Return what a condition says; a template may give the text of one that stands in a user's file."""
    if not is_template(expression):
        return evaluate(expression, scope)
    if not is_whole(expression):
        made = compiled(compile_condition, expression)
        return _settled(_run(made, scope, expression), expression)
    value = _filled(expression, scope)
    if isinstance(value, Text) and not is_template(value):
        return evaluate(value, scope)
    return _settled(value, expression)


def render_trusted(value: Any, scope: Scope) -> Any:
    """Return a plain value as ``render`` does, but let texts that files wrote out know where, for conditions."""
    source = value
    if isinstance(value, Text) and is_template(value):
        value = _filled(value, scope)
    if isinstance(value, Text) and not is_template(value):
        return value
    if isinstance(value, dict):
        pairs = ((plain(key), render_trusted(part, scope)) for key, part in value.items())
        return {key: part for key, part in pairs if part is not OMIT}
    if isinstance(value, list):
        return [part for part in (render_trusted(item, scope) for item in value) if part is not OMIT]
    return _settled(value, source)


def _filled(text: Text, scope: Scope) -> Any:
    value = _run(compiled(compile_text, text), scope, text)
    if not isinstance(value, str):
        return value
    kept = newlines_kept(value, text)
    return value if kept == value else kept


def _run(made: Compiled, scope: Scope, source: Any) -> Any:
    where = where_of(source)
    try:
        context = made.template.new_context(scope)  # type: ignore[arg-type]
        if made.name is not None:
            return context.resolve(made.name)
        return _joined(made.template, context, where)
    except jinja2.UndefinedError as error:
        raise UndefinedVariable(str(error.message), where=shifted(where, _line(error.__traceback__))) from error
    except jinja2.TemplateError as error:
        raise TemplateFailed(str(error.message), where=shifted(where, _line(error.__traceback__))) from error
    except COMPUTED as error:
        raise TemplateFailed(said(error), where=shifted(where, _line(error.__traceback__))) from error


def _joined(template: jinja2.Template, context: Context, where: Where | None) -> Any:
    """Return the only value as it is, several as text; an undefined one among them is an error where it stands."""
    values: list[Any] = []
    missing: tuple[Missing, int] | None = None
    parts: Any = template.root_render_func(context)
    for value in parts:
        values.append(value)
        if missing is None and isinstance(value, Missing):
            missing = value, template.get_corresponding_lineno(parts.gi_frame.f_lineno)
    if len(values) < 2:
        return values[0] if values else None
    if missing is not None:
        raise UndefinedVariable(missing[0].message, where=shifted(where, missing[1]))
    return "".join(map(text_of, values))


def _settled(value: Any, source: Any) -> Any:
    """Return a finished value: nothing undefined, lazy or half-made."""
    if isinstance(value, Missing):
        raise UndefinedVariable(value.message, where=where_of(value) or where_of(source))
    if isinstance(value, (str, int, float, bool, bytes)) or value is None:
        return str(value) if isinstance(value, Text) else value
    if isinstance(value, (dict, list, LazyMap, LazyList)):
        return _plain_or_fail(value, source)
    if isinstance(value, Mapping):
        return {key: _settled(value[key], source) for key in value}
    if isinstance(value, tuple):
        return list(value)
    if hasattr(value, "__next__") or type(value).__name__ in {"dict_keys", "dict_values", "dict_items", "set", "range"}:
        return [_settled(item, source) for item in value]
    return value


def _plain_or_fail(value: Any, source: Any = None) -> Any:
    done = plain(value)
    undefined = _first_missing(done)
    if undefined is not None:
        raise UndefinedVariable(undefined.message, where=where_of(source) or where_of(value))
    return done


def _first_missing(value: Any) -> Missing | None:
    if isinstance(value, Missing):
        return value
    if isinstance(value, (dict, list)):
        parts = value.values() if isinstance(value, dict) else value
        for part in parts:
            found = _first_missing(part)
            if found is not None:
                return found
    return None


def said(error: Exception) -> str:
    """Return what an operation of a template says."""
    if isinstance(error, FilterError):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _line(trace: TracebackType | None) -> int:
    line = 1
    while trace is not None:
        template = trace.tb_frame.f_globals.get("__jinja_template__")
        if template is not None:
            line = template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return line
