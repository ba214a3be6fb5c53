"""Answer the questions that packages ask when they are installed."""

from __future__ import annotations

from typing import Any

from r1fleet.agent.context import Context

ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True, "aliases": ["pkg"]},
    "question": {"type": "str", "aliases": ["selection", "setting"]},
    "vtype": {
        "type": "str",
        "choices": [
            "boolean",
            "error",
            "multiselect",
            "note",
            "password",
            "seen",
            "select",
            "string",
            "text",
            "title",
        ],
    },
    "value": {"type": "raw", "aliases": ["answer"]},
    "unseen": {"type": "bool", "default": False},
}
REQUIRED_TOGETHER = [["question", "vtype", "value"]]
LOCAL = True
CHECK_MODE = True

_HIDDEN = "(password omitted)"


def run(ctx: Context) -> dict[str, Any]:
    """Tell the package's answers, and change one where it is not what is wanted."""
    question = ctx.args["question"]
    present = answers(ctx.run([ctx.need("debconf-show"), ctx.args["name"]], locale="C").text)
    if question is None:
        return {"changed": False, "msg": "", "current": present}
    wanted = _text(ctx.args["vtype"], ctx.args["value"])
    if _same(ctx, present.get(question), wanted):
        return {"changed": False, "msg": "", "current": present}
    if not ctx.check:
        _set(ctx, question, wanted)
    previous = {question: present[question]} if question in present else dict(present, **{question: ""})
    shown = _HIDDEN if ctx.args["vtype"] == "password" else wanted
    reply: dict[str, Any] = {"changed": True, "msg": "", "current": {question: shown}, "previous": previous}
    if ctx.diff:
        reply["diff"] = {"before": previous, "after": dict(previous, **{question: shown})}
    return reply


def answers(text: str) -> dict[str, str]:
    """Read what debconf-show prints: a star where a question has been seen, its name, a colon, its answer."""
    rows = (line.lstrip(" *").partition(":") for line in text.splitlines() if line.strip())
    return {name.strip(): value.strip() for name, _, value in rows}


def _text(kind: str, value: Any) -> str:
    if kind == "multiselect" and isinstance(value, list):
        return ", ".join(str(single) for single in value)
    text = str(value)
    return text.lower() if kind == "boolean" or isinstance(value, bool) else text


def _same(ctx: Context, present: str | None, wanted: str) -> bool:
    if present is None:
        return False
    if ctx.args["vtype"] == "password":
        return _secret(ctx) == wanted
    if ctx.args["vtype"] == "multiselect" and isinstance(ctx.args["value"], list):
        return _choices(present) == _choices(wanted)
    return present == wanted.strip()


def _choices(text: str) -> set[str]:
    return {word.strip() for word in text.split(",")} - {""}


def _secret(ctx: Context) -> str:
    """Ask debconf for an answer that debconf-show does not print."""
    asked = "get {}\n".format(ctx.args["question"])
    done = ctx.run([ctx.need("debconf-communicate"), ctx.args["name"]], stdin=asked, locale="C")
    return done.text.partition(" ")[2].rstrip("\n") if done.text.startswith("0 ") else ""


def _set(ctx: Context, question: str, value: str) -> None:
    words = [ctx.need("debconf-set-selections")] + (["-u"] if ctx.args["unseen"] else [])
    if "\n" in value:
        ctx.fail("an answer is one line, got {} lines for {}".format(len(value.splitlines()), question))
    line = " ".join([ctx.args["name"], question, ctx.args["vtype"], value])
    done = ctx.run(words, stdin=line + "\n", locale="C")
    if done.rc:
        ctx.fail(done.error.strip() or "debconf-set-selections failed", rc=done.rc)
