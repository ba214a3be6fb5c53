"""Jinja2 as Ansible speaks it: types are kept, undefined values say their name, includes see all variables."""

# Signatures are Ansible's and Jinja2's: their booleans may be given by position.
# ruff: noqa: FBT001, FBT002

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from functools import wraps
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.compiler import CodeGenerator
from jinja2.nativetypes import NativeCodeGenerator
from jinja2.runtime import Context, StrictUndefined
from jinja2.utils import missing as jinja_missing

from r1fleet.errors import Where
from r1fleet.playbook.filters import FILTERS
from r1fleet.playbook.filters_query import QUERY_FILTERS
from r1fleet.playbook.filters_subnets import IN_COLLECTIONS
from r1fleet.playbook.lazy import OMIT, plain
from r1fleet.playbook.lookups import GLOBALS
from r1fleet.playbook.scope import MISSING, Scope
from r1fleet.playbook.truths import TESTS

SEES_UNDEFINED = frozenset({"default", "d", "mandatory", "ternary", "type_debug", "defined", "undefined"})
_UNROLLED = frozenset({"batch", "map", "reject", "rejectattr", "select", "selectattr", "slice"})
"""Jinja2's filters that yield one by one; in Ansible all give lists."""


class Missing(StrictUndefined):
    """An undefined value: it may be looked into and defaulted, but never used."""

    __slots__ = ("where",)
    where: Where | None  # of the variable whose own template failed

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        if self._undefined_obj is jinja_missing:
            return f"'{self._undefined_name}' is undefined"
        kind = type(plain(self._undefined_obj)).__name__
        if isinstance(self._undefined_name, int):
            return f"object of type '{kind}' has no element {self._undefined_name}"
        return f"object of type '{kind}' has no attribute '{self._undefined_name}'"

    @property
    def message(self) -> str:
        """What is undefined."""
        return self._undefined_message

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, key: Any) -> Any:
        return self


class _Context(Context):
    parent: Any

    def resolve_or_missing(self, key: str) -> Any:
        """Look a name up: the template's own, then the variables, then the functions."""
        if key in self.vars:
            return self.vars[key]
        value = self.parent.resolve(key)
        if value is not MISSING:
            return value
        return self.environment.globals.get(key, jinja_missing)

    def get_all(self) -> Any:
        """Return all variables for an included or imported template."""
        return self.parent.over(self.vars) if self.vars else self.parent


class _Template(jinja2.Template):
    def new_context(
        self,
        vars: Any = None,  # noqa: A002
        shared: bool = False,
        locals: Mapping[str, Any] | None = None,  # noqa: A002
    ) -> Context:
        """Make a context over a scope."""
        scope = vars if isinstance(vars, Scope) else Scope([vars or {}], lambda value, _: value)
        if locals:
            scope = scope.over({name: value for name, value in locals.items() if value is not jinja_missing})
        return _Context(self.environment, scope, self.name, self.blocks, globals=self.globals)  # type: ignore[arg-type]


class _KeepTypes(NativeCodeGenerator):
    """Generate code whose outputs stay values; constants are not folded into text."""

    def _output_child_to_const(self, node: nodes.Expr, frame: Any, finalize: Any) -> Any:
        if isinstance(node, nodes.TemplateData):
            return node.as_const(frame.eval_ctx)
        raise nodes.Impossible


def text_of(value: Any) -> str:
    """Return the text that a value has inside other text."""
    return "" if value is None else str(plain(value))


def _join(values: Iterable[Any]) -> Any:
    parts = list(values)
    return parts[0] if len(parts) == 1 else "".join(map(text_of, parts))


class ValueEnvironment(jinja2.Environment):
    """For values in YAML: a lone expression keeps its type."""

    code_generator_class: type[CodeGenerator] = _KeepTypes
    concat = staticmethod(_join)
    context_class = _Context
    template_class = _Template

    def __init__(self, **options: Any) -> None:
        super().__init__(undefined=Missing, extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"], **options)
        self.filters.update({name: _unrolled(self.filters[name]) for name in _UNROLLED})
        for functions in (self.filters, FILTERS):
            _equip(self.filters, functions)
        self.filters.update({name: _strict(function) for name, function in IN_COLLECTIONS.items()})
        self.filters.update({f"community.general.{name}": self.filters[name] for name in QUERY_FILTERS})
        _equip(self.tests, dict[str, Any](self.tests))
        _equip(self.tests, TESTS)
        self.globals.update(GLOBALS)
        self.globals["omit"] = OMIT


class TextEnvironment(ValueEnvironment):
    """For template files: everything becomes text."""

    code_generator_class = CodeGenerator
    concat = "".join  # type: ignore[assignment]

    def __init__(self, **options: Any) -> None:
        super().__init__(finalize=_to_output, **options)


def _to_output(value: Any) -> Any:
    return "" if value is None else plain(value)


def _equip(table: MutableMapping[str, Any], functions: Mapping[str, Callable[..., Any]]) -> None:
    for name, function in list(functions.items()):
        table[name] = function if name in SEES_UNDEFINED else _strict(function)
        table[f"ansible.builtin.{name}"] = table[name]


def _unrolled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a list of what a filter yields."""

    @wraps(function)
    def unrolled(*args: Any, **options: Any) -> Any:
        return list(function(*args, **options))

    return unrolled


def _strict(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a filter or test plain values; what is made of an undefined one is undefined."""

    @wraps(function)
    def strict(*args: Any, **options: Any) -> Any:
        for arg in (*args, *options.values()):
            if isinstance(arg, Missing):
                return arg
        return function(*[plain(arg) for arg in args], **{name: plain(value) for name, value in options.items()})

    return strict
