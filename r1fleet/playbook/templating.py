"""Templates over scopes: only text that a user's file wrote is ever a template."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.visitor import NodeTransformer

from r1fleet.errors import PlaybookError, Where
from r1fleet.inventory import vault
from r1fleet.inventory.source import Block, Encrypted, Items, Text
from r1fleet.playbook.environment import Missing, TextEnvironment, ValueEnvironment, text_of
from r1fleet.playbook.filters_text import FilterError
from r1fleet.playbook.lazy import MARKERS, OMIT, LazyList, LazyMap, has_template, is_template, plain
from r1fleet.playbook.lookups_files import newlines_kept
from r1fleet.playbook.scope import Scope, where_of

LOOKUP_CALLS = frozenset({"lookup", "query", "q"})
COMPUTED = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, OSError, RecursionError)
"""What a template's own operations raise on wrong data."""


class TemplateFailed(PlaybookError):
    """A template could not be rendered with these variables."""


class UndefinedVariable(TemplateFailed):
    """A template needs a variable that is not defined."""


@dataclass(frozen=True, slots=True)
class _Compiled:
    template: jinja2.Template
    name: str | None  # the variable, where the template is nothing but one


@cache
def environment() -> ValueEnvironment:
    """Return the environment of YAML values, shared by the whole process."""
    return ValueEnvironment()


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


def evaluate(expression: Any, scope: Scope) -> Any:
    """Return the value of an expression such as ``when`` holds, bare or in braces."""
    if not isinstance(expression, str):
        return render(expression, scope)
    if is_template(expression):
        return render(expression, scope)
    compiled = _compiled_or_fail(_compile_expression, expression)
    return _settled(_run(compiled, scope, expression), expression)


def truth(expression: Any, scope: Scope) -> bool:
    """Return whether a condition holds; anything but a boolean is an error, as in Ansible."""
    value = _condition(expression, scope)
    if value is True or value is False:
        return bool(value)
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
        compiled = _compiled_or_fail(_compile_condition, expression)
        return _settled(_run(compiled, scope, expression), expression)
    value = _filled(expression, scope)
    if isinstance(value, Text) and not is_template(value):
        return evaluate(value, scope)
    return _settled(value, expression)


@dataclass(frozen=True, slots=True)
class Marks:
    """How a template file marks its expressions; the fields are those of Ansible's template action."""

    trim_blocks: bool = True
    lstrip_blocks: bool = False
    newline_sequence: str = "\n"
    block_start_string: str = "{%"
    block_end_string: str = "%}"
    variable_start_string: str = "{{"
    variable_end_string: str = "}}"
    comment_start_string: str = "{#"
    comment_end_string: str = "#}"


def render_file(path: Path, folders: tuple[Path, ...], scope: Scope, marks: Marks | None = None) -> str:
    """Return the text of a template file; ``folders`` are where its includes are looked up."""
    loader = _file_environment((path.parent, *folders), marks or Marks())
    try:
        template = loader.get_template(path.name)
        text = "".join(template.root_render_func(template.new_context(scope)))  # type: ignore[arg-type]
        return newlines_kept(text, loader.source(path.name))
    except jinja2.TemplateSyntaxError as error:
        raise syntax_error(error, Where(str(error.filename or path))) from error
    except jinja2.TemplateNotFound as error:
        raise TemplateFailed(f"template {error.name} not found", where=Where(str(path))) from error
    except jinja2.UndefinedError as error:
        raise UndefinedVariable(str(error.message), where=_place(error.__traceback__) or Where(str(path))) from error
    except UnicodeDecodeError as error:
        raise TemplateFailed("the template is not UTF-8 text", where=Where(str(path))) from error
    except jinja2.TemplateError as error:
        raise TemplateFailed(str(error.message), where=_place(error.__traceback__) or Where(str(path))) from error
    except COMPUTED as error:
        raise TemplateFailed(_said(error), where=_place(error.__traceback__) or Where(str(path))) from error


def syntax_error(error: jinja2.TemplateSyntaxError, where: Where | None) -> PlaybookError:
    """Return a template's syntax error with its position in the user's file."""
    return PlaybookError(f"template error: {error.message}", where=shifted(where, error.lineno))


def parse_text(source: str) -> nodes.Template:
    """Return the syntax tree of a template."""
    return environment().parse(source)


def is_whole(source: str) -> bool:
    """Tell whether text is nothing but templates; a condition that is not is an expression."""
    text = source.strip()
    return text.startswith(MARKERS) and text.endswith(("}}", "%}", "#}"))


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


def is_lone(source: str) -> bool:
    """Tell whether text is one expression in braces with nothing around it; what has no syntax counts as such."""
    try:
        body = parse_text(source.strip()).body
    except jinja2.TemplateSyntaxError:
        return True
    parts = body[0].nodes if len(body) == 1 and isinstance(body[0], nodes.Output) else []
    return len(parts) == 1 and not isinstance(parts[0], nodes.TemplateData)


