"""Keep options of an INI file: one line per option, comments and order untouched."""

from __future__ import annotations

import os
import re
from typing import Any

from r1fleet.agent.context import Context
from r1fleet.agent.files import FILE_ARGUMENTS, content_diff, path_info
from r1fleet.modules._edits import apply_permissions_after, backup, load, store

ARGUMENTS = dict(
    FILE_ARGUMENTS,
    path={"type": "path", "required": True, "aliases": ["dest"]},
    section={"type": "str"},
    section_has_values={"type": "list", "elements": "dict"},
    option={"type": "str"},
    value={"type": "str"},
    values={"type": "list", "elements": "str"},
    state={"type": "str", "default": "present", "choices": ["absent", "present"]},
    exclusive={"type": "bool", "default": True},
    no_extra_spaces={"type": "bool", "default": False},
    ignore_spaces={"type": "bool", "default": False},
    create={"type": "bool", "default": True},
    modify_inactive_option={"type": "bool", "default": True},
    allow_no_value={"type": "bool", "default": False},
    backup={"type": "bool", "default": False},
    follow={"type": "bool", "default": False},
)
MUTUALLY_EXCLUSIVE = [["value", "values"]]
LOCAL = True
CHECK_MODE = True

_SECTION = re.compile(r"^\s*\[\s*(.+?)\s*\]\s*(?:[#;].*)?$")


def run(ctx: Context) -> dict[str, Any]:
    """Bring the option, or the whole section, into the wanted state."""
    args = ctx.args
    path = os.path.realpath(args["path"]) if args["follow"] else args["path"]
    values = args["values"] if args["values"] is not None else ([] if args["value"] is None else [args["value"]])
    if args["state"] == "present" and not args["allow_no_value"] and not values:
        ctx.fail("Parameter 'value(s)' must be defined if state=present and allow_no_value=False.")
    if args["state"] == "absent" and args["option"] is None and args["section"] is None:
        ctx.fail("state=absent needs a section or an option")
    before = load(ctx, path, create=args["create"], missing="Destination {} does not exist!")
    text = (before or b"").decode("utf-8", "surrogateescape")
    lines = [line.rstrip("\r") for line in text.split("\n")]
    if lines and not lines[-1]:
        lines.pop()
    lines, msg = _edit(ctx, lines, values)
    after = "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape")
    changed = bool(msg) and after != (before or b"")
    reply: dict[str, Any] = {"changed": changed, "msg": msg if changed else "OK", "path": path}
    if changed:
        kept = backup(ctx, path)
        reply.update({"backup_file": kept} if kept else {})
        store(ctx, path, after)
    attributes: dict[str, Any] = {}
    reply["changed"] = apply_permissions_after(ctx, path, attributes, changed=changed) or changed
    if ctx.diff:
        reply["diff"] = content_diff(before, after, path + " (content)")
    return dict(path_info(path) if os.path.exists(path) else {}, **reply)


def _edit(ctx: Context, lines: list[str], values: list[str]) -> tuple[list[str], str]:
    """Return the changed lines and what was done, empty where nothing was to do."""
    args = ctx.args
    span = _find_section(ctx, lines)
    if span is None:
        if args["state"] == "absent":
            return lines, ""
        return lines + _new_section(ctx, lines, values), "section and option added" if args["option"] else (
            "only section added"
        )
    start, end = span
    body = lines[start:end]
    if args["state"] == "absent":
        if args["option"] is None:
            return lines[: max(start - 1, 0)] + lines[end:], "section removed"
        changed_body, msg = _remove(ctx, body, values)
    elif args["option"] is None:
        return lines, ""
    else:
        changed_body, msg = _set(ctx, body, values)
    return lines[:start] + changed_body + lines[end:], msg


def _find_section(ctx: Context, lines: list[str]) -> tuple[int, int] | None:
    """Return the range of lines that belong to the section; what stands before any section is the one without name."""
    wanted = ctx.args["section"]
    heads = [(at, match.group(1)) for at, match in enumerate(map(_SECTION.match, lines)) if match]
    if wanted is None:
        return 0, (heads[0][0] if heads else len(lines))
    for index, (at, name) in enumerate(heads):
        end = heads[index + 1][0] if index + 1 < len(heads) else len(lines)
        if name == wanted and _has_values(ctx, lines[at + 1 : end]):
            return at + 1, end
    return None


def _has_values(ctx: Context, body: list[str]) -> bool:
    for condition in ctx.args["section_has_values"] or []:
        found = [match.group("value") for match in map(_pattern(condition["option"]).match, body) if match]
        wanted = condition.get("values") or ([condition["value"]] if condition.get("value") is not None else [])
        if not found or any(value not in found for value in wanted):
            return False
    return True


def _new_section(ctx: Context, lines: list[str], values: list[str]) -> list[str]:
    options = [_line(ctx, value) for value in values] or [_line(ctx, None)] if ctx.args["option"] else []
    # The first section of a file is set off by an empty line, as the files this edits have had for years.
    gap = [""] if not lines else []
    return [*gap, "[{}]".format(ctx.args["section"]), *options]


def _line(ctx: Context, value: str | None) -> str:
    option = ctx.args["option"]
    if value is None:
        return str(option)
    return ("{}={}" if ctx.args["no_extra_spaces"] else "{} = {}").format(option, value)


def _pattern(option: str, *, inactive: bool = False) -> re.Pattern[str]:
    comment = r"[#;]?" if inactive else ""
    return re.compile(r"^\s*{}\s*{}\s*(?:(?P<sign>=)\s*(?P<value>.*?))?\s*$".format(comment, re.escape(option)))


def _set(ctx: Context, body: list[str], values: list[str]) -> tuple[list[str], str]:
    args = ctx.args
    active = _pattern(args["option"])
    present = {at: match.group("value") for at, match in enumerate(map(active.match, body)) if match}
    wanted: list[str | None] = list(values) or [None]
    missing = [value for value in wanted if value not in present.values()]
    spare = [at for at, value in present.items() if value not in wanted] if args["exclusive"] else []
    respell = {at: _line(ctx, value) for at, value in present.items() if value in wanted and not args["ignore_spaces"]}
    changed = list(body)
    for at, line in respell.items():
        changed[at] = line
    done = "option changed" if changed != body else ""
    spots = spare + (_inactive(ctx, body, present) if args["modify_inactive_option"] else [])
    while missing and spots:
        changed[spots.pop(0)] = _line(ctx, missing.pop(0))
        done = "option changed"
    dropped = {at for at in spots if at in spare}
    kept = [line for at, line in enumerate(changed) if at not in dropped]
    if missing:
        at = _end_of_options(kept)
        kept[at:at] = [_line(ctx, value) for value in missing]
        done = done or "option added"
    return kept, done or ("option changed" if dropped else "")


def _inactive(ctx: Context, body: list[str], present: dict[int, Any]) -> list[int]:
    pattern = _pattern(ctx.args["option"], inactive=True)
    return [at for at, line in enumerate(body) if at not in present and pattern.match(line)]


def _end_of_options(body: list[str]) -> int:
    """Return the place behind the last line that is not empty, so that the gap before the next section stays."""
    at = len(body)
    while at and not body[at - 1].strip():
        at -= 1
    return at


def _remove(ctx: Context, body: list[str], values: list[str]) -> tuple[list[str], str]:
    active = _pattern(ctx.args["option"])
    kept = []
    for line in body:
        match = active.match(line)
        if match and (ctx.args["exclusive"] or match.group("value") in values):
            continue
        kept.append(line)
    return kept, "option changed" if len(kept) != len(body) else ""
