"""Choose which of several programs a generic name stands for."""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple

from r1fleet.agent.context import Context

_SUBCOMMAND: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "path": {"type": "path", "required": True},
    "link": {"type": "path", "required": True},
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "path": {"type": "path"},
    "family": {"type": "str"},
    "link": {"type": "path"},
    "priority": {"type": "int"},
    "state": {"type": "str", "default": "selected", "choices": ["absent", "auto", "present", "selected"]},
    "subcommands": {"type": "list", "elements": "dict", "aliases": ["slaves"], "options": _SUBCOMMAND},
}
REQUIRED_ONE_OF = [["path", "family"]]
LOCAL = True
CHECK_MODE = True

_PRIORITY = 50


class Choice(NamedTuple):
    """A program that a name may stand for; ``slaves`` are those that come with it, by name."""

    path: str
    priority: int
    slaves: dict[str, str]


class Group(NamedTuple):
    """A name, as update-alternatives knows it: its link, those of its slaves, how it was chosen and what."""

    link: str
    slave_links: dict[str, str]
    manual: bool
    value: str
    choices: dict[str, Choice]


def run(ctx: Context) -> dict[str, Any]:
    """Install, choose, give back to automatic choice, or remove."""
    if ctx.args["family"]:
        ctx.fail("family is for hosts of Red Hat's kind, which are not supported here", hint="name a path")
    name, path, state = ctx.args["name"], ctx.args["path"], ctx.args["state"]
    done = ctx.run([_program(ctx), "--query", name], locale="C")
    group = parse(done.text) if done.rc == 0 else Group("", {}, False, "", {})
    if state == "absent":
        steps = [_Step(["--remove", name, path], "Remove alternative '{}' from '{}'.")] if path in group.choices else []
    else:
        steps = list(_steps(ctx, group))
    for step in steps if not ctx.check else []:
        done = ctx.run([_program(ctx), *step.words], locale="C")
        if done.rc:
            ctx.fail(done.error.strip() or done.text.strip() or "update-alternatives failed", rc=done.rc)
    reply: dict[str, Any] = {"changed": bool(steps), "msg": " ".join(step.said.format(path, name) for step in steps)}
    if ctx.diff:
        before = _shown(group, path)
        reply["diff"] = {"before": before, "after": _after(ctx, group, before) if steps else before}
    return reply


def parse(text: str) -> Group:
    """Read what ``update-alternatives --query`` prints: a stanza for the name, then one for each choice."""
    head, *rest = text.split("\n\n")
    first, slave_links = _stanza(head)
    choices = {}
    for stanza in rest:
        fields, slaves = _stanza(stanza)
        if "Alternative" in fields:
            choices[fields["Alternative"]] = Choice(fields["Alternative"], int(fields.get("Priority", 0)), slaves)
    return Group(first.get("Link", ""), slave_links, first.get("Status") == "manual", first.get("Value", ""), choices)


def _stanza(text: str) -> tuple[dict[str, str], dict[str, str]]:
    fields = dict(re.findall(r"^(\w+): ?(.*)$", text, re.MULTILINE))
    return fields, dict(re.findall(r"^ (\S+) (.+)$", text, re.MULTILINE))


class _Step(NamedTuple):
    words: list[str]
    said: str


def _program(ctx: Context) -> str:
    return ctx.need("update-alternatives")


def _steps(ctx: Context, group: Group) -> Any:
    args, name, path = ctx.args, ctx.args["name"], ctx.args["path"]
    if _differs(ctx, group):
        yield _Step(_install(ctx, group), "Install alternative '{}' for '{}'.")
    if args["state"] == "selected" and group.value != path:
        yield _Step(["--set", name, path], "Set alternative '{}' for '{}'.")
    if args["state"] == "auto" and group.manual:
        yield _Step(["--auto", name], "Set alternative to auto for '{1}'.")


def _differs(ctx: Context, group: Group) -> bool:
    """Tell whether the choice is not there, or is there with another priority or other slaves than asked."""
    choice = group.choices.get(ctx.args["path"])
    if choice is None:
        return True
    priority, wanted = ctx.args["priority"], ctx.args["subcommands"]
    if priority is not None and priority != choice.priority:
        return True
    present = {(name, group.slave_links.get(name, ""), path) for name, path in choice.slaves.items()}
    return wanted is not None and {(row["name"], row["link"], row["path"]) for row in wanted} != present


def _install(ctx: Context, group: Group) -> list[str]:
    args, path = ctx.args, ctx.args["path"]
    if not os.path.exists(path):
        ctx.fail("Specified path {} does not exist".format(path))
    link = args["link"] or group.link
    if not link:
        ctx.fail("Needed to install the alternative, but unable to do so as we are missing the link")
    choice = group.choices.get(path, Choice(path, _PRIORITY, {}))
    priority = choice.priority if args["priority"] is None else args["priority"]
    words = ["--install", link, args["name"], path, str(priority)]
    for row in args["subcommands"] or []:
        words += ["--slave", row["link"], row["name"], row["path"]]
    return words


def _shown(group: Group, path: str) -> dict[str, Any]:
    """Return what a difference shows of a choice."""
    choice = group.choices.get(path)
    if choice is None:
        return {"state": "absent"} if group.choices else {}
    state = "present" if not group.manual or group.value != path else "selected"
    rows = [{"name": name, "link": group.slave_links.get(name, ""), "path": to} for name, to in choice.slaves.items()]
    shown: dict[str, Any] = {"state": state, "link": group.link, "path": path, "priority": choice.priority}
    return dict(shown, subcommands=rows) if rows else shown


def _after(ctx: Context, group: Group, before: dict[str, Any]) -> dict[str, Any]:
    args = ctx.args
    if args["state"] == "absent":
        return {"state": "absent"}
    named = {name: args[name] for name in ("path", "link", "priority", "subcommands") if args[name] is not None}
    base = {"link": group.link, "priority": _PRIORITY}
    return dict(base, **dict(before, **dict(named, state=args["state"] if args["state"] != "auto" else "present")))
