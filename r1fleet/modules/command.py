"""Run a program, without a shell."""

from __future__ import annotations

import datetime
import glob
import os
import shlex
from typing import Any

from r1fleet.agent.context import Context, ModuleFailed

ARGUMENTS = {
    "cmd": {"type": "str"},
    "argv": {"type": "list", "elements": "str"},
    "chdir": {"type": "path"},
    "creates": {"type": "path"},
    "removes": {"type": "path"},
    "stdin": {"type": "str"},
    "stdin_add_newline": {"type": "bool", "default": True},
    "strip_empty_ends": {"type": "bool", "default": True},
    "expand_argument_vars": {"type": "bool", "default": True},
}
FREE_FORM = "cmd"
REQUIRED_ONE_OF = [["cmd", "argv"]]
MUTUALLY_EXCLUSIVE = [["cmd", "argv"]]
LOCAL = False
CHECK_MODE = True


def run(ctx: Context) -> dict[str, Any]:
    """Run ``cmd`` or ``argv``."""
    argv = ctx.args["argv"] or _split(ctx, ctx.args["cmd"] or "")
    if not argv:
        ctx.fail("no command given", rc=256, **blank([]))
    words = [_expand(word) for word in argv] if ctx.args["expand_argument_vars"] else list(argv)
    return execute(ctx, words, argv)


def execute(ctx: Context, words: list[str], shown: list[str] | str) -> dict[str, Any]:
    """Run ``words`` unless ``creates``, ``removes`` or check mode say otherwise; ``shown`` is the result's cmd."""
    _enter(ctx, shown)
    skipped = _not_needed(ctx, shown)
    if skipped:
        return skipped
    if ctx.check:
        asked = bool(ctx.args["creates"] or ctx.args["removes"])
        reply = dict(blank(shown), rc=0, changed=asked, msg="Command would have run if not in check mode")
        return reply if asked else dict(reply, skipped=True)
    return _timed(ctx, words, shown)


def blank(shown: list[str] | str) -> dict[str, Any]:
    """Build the result of a command that has not run."""
    texts = {"stdout": "", "stderr": "", "stdout_lines": [], "stderr_lines": []}
    return dict(texts, cmd=shown, changed=False, start=None, end=None, delta=None)


def _split(ctx: Context, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        ctx.fail("cannot split the command into words: {}".format(error), **blank(text))


def _expand(word: str) -> str:
    return os.path.expanduser(os.path.expandvars(word))


def _enter(ctx: Context, shown: list[str] | str) -> None:
    folder = ctx.args["chdir"]
    if folder and not os.path.isdir(folder):
        why = "not a directory" if os.path.exists(folder) else "no such directory"
        ctx.fail("Unable to change directory before execution: {}: {}".format(folder, why), rc=None, **blank(shown))


def _not_needed(ctx: Context, shown: list[str] | str) -> dict[str, Any] | None:
    for argument, wanted, state in (("creates", True, "exists"), ("removes", False, "does not exist")):
        pattern = ctx.args[argument]
        if not pattern or bool(glob.glob(_under(ctx.args["chdir"], pattern))) is not wanted:
            continue
        verb = "Would not" if ctx.check else "Did not"
        text = "skipped, since {} {}".format(pattern, state)
        why = "{} run command since '{}' {}".format(verb, pattern, state)
        return dict(blank(shown), rc=0, msg=why, stdout=text, stdout_lines=[text])
    return None


def _under(folder: str | None, pattern: str) -> str:
    return os.path.join(glob.escape(folder), pattern) if folder else pattern


def _timed(ctx: Context, words: list[str], shown: list[str] | str) -> dict[str, Any]:
    start = datetime.datetime.now()
    try:
        done = ctx.run(words, stdin=_stdin(ctx), cwd=ctx.args["chdir"])
    except ModuleFailed as error:
        error.reply = dict(blank(shown), **error.reply)
        raise
    end = datetime.datetime.now()
    reply = {"changed": True, "cmd": shown, "rc": done.rc, "msg": "non-zero return code" if done.rc else ""}
    reply.update(start=str(start), end=str(end), delta=str(end - start))
    for name, raw in (("stdout", done.stdout), ("stderr", done.stderr)):
        text = raw.decode("utf-8", "replace")
        if ctx.args.get("strip_empty_ends", True):
            text = text.rstrip("\r\n")
        reply.update({name: text, name + "_lines": text.splitlines()})
    if done.rc:
        reply["failed"] = True
    return reply


def _stdin(ctx: Context) -> bytes | None:
    text = ctx.args["stdin"]
    if text is None:
        return None
    newline = "\n" if ctx.args["stdin_add_newline"] else ""
    return bytes((text + newline).encode("utf-8", "surrogateescape"))
