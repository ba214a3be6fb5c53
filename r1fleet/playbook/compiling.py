"""Compiles templates: texts of values, bare expressions, conditions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import jinja2
from jinja2 import nodes
from jinja2.parser import Parser
from jinja2.visitor import NodeTransformer

from r1fleet.errors import PlaybookError, Where
from r1fleet.playbook.environment import ValueEnvironment
from r1fleet.playbook.lazy import MARKERS
from r1fleet.playbook.scope import where_of

LOOKUP_CALLS = frozenset({"lookup", "query", "q"})


@dataclass(frozen=True, slots=True)
class Compiled:
    """A template that can be run again and again."""

    template: jinja2.Template
    name: str | None  # the variable, where the template is nothing but one


@cache
def environment() -> ValueEnvironment:
    """Return the environment of YAML values, shared by the whole process."""
    return ValueEnvironment(trim_blocks=True)  # as in template files


def parse_text(source: str) -> nodes.Template:
    """Return the syntax tree of a template."""
    return environment().parse(source)


def parse_expression(source: str) -> nodes.Template:
    """Return the syntax tree of a bare expression."""
    parser = Parser(environment(), source, state="variable")
    expression = parser.parse_expression()
    if not parser.stream.eos:
        raise jinja2.TemplateSyntaxError("chunk after expression", parser.stream.current.lineno, None, None)
    expression.set_environment(environment())
    return nodes.Template([nodes.Output([expression], lineno=1)], lineno=1)


def is_lone(source: str) -> bool:
    """Tell whether text is one expression in braces with nothing around it; what has no syntax counts as such."""
    try:
        body = parse_text(source.strip()).body
    except jinja2.TemplateSyntaxError:
        return True
    parts = body[0].nodes if len(body) == 1 and isinstance(body[0], nodes.Output) else []
    return len(parts) == 1 and not isinstance(parts[0], nodes.TemplateData)


def is_whole(source: str) -> bool:
    """Tell whether text is nothing but templates; a condition that is not is an expression."""
    text = source.strip()
    return text.startswith(MARKERS) and text.endswith(("}}", "%}", "#}"))


@cache
def compile_text(source: str) -> Compiled:
    """Compile a value's text."""
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
def compile_expression(source: str) -> Compiled:
    """Compile a bare expression."""
    return _compiled(parse_expression(source.strip()))


@cache
def compile_condition(source: str) -> Compiled:
    """Compile a condition with templates in its texts: ``path == '/srv/{{ name }}'``."""
    return _compiled(_Opener().visit(parse_expression(source.strip())))


class _Opener(NodeTransformer):
    def visit_Const(self, node: nodes.Const) -> nodes.Expr:  # noqa: N802
        return _opened(node)


def _compiled(tree: nodes.Template) -> Compiled:
    name = None
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name in LOOKUP_CALLS:
            call.args[1:] = [_opened(term) for term in call.args[1:]]
    if len(tree.body) == 1 and isinstance(tree.body[0], nodes.Output) and len(tree.body[0].nodes) == 1:
        only = tree.body[0].nodes[0]
        name = only.name if isinstance(only, nodes.Name) else None
    return Compiled(environment().from_string(tree), name)


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


def compiled(compile_source: Callable[[str], Compiled], text: str) -> Compiled:
    """Compile text with one of the functions above; an error has its position."""
    try:
        return compile_source(str(text))
    except jinja2.TemplateSyntaxError as error:
        raise syntax_error(error, where_of(text)) from error
    except SyntaxError as error:  # what Jinja2 passes on to Python: an argument that is given twice
        raise PlaybookError(f"template error: {error.msg}", where=where_of(text)) from error


def syntax_error(error: jinja2.TemplateSyntaxError, where: Where | None) -> PlaybookError:
    """Return a template's syntax error with its position in the user's file."""
    return PlaybookError(f"template error: {error.message}", where=shifted(where, error.lineno))


def shifted(where: Where | None, line: int) -> Where | None:
    """Return the place of a template's own line, given where its text begins."""
    if where is None or where.line is None:
        return Where(where.path, line) if where is not None else None
    return where if line <= 1 else Where(where.path, where.line + line - 1)