def parse_expression(source: str) -> nodes.Template:
    """Return the syntax tree of a bare expression."""
    parser = Parser(environment(), source, state="variable")
    expression = parser.parse_expression()
    if not parser.stream.eos:
        raise jinja2.TemplateSyntaxError("chunk after expression", parser.stream.current.lineno, None, None)
    expression.set_environment(environment())
    return nodes.Template([nodes.Output([expression], lineno=1)], lineno=1)


def _filled(text: Text, scope: Scope) -> Any:
    value = _run(_compiled_or_fail(_compile_text, text), scope, text)
    return newlines_kept(value, text) if isinstance(value, str) else value


def _compiled_or_fail(compile_source: Callable[[str], _Compiled], text: str) -> _Compiled:
    try:
        return compile_source(str(text))
    except jinja2.TemplateSyntaxError as error:
        raise syntax_error(error, where_of(text)) from error


@cache
def _compile_text(source: str) -> _Compiled:
    return _compiled(parse_text(_doubled(source) if "\\" in source else source))


def _doubled(source: str) -> str:
    r"""Take backslashes between ``{{`` and ``}}`` as they stand, as Ansible does: ``'\1'`` is a backslash and a one."""
    parts = []
    inside = False
    for _, kind, text in environment().lex(source):
        if kind in ("variable_begin", "variable_end"):
            inside = kind == "variable_begin"
        parts.append(text.replace("\\", "\\\\") if inside and kind == "string" else text)
    return "".join(parts)


@cache
def _compile_expression(source: str) -> _Compiled:
    return _compiled(parse_expression(source.strip()))


@cache
def _compile_condition(source: str) -> _Compiled:
    """Compile a condition with templates in its texts: ``path == '/srv/{{ name }}'``."""
    return _compiled(_Opener().visit(parse_expression(source.strip())))


class _Opener(NodeTransformer):
    def visit_Const(self, node: nodes.Const) -> nodes.Expr:  # noqa: N802
        return _opened(node)


def _compiled(tree: nodes.Template) -> _Compiled:
    name = None
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name in LOOKUP_CALLS:
            call.args[1:] = [_opened(term) for term in call.args[1:]]
    if len(tree.body) == 1 and isinstance(tree.body[0], nodes.Output) and len(tree.body[0].nodes) == 1:
        only = tree.body[0].nodes[0]
        name = only.name if isinstance(only, nodes.Name) else None
    return _Compiled(environment().from_string(tree), name)


def _opened(term: nodes.Expr) -> nodes.Expr:
    """Return the expression that a template inside of a lookup's term stands for: ``lookup('file', '{{ name }}')``."""
    if not (isinstance(term, nodes.Const) and isinstance(term.value, str) and "{{" in term.value):
        return term
    body = parse_text(term.value).body
    if len(body) != 1 or not isinstance(body[0], nodes.Output):
        return term
    parts = [nodes.Const(part.data) if isinstance(part, nodes.TemplateData) else part for part in body[0].nodes]
    opened = parts[0] if len(parts) == 1 else nodes.Concat(parts)
    return opened.set_lineno(term.lineno, override=True).set_environment(environment())  # type: ignore[return-value]


class _Files(jinja2.FileSystemLoader):
    """Reads template files, encrypted ones, too."""

    def get_source(self, environment: jinja2.Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        """Return a template's text and its path."""
        text, path, unchanged = super().get_source(environment, template)
        return vault.plain_text(text, Where(path, 1)), path, unchanged


class _FileEnvironment(TextEnvironment):
    def source(self, name: str) -> str:
        """Return a template's own text."""
        return "" if self.loader is None else self.loader.get_source(self, name)[0]


@cache
def _file_environment(folders: tuple[Path, ...], marks: Marks) -> _FileEnvironment:
    options = {name: getattr(marks, name) for name in Marks.__dataclass_fields__}
    return _FileEnvironment(loader=_Files(folders), **options)


def _run(compiled: _Compiled, scope: Scope, source: Any) -> Any:
    where = where_of(source)
    try:
        context = compiled.template.new_context(scope)  # type: ignore[arg-type]
        if compiled.name is not None:
            return context.resolve(compiled.name)
        return _joined(compiled.template, context, where)
    except jinja2.UndefinedError as error:
        raise UndefinedVariable(str(error.message), where=shifted(where, _line(error.__traceback__))) from error
    except jinja2.TemplateError as error:
        raise TemplateFailed(str(error.message), where=shifted(where, _line(error.__traceback__))) from error
    except COMPUTED as error:
        raise TemplateFailed(_said(error), where=shifted(where, _line(error.__traceback__))) from error


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


def _said(error: Exception) -> str:
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


def _place(trace: TracebackType | None) -> Where | None:
    found = None
    while trace is not None:
        template = trace.tb_frame.f_globals.get("__jinja_template__")
        if template is not None and template.filename not in {None, "<template>", "<unknown>"}:
            found = Where(template.filename, template.get_corresponding_lineno(trace.tb_lineno))
        trace = trace.tb_next
    return found


def shifted(where: Where | None, line: int) -> Where | None:
    """Return the place of a template's own line, given where its text begins."""
    if where is None or where.line is None:
        return Where(where.path, line) if where is not None else None
    return where if line <= 1 else Where(where.path, where.line + line - 1)
