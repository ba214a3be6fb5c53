"""debug, assert, fail, pause and validate_argument_spec: what the controller decides by itself."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from r1fleet.agent.arguments import Spec, validate
from r1fleet.agent.outcome import ModuleFailed
from r1fleet.inventory.source import Text
from r1fleet.playbook.filters import to_bool
from r1fleet.playbook.lazy import is_template
from r1fleet.playbook.scope import Scope
from r1fleet.playbook.templating import (
    TemplateFailed,
    UndefinedVariable,
    as_number,
    evaluate,
    render,
    render_lazy,
    truth,
)
from r1fleet.playbook.work import Work
from r1fleet.transport import Reply


async def debug(work: Work) -> Reply:
    """Show a message or a variable."""
    raw = work.task.args
    if as_number(work.args.get("verbosity"), "verbosity") > work.run.options.verbosity:
        return {"changed": False, "skipped": True, "skipped_reason": "Verbosity threshold not met."}
    if "var" in raw and "msg" in work.args:
        return {"changed": False, "failed": True, "msg": "parameters are mutually exclusive: msg|var"}
    if "var" not in raw:
        return {"changed": False, "msg": work.args.get("msg", "Hello world!")}
    name = raw["var"]
    if not isinstance(name, Text):
        odd = (
            "an untrusted template or expression"
            if isinstance(name, str)
            else "not a string and conversion is not allowed"
        )
        return {"changed": False, "failed": True, "msg": f"'var' is {odd}: {name!r}"}
    try:
        value = evaluate(name, work.scope)
        if isinstance(value, str) and value != name and isinstance(name, str) and "{{" in name:
            name = value
            value = work.scope.get(value, value)
    except UndefinedVariable:
        value = "VARIABLE IS NOT DEFINED!"
    return {"changed": False, str(name): render(value, work.scope)}


async def fail(work: Work) -> Reply:
    """Fail."""
    return {"changed": False, "failed": True, "msg": work.args.get("msg", "Failed as requested from task")}


async def check_assertions(work: Work) -> Reply:
    """Fail unless every condition holds."""
    given = work.task.args if "that" in work.task.args else render_lazy(work.task.given, work.scope)
    if not isinstance(given, dict) or "that" not in given:
        return {"changed": False, "failed": True, "msg": "missing required arguments: that"}
    for condition in _conditions(given["that"], work.scope):
        if not truth(condition, work.scope):
            msg = work.args.get("fail_msg", work.args.get("msg")) or "Assertion failed"
            return {"changed": False, "failed": True, "assertion": _shown(condition), "evaluated_to": False, "msg": msg}
    return {"changed": False, "msg": work.args.get("success_msg") or "All assertions passed"}


def _conditions(that: Any, scope: Scope) -> Iterator[Any]:
    """Yield the conditions; a template may give their list, as far as a user's file wrote them."""
    if is_template(that):
        found = render_lazy(that, scope)
        that = found if isinstance(found, list) else that
    for condition in that if isinstance(that, list) else [that]:
        if isinstance(condition, str) and not isinstance(condition, Text):
            raise TemplateFailed(f"Encountered untrusted template or expression: {condition!r}")
        if condition is None or condition == "":
            raise TemplateFailed("Empty conditional expression")
        yield condition


async def pause(work: Work) -> Reply:
    """Wait for some time, or for the user."""
    seconds = as_number(work.args.get("seconds"), "seconds") + 60 * as_number(work.args.get("minutes"), "minutes")
    prompt = work.args.get("prompt")
    echo = to_bool(work.args.get("echo", True)) is not False
    typed = ""
    if seconds:
        await asyncio.sleep(seconds)
    elif sys.stdin is not None and sys.stdin.isatty():
        hint = "" if echo else " (output is hidden)"
        typed = await asyncio.to_thread(_ask, f"{prompt or 'Press enter to continue'}{hint}: ", shown=echo)
    return {
        "changed": False,
        "user_input": typed,
        "echo": echo,
        "stdout": f"Paused for {seconds:g} seconds",
        "stderr": "",
        "rc": 0,
        "delta": int(seconds),
    }


async def validate_argument_spec(work: Work) -> Reply:
    """Check variables against a role's argument specification."""
    spec = work.args["argument_spec"]
    provided = work.args.get("provided_arguments") or {}
    given = {**{name: render(work.scope[name], work.scope) for name in spec if name in work.scope}, **provided}
    given = {name: value for name, value in given.items() if value is not None}
    errors = list(_wrong(given, spec))
    context = {"validate_args_context": work.args.get("validate_args_context") or {}}
    if errors:
        lines = "\n".join(errors)
        return {
            "changed": False,
            "failed": True,
            "msg": f"Validation of arguments failed:\n{lines}",
            "argument_errors": errors,
            "argument_spec_data": spec,
            **context,
        }
    return {"changed": False, "msg": "The arg spec validation passed", **context}


def _wrong(given: Mapping[str, Any], spec: Mapping[str, Any]) -> Iterator[str]:
    """Yield every error: of the arguments as a whole, then of each by itself."""
    faults = {name: _fault({name: given[name]}, {name: row}) for name, row in spec.items() if name in given}
    sound = {name: None if faults.get(name) else value for name, value in given.items()}
    whole = {name: {**row, "required": False} if faults.get(name) else row for name, row in spec.items()}
    yield from filter(None, [_fault({name: value for name, value in sound.items() if value is not None}, whole)])
    yield from filter(None, faults.values())


def _fault(given: Mapping[str, Any], spec: Mapping[str, Any]) -> str | None:
    try:
        validate("argument_spec", given, Spec.of_options({"options": spec}))
    except ModuleFailed as error:
        return error.msg
    return None


def _shown(condition: Any) -> Any:
    return condition if isinstance(condition, bool) else str(condition)


def _ask(prompt: str, *, shown: bool) -> str:
    return input(prompt) if shown else getpass.getpass(prompt)
