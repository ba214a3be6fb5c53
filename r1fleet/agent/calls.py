"""Run one module in this process and turn whatever happens into a reply."""

from __future__ import annotations

import contextlib
import importlib
import os
from types import ModuleType
from typing import Any, Dict, Iterator, Mapping, Optional

from r1fleet.agent import arguments, trace
from r1fleet.agent.context import Context, Line
from r1fleet.agent.outcome import ModuleFailed

Reply = Dict[str, Any]


def invoke(
    module: str,
    args: Mapping[str, Any],
    *,
    check: bool = False,
    diff: bool = False,
    environment: Optional[Mapping[str, str]] = None,
    cache: Optional[Dict[str, Any]] = None,
    line: Optional[Line] = None,
) -> Reply:
    """Run a module named by its import path or by its stem in ``r1fleet.modules``; never raises for its failure."""
    name = module if "." in module else "r1fleet.modules." + module
    stem = name.rpartition(".")[2]
    try:
        code = importlib.import_module(name)
        spec = arguments.Spec.of(code)
    except ImportError as error:
        return {"changed": False, "failed": True, "msg": "the module %s cannot be loaded here: %s" % (stem, error)}
    ctx = Context({}, check=check, diff=diff, environment=environment, cache=cache, line=line)
    try:
        ctx.args.update(arguments.validate(stem, args, spec))
        with _environment(ctx.environment):
            reply = _run(code, stem, ctx)
    except ModuleFailed as failure:
        reply = failure.reply
    except Exception as error:  # a module's bug is that task's failure, not the end of the agent
        reply = _crashed(stem, error)
    finally:
        ctx.clean()
    if ctx.warnings:
        reply["warnings"] = list(reply.get("warnings") or []) + ctx.warnings
    return reply


def _run(code: ModuleType, stem: str, ctx: Context) -> Reply:
    if ctx.check and not getattr(code, "CHECK_MODE", True):
        return {"changed": False, "skipped": True, "msg": "remote module (%s) does not support check mode" % stem}
    reply: Reply = code.run(ctx) or {}
    reply.setdefault("changed", False)
    return reply


def _crashed(stem: str, error: Exception) -> Reply:
    text = "%s: %s" % (type(error).__name__, error)
    if isinstance(error, OSError) and error.strerror:
        text = "%s%s" % (error.strerror, ": %s" % _place(os.fsdecode(error.filename)) if error.filename else "")
    return {"changed": False, "failed": True, "msg": "%s: %s" % (stem, text), "exception": trace.current()}


def _place(path: str) -> str:
    """Return the folder where a temporary name of ours stands for what was to be written, else the path."""
    folder, ours, _ = path.partition("/.r1fleet-")
    return folder or "/" if ours else path


@contextlib.contextmanager
def _environment(pairs: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in pairs}
    os.environ.update(pairs)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
