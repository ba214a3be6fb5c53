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
    path = args["path"]
    values = args["values"] if args["values"] is not None else ([] if args["value"] is None else [args["value"]])
    if args["state"] == "present" and not args["allow_no_value"] and not values:
        ctx.fail("Parameter 'value(s)' must be defined if state=present and allow_no_value=False.")
    if args["state"] == "absent" and args["option"] is None and args["section"] is None:
        ctx.fail("state=absent needs a section or an option")
    before = load(ctx, path, create=args["create"], missing="Destination {} does not exist!")
    text = (before or b"").decode("utf-8-sig", "surrogateescape")
    lines = [line.rstrip("\r") for line in text.split("\n")]
    if lines and not lines[-1]:
        lines.pop()
    lines, msg = _edit(ctx, lines, values)
    after = _text(lines)
    changed = bool(msg) and after != (before or b"")
    reply: dict[str, Any] = {"changed": changed, "msg": msg if changed else "OK", "path": path}
    if changed:
        kept = backup(ctx, path)
        reply.update({"backup_file": kept} if kept else {})
        store(ctx, path, after, follow=args["follow"])  # else a file takes the link's place, as with Ansible
    attributes: dict[str, Any] = {}
    reply["changed"] = apply_permissions_after(ctx, path, attributes, changed=changed) or changed
    if ctx.diff:
        reply["diff"] = content_diff(
            text.replace("\r\n", "\n").encode("utf-8", "surrogateescape"), after, path + " (content)"
        )
    return dict(path_info(path) if os.path.exists(path) else {}, **reply)


def _text(lines: list[str]) -> bytes:
    return "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape")


def _edit(ctx: Context, lines: list[str], values: list[str]) -> tuple[list[str], str]:
    """Return the changed lines and what was done, empty where nothing was to do."""
    args = ctx.args
    # The first section of a file is set off by an empty line, as the files this edits have had for years.
    lines = lines or [""]
    span = _find_section(ctx, lines)
    if span is None:
        if args["state"] == "absent":
            return lines, ""
        return _with_section(ctx, lines, values), "section and option added" if args["option"] else (
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
    if not wanted:
        return 0, (heads[0][0] if heads else len(lines))
    for index, (at, name) in enumerate(heads):
        end = heads[index + 1][0] if index + 1 < len(heads) else len(lines)
        if name == wanted and _has_values(ctx, lines[at + 1 : end]):
            return at + 1, end
    return None


def _has_values(ctx: Context, body: list[str]) -> bool:
    for condition in ctx.args["section_has_values"] or []:
        found = [match.group("value") for match in map(_pattern(condition["option"]).match, body) if match]
        if not found or any(value not in found for value in _values(condition)):
            return False
    return True


def _values(condition: dict[str, Any]) -> list[str]:
    return condition.get("values") or ([condition["value"]] if condition.get("value") is not None else [])


def _with_section(ctx: Context, lines: list[str], values: list[str]) -> list[str]:
    option = ctx.args["option"]
    conditions = ctx.args["section_has_values"] or []
    new = [_line(ctx, each["option"], value) for each in conditions for value in _values(each)]
    if option:
        new += [_line(ctx, option, value) for value in values] or [option]
    return [*lines, "[{}]".format(ctx.args["section"]), *new]


def _line(ctx: Context, option: str, value: str | None) -> str:
    if value is None:
        return option
    return ("{}={}" if ctx.args["no_extra_spaces"] else "{} = {}").format(option, value)


def _pattern(option: str, *, inactive: bool = False) -> re.Pattern[str]:
    comment = r"[#;]?" if inactive else ""
    return re.compile(r"^\s*{}\s*{}\s*(?:(?P<sign>=)\s*(?P<value>.*?))?\s*$".format(comment, re.escape(option)))


def _set(ctx: Context, body: list[str], values: list[str]) -> tuple[list[str], str]:
    """Spell the wanted values where they stand; others make room for what is missing, or go where it is exclusive."""
    args, option = ctx.args, ctx.args["option"]
    pattern = _pattern(option, inactive=args["modify_inactive_option"])
    missing: list[str | None] = list(dict.fromkeys(values)) or [None]
    spare = []
    changed: list[str | None] = list(body)
    for at, match in enumerate(map(pattern.match, body)):
        if not match or (args["allow_no_value"] and values and match.group("sign") is None):
            continue
        if values and match.group("value") in missing:
            missing.remove(match.group("value"))
            line = _line(ctx, option, match.group("value"))
            if not (args["ignore_spaces"] and _closed(line) == _closed(body[at])):
                changed[at] = line
        else:
            spare.append(at)
    if args["allow_no_value"]:  # others stay, but that an option alone takes the place of one
        spare = [] if values else spare[: len(missing)]
    elif not args["exclusive"]:
        spare = []
    for at in spare:
        changed[at] = _line(ctx, option, missing.pop(0)) if missing else None
    kept = [line for line in changed if line is not None]
    if not missing:
        return kept, "option changed" if kept != body else ""
    at = _end_of_options(kept)
    kept[at:at] = [_line(ctx, option, value) for value in missing]
    return kept, "option added"


def _closed(line: str) -> str:
    """Return a line without the white space around its =."""
    return "=".join(part.strip() if at else part.rstrip() for at, part in enumerate(line.split("=", 1)))


def _end_of_options(body: list[str]) -> int:
    """Return the place behind the last line that is neither empty nor a comment: what stands there is of the next."""
    at = len(body)
    while at and (not body[at - 1].strip() or body[at - 1].strip()[0] in "#;"):
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
